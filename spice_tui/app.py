"""The terminal app: composes the views, draws what the engine tells, and does what keys ask."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen

from spice_engine.errors import SpiceError
from spice_tui.deeds.beginning_deeds import BeginningDeeds
from spice_tui.deeds.engine_deeds import EngineDeeds
from spice_tui.deeds.report_deeds import ReportDeeds
from spice_tui.deeds.resource_deeds import ResourceDeeds
from spice_tui.models import command_line, keymap
from spice_tui.models.endings import ended
from spice_tui.models.session import save_session
from spice_tui.screens.views import NAMES, make_view
from spice_tui.terminal.notify import notice
from spice_tui.theme import themes
from spice_tui.theme.themes import register_themes
from spice_tui.widgets.banner import Banner
from spice_tui.widgets.copying import CopyText
from spice_tui.widgets.key_bar import KeyBar
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.prompt import Prompt
from spice_tui.widgets.top_bar import TopBar
from spice_tui.widgets.tutorial_bar import TutorialBar

if TYPE_CHECKING:
    from spice_tui.actions import Action
    from spice_tui.models.app_settings import AppSettings
    from spice_tui.models.link import Connect
    from spice_tui.models.stream_ring import StreamRing
    from spice_tui.models.world import World
    from spice_tui.screens.view import View
    from spice_tui.terminal.abilities import Abilities

T = TypeVar("T")

SETTLED_SECONDS = 2.0
"""When everything that start-up makes is there."""
FILES_SECONDS = 2.0
"""How often the files of keymap and theme are looked at."""


class SpiceApp(BeginningDeeds, EngineDeeds, ReportDeeds, ResourceDeeds):
    """One screen on one engine. `connect` makes a greeted connection, or raises why it cannot."""

    TITLE = "spice-tui"
    ENABLE_COMMAND_PALETTE = False
    ESCAPE_TO_MINIMIZE = False
    BINDINGS: ClassVar = bindings("app")
    CSS = """
    Screen { layout: vertical; }
    #views { height: 1fr; }
    Toast { max-width: 70; }
    OptionList:nocolor > .option-list--option-highlighted { text-style: reverse; }
    TextArea:nocolor > .text-area--selection { text-style: reverse; }
    Input:nocolor > .input--selection { text-style: reverse; }
    """

    def __init__(
        self,
        settings: AppSettings,
        connect: Connect,
        abilities: Abilities | None = None,
        *,
        start_engine: Callable[[], None] | None = None,
        ring: StreamRing | None = None,
    ) -> None:
        super().__init__(settings, connect, abilities)
        self.ring = ring
        self.start_engine = start_engine
        wanted = settings.view or self.saved.view
        self.view_name = wanted if wanted in NAMES else "pods"
        self.last_view = "pods"
        self.views: dict[str, View] = {}
        self.top_bar = TopBar(settings.folder)
        self.banner = Banner()
        self.prompt = Prompt(self.names)
        self.key_bar = KeyBar()
        self.tutorial_bar = TutorialBar()
        self._welcomed = False
        self._opened = False
        self._stamps: tuple[int, ...] = ()
        self.pod = self.saved.pod

    def compose(self) -> ComposeResult:
        yield self.top_bar
        yield self.banner
        with Container(id="views"):
            yield self.view(self.view_name)
        yield self.tutorial_bar
        yield self.prompt
        yield self.key_bar

    def on_load(self) -> None:
        # What the engine tells comes while the widgets are made: the first paint shows it already.
        self.begin(self.link.run())

    def on_mount(self) -> None:
        register_themes(self)
        self.theme = self.first_theme()
        self.prompt.history = list(self.saved.history)
        self.load_keys()
        self.set_timer(SETTLED_SECONDS, _collect_again)
        if self.settings.remember:
            self.set_interval(FILES_SECONDS, self._look_at_files)
        self.draw()

    def _look_at_files(self) -> None:
        """Use the keymap and the theme anew when their files were changed."""
        stamps = tuple(
            stamp_of(path)
            for path in (keymap.keymap_file(), themes.themes_folder() / f"{self.theme}.toml")
        )
        if stamps == self._stamps:
            return
        first, self._stamps = not self._stamps, stamps
        if not first:
            self.load_keys()
            self.show_keys()
            self.reload_theme()

    # -- views

    def view(self, name: str) -> View:
        """The view of that name, made when it is first wanted."""
        if name not in self.views:
            view = self.views[name] = make_view(name, self)
            view.call_after_refresh(view.restore, self.saved)
        return self.views[name]

    @property
    def current_view(self) -> View:
        """The view on show."""
        return self.view(self.view_name)

    async def show_view(self, name: str) -> View:
        """Bring a view on show and give it the focus."""
        view = self.view(name)
        if name != self.view_name:
            self.current_view.display = False
            self.last_view, self.view_name = self.view_name, name
            if not view.is_attached:
                await self.query_one("#views").mount(view)
            view.display = True
        pane = view.pane
        if pane is not None and not pane.has_focus_within:
            view.go_to(pane)
        view.opened()
        self.draw()
        return view

    # -- drawing

    def draw(self) -> None:
        """Show the world as it is now, in one go."""
        if not self.is_running or not self.top_bar.is_attached:
            return
        before, self.world = self.world, self.link.take()
        self._tell_endings(before)
        if self.pod not in self.world.pods and self.world.pods:
            self.choose_pod(min(self.world.pods))
        with self.batch_update():
            self.top_bar.show(self.world, self.view_name)
            self.banner.show(self.world)
            self.tutorial_bar.show(self.world)
            if self.current_view.has_panes:
                if self.world.attached and not self._opened:
                    self._opened = True  # the view to begin with, once there is an engine to ask
                    self.current_view.opened()
                self.current_view.show(self.world)
        if not self._welcomed and self.link.knows_folder:
            self._welcomed = True
            if not self.world.pods and not self.world.runs and not self.settings.replayed:
                self.begin(self.welcome())

    def _tell_endings(self, before: World) -> None:
        """Ring for what ended while a person may have looked elsewhere."""
        for sentence in ended(before, self.world):
            self.say(sentence)
            if self.settings.notify:
                self.write_to_terminal(notice(sentence, self.abilities))

    def show_keys(self) -> None:
        """Show the keys that matter where the focus is."""
        self.key_bar.show(self.contexts(), self.keys)

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _focus_moved(self) -> None:
        self.call_after_refresh(self.show_keys)

    async def ask_person(self, screen: Screen[T]) -> T | None:
        """What a person answers in a dialog; then the keys are again those of where they were."""
        answer = await super().ask_person(screen)
        self.call_after_refresh(self.show_keys)
        return answer

    def pending_changed(self) -> None:
        """Tell what waits to be done, and that it can be taken back."""
        newest = self.pending.newest
        self.key_bar.note(f"{newest.title}: u takes back ({len(self.pending)})" if newest else "")

    # -- the pod

    def choose_pod(self, name: str) -> None:
        """Make this the chosen pod."""
        if (name and name != self.pod) or name not in self.link.histories:
            self.pod = name
            self.link.want_history(name)
            self.coalescer.touch()

    async def open_manifest(self, pod: str, path: str, *, focus: bool = True) -> None:
        """Show a manifest in the editor."""
        from spice_tui.screens.pods_view import PodsView

        view = await self.show_view("pods")
        assert isinstance(view, PodsView)
        await view.open_manifest(pod, path, focus=focus)

    # -- copying

    def copy(self, text: str, what: str) -> None:
        """Put text on the clipboard and say how."""
        self.begin(self._copy(text, what))

    def copy_to_clipboard(self, text: str) -> None:
        """Textual's own widgets copy by this, too."""
        self._clipboard = text
        self.copy(text, "the text")

    async def _copy(self, text: str, what: str) -> None:
        from spice_tui.terminal.clipboard import copy

        how = await copy(text, self.abilities, self.write_to_terminal)
        self.say(f"{what[:1].upper()}{what[1:]}: {how.message}")

    def write_to_terminal(self, sequence: str) -> None:
        """Send an escape sequence that draws nothing."""
        if self._driver is not None:
            self._driver.write(sequence)

    def action_copy_selection(self) -> None:
        """Copy what was selected with the mouse."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy(selected, "the selection")
        else:
            self.say("Nothing is selected. q leaves, c copies in tables and logs.")

    @on(CopyText)
    def _copy_wanted(self, event: CopyText) -> None:
        self.copy(event.text, event.what)

    # -- commands

    @on(TopBar.ViewChosen)
    async def _view_chosen(self, event: TopBar.ViewChosen) -> None:
        await self.show_view(event.view)

    @on(Prompt.Entered)
    def _entered(self, event: Prompt.Entered) -> None:
        self.execute(event.line)

    def execute(self, line: str) -> None:
        """Do what a `:` line says; what is wrong with it is said."""
        try:
            command = command_line.parse(line)
            self.perform(command.action, *command.arguments)
        except SpiceError as error:
            self.complain(error)

    def names(self) -> list[str]:
        """Names that may follow a command."""
        return [
            *sorted({*self.world.pods, *self.world.servers, *self.world.models}),
            *(str(number) for number in self.world.runs),
        ]

    def performed(self, action: Action) -> None:
        """The tutorial looks at what a person does."""
        self.tutorial_bar.did(action.id, self.world)

    # -- leaving

    def end_by(self, number: int) -> None:
        """A signal, or a link that broke, loses no more than `q` does."""
        if not self.ending and self.top_bar.is_attached:
            self.remember()
        super().end_by(number)

    def remember(self) -> None:
        """Keep the session for the next start."""
        views = self.views.values()
        tables = {k: v.table.model for view in views for k, v in view.tables().items()}
        seen = {part.id for view in views for part in view.sized}
        self.saved = dataclasses.replace(
            self.saved,
            view=self.view_name,
            pod=self.pod,
            theme=self.theme,
            sizes={
                # Views that were not looked at keep theirs.
                **{k: v for k, v in self.saved.sizes.items() if k not in seen},
                **{k: v for view in views for k, v in view.sizes().items()},
            },
            pages={**self.saved.pages, **{k: v for w in views for k, v in w.pages().items()}},
            filters={
                **self.saved.filters,
                **{name: model.filter.text for name, model in tables.items()},
            },
            sorts={
                **self.saved.sorts,
                **{name: "-" * m.reverse + m.sort for name, m in tables.items()},
            },
            history=self.prompt.history,
        )
        save_session(self.session_path, self.saved)

    async def on_unmount(self) -> None:
        self.coalescer.close()
        await self.end_work()


def _collect_again() -> None:
    """Collect garbage again, but never look through what start-up made."""
    gc.freeze()
    gc.enable()


def stamp_of(path: Path) -> int:
    """What tells whether a file is the one it was; 0 for one that is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
