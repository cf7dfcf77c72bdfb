"""What the manifest editor asks of the engine, as methods on frozen requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

from spice_engine.protocol.authoring import (
    Checked,
    Completions,
    Hover,
    ManifestText,
    ReadManifest,
    Saved,
    SaveManifest,
    StartPreview,
    TextPosition,
    UnsavedManifest,
)
from spice_engine.protocol.edits import AddAction, AddDataspace, AddRewards, Edited
from spice_tui.models.build import build

T = TypeVar("T")


class Caller(Protocol):
    """Whatever calls operations: a client, or the link that keeps one connected."""

    async def call(self, operation: str, params: Mapping[str, Any] | None = None) -> Any:
        """The operation's answer as plain data.

        Raises:
            SpiceError: the engine's answer, or that there is no engine.
        """
        ...


class AuthoringDoor(Protocol):
    """The engine, as an editor sees it. Every method raises `SpiceError`."""

    async def read(self, request: ReadManifest) -> ManifestText:
        """A manifest as it is on disk."""
        ...

    async def save(self, request: SaveManifest) -> Saved:
        """Write a manifest; raises `Conflict` when it has changed since it was read."""
        ...

    async def check(self, request: UnsavedManifest) -> Checked:
        """What is wrong with a text."""
        ...

    async def complete(self, place: TextPosition) -> Completions:
        """What can be inserted at a place."""
        ...

    async def hover(self, place: TextPosition) -> Hover:
        """What stands at a place, explained."""
        ...

    async def add_dataspace(self, request: AddDataspace) -> Edited:
        """A text with one more dataspace."""
        ...

    async def add_action(self, request: AddAction) -> Edited:
        """A text with one more action and a reward for it."""
        ...

    async def add_rewards(self, request: AddRewards) -> Edited:
        """A text with code for each action's reward."""
        ...

    async def preview(self, request: StartPreview) -> None:
        """Train a text beside the saved pod; its course comes by the topic `previews`."""
        ...

    async def end_preview(self, pod: str) -> None:
        """End a pod's preview, if there is one."""
        ...


class EngineDoor:
    """The real door, over anything that calls operations."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def _ask(self, answer: type[T], operation: str, request: Any) -> T:
        return build(answer, await self._caller.call(operation, asdict(request)))

    async def read(self, request: ReadManifest) -> ManifestText:
        """A manifest as it is on disk."""
        return await self._ask(ManifestText, "manifests.read", request)

    async def save(self, request: SaveManifest) -> Saved:
        """Write a manifest; raises `Conflict` when it has changed since it was read."""
        return await self._ask(Saved, "manifests.save", request)

    async def check(self, request: UnsavedManifest) -> Checked:
        """What is wrong with a text."""
        return await self._ask(Checked, "manifests.check", request)

    async def complete(self, place: TextPosition) -> Completions:
        """What can be inserted at a place."""
        return await self._ask(Completions, "manifests.complete", place)

    async def hover(self, place: TextPosition) -> Hover:
        """What stands at a place, explained."""
        return await self._ask(Hover, "manifests.hover", place)

    async def add_dataspace(self, request: AddDataspace) -> Edited:
        """A text with one more dataspace."""
        return await self._ask(Edited, "pods.add_dataspace", request)

    async def add_action(self, request: AddAction) -> Edited:
        """A text with one more action and a reward for it."""
        return await self._ask(Edited, "pods.add_action", request)

    async def add_rewards(self, request: AddRewards) -> Edited:
        """A text with code for each action's reward."""
        return await self._ask(Edited, "pods.add_rewards", request)

    async def preview(self, request: StartPreview) -> None:
        """Train a text beside the saved pod; its course comes by the topic `previews`."""
        await self._caller.call("previews.start", asdict(request))

    async def end_preview(self, pod: str) -> None:
        """End a pod's preview, if there is one."""
        await self._caller.call("previews.end", {"pod": pod})
