"""What export and import of pods have in common: what they need of others, and what must fit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spice_engine.errors import InvalidManifest, InvalidRequest
from spice_engine.pods.live import Pod
from spice_engine.pods.model import Manifest
from spice_engine.protocol.location import Location

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy


class PodsService(Protocol):
    """What packages need of the service that keeps the pods."""

    def names(self) -> list[str]:
        """All pods, by name."""
        ...

    def get(self, name: str) -> Pod:
        """The pod of that name; NotFound where there is none."""
        ...

    async def rescan(self) -> None:
        """Bring the set of pods up to date with the files there are."""
        ...

    def is_trusted(self) -> bool:
        """Whether code in the app folder may run. Blocks on a small file."""
        ...

    def trust_changed(self, *, trusted: bool) -> None:
        """Look again at the pods that wait for trust, or run what is trusted no more."""
        ...

    async def interrupt(self, name: str, why: str) -> None:
        """End the work on a pod, if there is any, and wait for that."""
        ...

    def refresh(self, name: str) -> None:
        """Look at the pod (again) soon; the newest state of everything counts."""
        ...


class VersionServer(Protocol):
    """What serves another version of a pod's policy."""

    async def serve_version(self, name: str, version: int) -> None:
        """Make `latest` name this version and serve it, until the pod is trained again.

        Raises Conflict where it cannot answer for the pod's manifest.
        """
        ...


def inside(location: Location, path: str) -> Path:
    """A path relative to the app folder, or absolute inside of it, links followed.

    Raises:
        InvalidRequest: it leads elsewhere, or into the engine's state.
    """
    root = location.root
    try:
        found = (root / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidRequest(f"{path[:200]!r} is no path: {error}.") from error
    if not found.is_relative_to(root.resolve()) or found.is_relative_to(location.state):
        raise InvalidRequest(
            f"{path[:200]!r} is outside of the app folder.",
            hint=f"Name a place inside of {root}.",
        )
    return root / found.relative_to(root.resolve())


def invalid_manifest(name: str, problems: Iterable[dict[str, object]]) -> InvalidManifest:
    """The error that carries these findings."""
    return InvalidManifest(f"the manifest of {name!r} has errors.", problems=list(problems))


def fits(policy: Policy, manifest: Manifest) -> bool:
    """Whether what the policy was trained for is what the manifest says now."""
    return (
        tuple(policy.fields) == manifest.fields
        and sorted(policy.names) == sorted(manifest.action_names)
        and policy.granularity == manifest.params.granularity
    )


def load_policy(data: bytes) -> Policy:
    """Load a policy; imports NumPy at its first call, so it runs in a thread."""
    from spice_engine.learning.policy import Policy

    return Policy.from_bytes(data)
