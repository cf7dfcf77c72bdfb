"""The app's foundation: the link, the world, asking the engine, and saying what came of it."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widget import MountError, Widget
from textual.widgets import Input

from spice_engine.errors import InvalidSettings, SpiceError
from spice_tui.actions import OF_APP, Action, table
from spice_tui.models import command_line, keymap
from spice_tui.models.build import build
from spice_tui.models.coalesce import Coalescer
from spice_tui.models.link import Connect, Link
from spice_tui.models.session import SavedSession, load_session, session_file
from spice_tui.models.undo import GRACE_SECONDS, Deed, Pending
from spice_tui.models.world import World
from spice_tui.terminal.abilities import Abilities, detect
from spice_tui.terminal.cells import CellDiff
from spice_tui.terminal.lifecycle import Lifecycle
from spice_tui.terminal.typed_ahead import TypedAhead

if TYPE_CHECKING:
    from spice_tui.models.app_settings import AppSettings

T = TypeVar("T")


class Refused(SpiceError):
    """An action cannot be done now; the message says why."""

    code = "refused"


class Base(CellDiff, TypedAhead, Lifecycle):
    """Holds what all deeds need. Deeds are methods `action_<name>` in mixins of their own."""

    def __init__(
        self, settings: AppSettings, connect: Connect, abilities: Abilities | None = None
    ) -> None:
        super().__init__()
        self.abilities = abilities or detect()
        self.settings = settings
        self.world = World()
        self.pod = ""
        """The chosen pod."""
        self.run_number: int | None = None
        """The chosen run."""
        self.coalescer = Coalescer(settings.tick, self._due)
        self.link = Link(connect, self.coalescer.touch)
        self.pending = Pending()
        self.keys: dict[str, tuple[str, ...]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.session_path = session_file(settings.key) if settings.remember else None
        self.saved: SavedSession = load_session(self.session_path)

    # -- drawing

    def _due(self) -> None:
        self.call_later(self.draw)

    def draw(self) -> None:
        """Show the world as it is now."""
        raise NotImplementedError

    # -- work beside the loop of messages

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something beside; errors of ours are said, defects end the app."""
        task = asyncio.ensure_future(self._saying(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        # One that is cancelled before its first step has not come to wait for its work.
        task.add_done_callback(lambda _: work.close())
        return task

    async def _saying(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await work
        except SpiceError as error:
            self.complain(error)
            return None

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        try:
            task.result()
        except (NoMatches, MountError) as error:
            # On the way out, widgets go away under work that goes on.
            if self.is_running and not self._exit:
                self._handle_exception(error)
        except Exception as error:  # noqa: BLE001 - a defect: it ends the app, with a report
            self._handle_exception(error)

    async def end_work(self) -> None:
        """Cancel what is being done beside, and wait for its end."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- asking and saying

    async def ask(self, operation: str, **params: Any) -> Any:
        """The answer to an operation, as plain data.

        Raises:
            SpiceError: what the engine answered, or that there is none.
        """
        return await self.link.call(operation, params)

    async def fetch(self, cls: type[T], operation: str, **params: Any) -> T:
        """The answer to an operation as one of the protocol's dataclasses.

        Raises:
            SpiceError: as `ask`.
        """
        return build(cls, await self.link.call(operation, params))

    def say(self, text: str) -> None:
        """Tell a person something that went well."""
        self.notify(text, timeout=4, markup=False)

    def complain(self, error: SpiceError) -> None:
        """Tell a person what went wrong, where, and what to do."""
        self.notify(str(error), title=error.code, severity="error", timeout=8, markup=False)

    async def ask_person(self, screen: Screen[T]) -> T | None:
        """What a person answers in a dialog; None when it was left without an answer."""
        answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()

        def given(value: T | None) -> None:
            if not answer.done():
                answer.set_result(value)

        await self.push_screen(screen, given)
        self.let_keys_go()
        return await answer

    # -- doing later

    def later(self, title: str, do: Callable[[], Awaitable[None]]) -> None:
        """Do something in a while, unless it is taken back."""
        self.pending.add(Deed(title, time.monotonic() + GRACE_SECONDS, do))
        self.pending_changed()
        self.set_timer(GRACE_SECONDS + 0.05, self._do_pending)

    async def _do_pending(self) -> None:
        for deed in self.pending.due(time.monotonic()):
            self.begin(deed.do())  # pyright: ignore[reportArgumentType]
        self.pending_changed()

    def pending_changed(self) -> None:
        """Something waits to be done, or no longer."""

    # -- actions

    def load_keys(self) -> None:
        """Use the person's keymap, if there is one."""
        try:
            changed = keymap.load_keymap(keymap.keymap_file()) if self.settings.remember else {}
        except InvalidSettings as error:
            self.complain(error)
            changed = {}
        self.keys = keymap.keys_of(changed)
        self.set_keymap({name: ",".join(keys) for name, keys in changed.items()})

    def action_do(self, name: str) -> None:
        """Do the action of that id, as its key asks; what stands against it is said."""
        try:
            self.perform(table()[name])
        except SpiceError as error:
            self.complain(error)

    def perform(self, action: Action, *arguments: str) -> None:
        """Do an action where it belongs: in the app, or in the part of the screen it is for.

        Raises:
            SpiceError: nothing on the screen can do it, or the arguments do not fit.
        """
        target = self if action.context in OF_APP else self._target(action.context)
        if target is None:
            raise Refused(
                f"{action.title}: there is no {action.context} on this screen.",
                hint="Go to one first.",
            )
        method = getattr(target, f"action_{action.name}")
        try:
            inspect.signature(method).bind(*arguments)
        except TypeError:
            usage = f":{action.command} {action.arguments}".rstrip()
            raise command_line.UnknownCommand(
                f"{action.title}: these arguments do not fit.", hint=f"It goes {usage}."
            ) from None
        answer = method(*arguments)
        self.performed(action)
        if inspect.isawaitable(answer):
            self.hold_keys(self.begin(_awaited(answer)))

    def performed(self, action: Action) -> None:
        """An action was begun."""

    def _target(self, context: str) -> Widget | None:
        node = self.focused
        while node is not None:
            if getattr(node, "CONTEXT", "") == context:
                return node
            node = node.parent if isinstance(node.parent, Widget) else None
        for widget in self.screen.query("*"):
            if getattr(widget, "CONTEXT", "") == context and widget.region.area:
                return widget
        return None

    def contexts(self) -> list[str]:
        """The contexts that keys work in now, the nearest first."""
        found = ["typing"] if isinstance(self.focused, Input) else []
        node = self.focused or self.screen
        while isinstance(node, Widget):
            for context in (getattr(node, "CONTEXT", ""), *getattr(node, "contexts", ())):
                if context and context not in found:
                    found.append(context)
            node = node.parent
        # A dialog keeps the app's keys to itself.
        return found if "dialog" in found else [*found, "app"]


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
