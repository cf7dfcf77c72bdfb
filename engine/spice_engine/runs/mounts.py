"""Mounts as text: `RESOURCE[:PATH]`, and where each appears. Reads nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

MOST_MOUNTS = 100
_HINT = "Such as: runs/3, runs/3/model.bin:old.bin, uploads/images:/mnt/images."


@record
class Mount:
    """A resource and where it appears: a path from / on, or one inside the run's folder."""

    resource: str
    path: str


def parse(texts: Iterable[str]) -> tuple[Mount, ...]:
    """Mounts of these texts; of two of one resource the last counts, as in Spell.

    Without a path a resource appears in the run's folder, under its own name.

    Raises:
        InvalidRequest: one is no mount, or two appear at one place.
    """
    found = {mount.resource: mount for mount in (_parse(text) for text in texts)}
    if len(found) > MOST_MOUNTS:
        raise InvalidRequest(f"there are more than {MOST_MOUNTS} mounts.")
    places: dict[str, Mount] = {}
    for mount in found.values():
        other = next((places[at] for at in places if _overlap(at, mount.path)), None)
        if other is not None:
            raise InvalidRequest(
                f"{mount.resource} and {other.resource} would appear at one place: {mount.path} "
                f"and {other.path}.",
                hint="Give one of them another path.",
            )
        places[mount.path] = mount
    return tuple(found.values())


def _parse(text: str) -> Mount:
    if "://" in text:
        raise InvalidRequest(
            f"{text[:200]!r} is an address, and mounts are of what is on this machine.",
            hint="Fetch it first, then: spice-tui upload PATH.",
        )
    resource, colon, path = text.partition(":")
    # `@best:accuracy` has colons of its own; after a slash the reference is over.
    if resource.rpartition("/")[2] in {"@best", "@label"}:
        resource, path = _split_reference(text)
        colon = ":" if path else ""
    resource = resource.rstrip("/")
    if not resource or (colon and not path) or ":" in path or "\0" in text:
        raise InvalidRequest(
            f"Incorrect formatting of mount {text[:200]!r}, it must be "
            "<resource_path>[:<mount_path>]",
            hint=_HINT,
        )
    if not path:
        path = posixpath.basename(resource)
        if path.startswith("@"):
            raise InvalidRequest(f"the mount {text[:200]!r} needs a path.", hint=_HINT)
    clean = posixpath.normpath(path)
    if clean in {".", "/", ".."} or clean.startswith(("../", "//")):
        raise InvalidRequest(
            f"{path[:200]!r} is no place for a mount.", hint="A path in the run's folder, or /…"
        )
    return Mount(resource, clean)


def _split_reference(text: str) -> tuple[str, str]:
    """`runs/@best:METRIC[:min|:max][/inner][:path]`, or with `@label:NAME`, in two."""
    before, _, after = text.partition(":")
    parts = after.split(":")
    directed = len(parts) > 1 and parts[1].partition("/")[0] in {"min", "max"}
    count = 2 if directed and before.endswith("@best") else 1
    return f"{before}:{':'.join(parts[:count])}", ":".join(parts[count:])


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
