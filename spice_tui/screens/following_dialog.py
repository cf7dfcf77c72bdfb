"""A dialog about something that changes: it follows a topic, and says what was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from textual import events
from textual.widget import Widget
from textual.widgets import Static

from spice_engine.errors import EngineUnavailable, SpiceError
from spice_tui.screens.dialog import Dialog
from spice_tui.screens.view import NARROW_HEIGHT, NARROW_WIDTH
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp

T = TypeVar("T")
_P = ParamSpec("_P")

AGAIN_SECONDS = 0.2
"""Between two looks at what changes fast."""


class FollowingDialog(Dialog[T]):
    """Whoever derives from it names a `TOPIC`, a `CONTEXT` of actions and its `parts`, shows
    `note`, and fetches and shows in `load`."""

    TOPIC: ClassVar[str]
    CONTEXT: ClassVar[str]
    BINDINGS = bindings("dialog")
    DEFAULT_CSS = """
    FollowingDialog > .frame { margin-bottom: 1; }
    FollowingDialog.-narrow > .frame { width: 100%; height: 100%; max-height: 100%; }
    """

    contexts = ("dialog",)
    """Contexts of actions that matter beside its own."""

    def __init__(self, app: SpiceApp) -> None:
        super().__init__()
        self.spice = app
        self.note = Static(markup=False)
        self.narrow = False
        self.said = False
        """Whether the note tells what came of a key: it stays until one looks at something else."""
        self._lost = False
        self._dirty = asyncio.Event()

    @property
    def parts(self) -> Sequence[Widget]:
        """What can have the focus, in order."""
        raise NotImplementedError

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
        self.run_worker(self._keep_up)

    def on_unmount(self) -> None:
        """Follow it no longer."""
        self.spice.link.unfollow(self.TOPIC, self._changed)

    def on_resize(self, event: events.Resize) -> None:
        """On a small terminal the frame fills the screen."""
        self.narrow = event.size.width < NARROW_WIDTH or event.size.height < NARROW_HEIGHT
        self.set_class(self.narrow, "-narrow")
        self.part_chosen()

    # -- parts

    @property
    def part(self) -> int:
        """The number of the part with the focus."""
        around = self.focused.ancestors_with_self if self.focused is not None else ()
        return next((at for at, one in enumerate(self.parts) if one in around), 0)

    def go_to(self, part: Widget) -> None:
        """Give a part the focus."""
        part.display = True
        self.set_focus(part.table if isinstance(part, TablePane) else part)
        self.part_chosen()

    def part_chosen(self) -> None:
        """Another part has the focus, or there is another room for them."""

    def action_next_part(self) -> None:
        """Go to the next part."""
        self.go_to(self.parts[(self.part + 1) % len(self.parts)])

    # -- doing

    def action_undo(self) -> None:
        """Take back what was just asked for."""
        self.spice.action_undo()

    async def action_help(self) -> None:
        """Show the keys that work here."""
        await self.spice.action_help()

    def look_again(self) -> None:
        """What is shown is no longer good."""
        self._dirty.set()

    def work(
        self, work: Callable[_P, Coroutine[Any, Any, None]], *args: _P.args, **named: _P.kwargs
    ) -> None:
        """Do it beside; why it was refused is said below."""

        async def go() -> None:
            await self._saying(work(*args, **named))

        # Not a coroutine: of a dialog that is left at once, nobody would wait for it.
        self.run_worker(go)

    def say(self, text: str) -> None:
        """Say below what came of a key."""
        self.said = True
        self.note.update(text)

    def later(self, title: str, operation: str, **params: Any) -> None:
        """Ask for what may be taken back for a while, also when the dialog was left by then."""

        async def do() -> None:
            await self.spice.ask(operation, **params)
            self.look_again()

        self.spice.later(title, do)

    def _changed(self, _: Mapping[str, Any]) -> None:
        self._dirty.set()

    async def _keep_up(self) -> None:
        """Show what is new; what changes meanwhile is shown by the next look."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if self._lost:  # there is an engine again
                self._lost = False
                self.note.update("")
            await self._saying(self.load())
            await asyncio.sleep(AGAIN_SECONDS)

    async def _saying(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except EngineUnavailable as error:
            self._lost = True
            self.note.update(str(error))
        except SpiceError as error:
            self.say(str(error))
