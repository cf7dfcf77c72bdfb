"""A dialog about something that changes: it follows a topic, and says what was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.widgets import Static

from spice_engine.errors import SpiceError
from spice_tui.screens.dialog import Dialog

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp

T = TypeVar("T")

AGAIN_SECONDS = 0.2
"""Between two looks at what changes fast."""


class FollowingDialog(Dialog[T]):
    """Whoever derives from it names a `TOPIC`, shows `note`, and fetches and shows in `load`."""

    TOPIC: ClassVar[str]

    def __init__(self, app: SpiceApp, hint: str) -> None:
        super().__init__()
        self.spice = app
        self.note = Static(hint, markup=False)
        self._dirty = asyncio.Event()

    async def load(self) -> None:
        """Ask the engine, and show what it says.

        Raises:
            SpiceError: what it says is that it cannot.
        """
        raise NotImplementedError

    def on_mount(self) -> None:
        """Follow the topic from here on; Textual calls this beside the one of a derived class."""
        self.spice.link.follow(self.TOPIC, self._changed)
        self._dirty.set()
        self.run_worker(self._keep_up())

    def on_unmount(self) -> None:
        """Follow it no longer."""
        self.spice.link.unfollow(self.TOPIC, self._changed)

    def look_again(self) -> None:
        """What is shown is no longer good."""
        self._dirty.set()

    def work(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside; why it was refused is said below."""
        self.run_worker(self._saying(work))

    def _changed(self, _: Mapping[str, Any]) -> None:
        self._dirty.set()

    async def _keep_up(self) -> None:
        """Show what is new; what changes meanwhile is shown by the next look."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._saying(self.load())
            await asyncio.sleep(AGAIN_SECONDS)

    async def _saying(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SpiceError as error:
            self.note.update(str(error))
