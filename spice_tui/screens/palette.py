"""The palette: all commands, found by what one remembers of their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.fuzzy import Matcher
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from spice_tui.actions import Action, table
from spice_tui.models.command_line import Command
from spice_tui.models.key_names import key_name
from spice_tui.screens.dialog import Dialog

MAX_SHOWN = 50


class Palette(Dialog[Command]):
    """Answers the chosen command. Pods are in it too: choosing one goes to it."""

    DEFAULT_CSS = """
    Palette { align: center top; }
    Palette > .frame { width: 76; height: auto; max-height: 80%; margin-top: 2; }
    Palette Input { border: none; height: 1; padding: 0; }
    Palette OptionList { border: none; height: auto; max-height: 24; background: $surface; }
    """

    def __init__(self, keys: Mapping[str, tuple[str, ...]], pods: Sequence[str]) -> None:
        super().__init__()
        self._keys = keys
        goto = replace(table()["pod.goto"], help="Go to this pod.", keys=(), arguments="")
        self._commands = [
            *(Command(action) for action in table().values() if action.palette),
            *(Command(replace(goto, title=pod), (pod,)) for pod in pods),
        ]
        self._shown: list[Command] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Commands"
            entry = Input(placeholder="part of a name", compact=True)
            entry.cursor_blink = False
            yield entry
            yield OptionList()

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self._fill("")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, wanted: str) -> None:
        matcher = Matcher(wanted) if wanted else None
        scored = [(_score(matcher, one.action), one) for one in self._commands]
        best = sorted(scored, key=lambda pair: -pair[0]) if matcher else scored
        self._shown = [one for score, one in best if score > 0][:MAX_SHOWN]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self._line(one.action)) for one in self._shown])
        if self._shown:
            options.highlighted = 0

    def _line(self, action: Action) -> Text:
        keys = self._keys.get(action.id, action.keys)
        line = Text(f"{action.title:<18.18} ", Style(bold=True), no_wrap=True, overflow="ellipsis")
        line.append(f"{key_name(keys[0]) if keys else '':<6} ", Style(dim=True))
        line.append(action.help, Style(dim=True))
        return line

    def on_key(self, event: events.Key) -> None:
        options = self.query_one(OptionList)
        moves = {
            "down": options.action_cursor_down,
            "ctrl+n": options.action_cursor_down,
            "up": options.action_cursor_up,
            "ctrl+p": options.action_cursor_up,
            "pagedown": options.action_page_down,
            "pageup": options.action_page_up,
        }
        if event.key in moves:
            moves[event.key]()
            event.stop()
            event.prevent_default()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        number = self.query_one(OptionList).highlighted
        self.dismiss(self._shown[number] if number is not None and self._shown else None)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._shown[event.option_index])


def _score(matcher: Matcher | None, action: Action) -> float:
    """How well an action is what was typed: its name counts more than its help."""
    if matcher is None:
        return 1.0
    names = (matcher.match(action.title), matcher.match(action.command))
    return max(*names, matcher.match(action.help) / 2)
