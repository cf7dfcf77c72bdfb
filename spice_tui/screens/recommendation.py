"""What a pod recommends, how sure it is, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from spice_tui.models.moments import moment
from spice_tui.screens.dialog import Dialog
from spice_tui.theme.symbols import symbols
from spice_tui.widgets.copying import CopyText

if TYPE_CHECKING:
    from spice_engine.protocol.pods import Recommendation

BAR = 24
FEATURES = 8
ACTIONS = 24


class RecommendationScreen(Dialog[None]):
    """`c` copies the curl command that asks the same; esc leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,enter", "leave", "Leave"),
        ("c", "copy", "Copy curl"),
    ]
    DEFAULT_CSS = """
    RecommendationScreen > .frame { width: 74; }
    """

    def __init__(self, answer: Recommendation, http: str) -> None:
        super().__init__()
        self._answer = answer
        self._url = f"{http}/api/v0.1/pods/{answer.pod}/recommendation"

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="frame") as frame:
            frame.border_title = f"{self._answer.pod} recommends"
            frame.border_subtitle = "c copies curl, esc leaves"
            yield Static(Text("\n").join(self._lines()))

    def _lines(self) -> Iterator[Text]:
        one = self._answer
        head = Text(f"{one.action}", Style(bold=True))
        chosen = one.action
        if one.action_value is not None:
            head.append(f" {one.action_value:g} {one.unit}".rstrip(), Style(bold=True))
            chosen = f"{one.action}={one.action_value:.6g}"
        head.append(f"   confidence {one.confidence:.3f}   version {one.policy_version}")
        yield head
        yield Text(f"by the data of {moment(one.start)} to {moment(one.end)} UTC")
        yield Text()
        if one.values:
            yield Text("value of each action", Style(underline=True))
            yield from _bars(_best(one.values), chosen)
            yield Text()
        if one.rule:
            yield Text("because", Style(underline=True))
            yield from (Text(f"  {part}") for part in one.rule)
            yield Text()
        if one.features:
            yield Text("what mattered", Style(underline=True))
            ranked = sorted(one.features.items(), key=lambda pair: -abs(pair[1]))
            yield from _bars(dict(ranked[:FEATURES]), "")
            yield Text()
        yield Text(f"curl '{self._url}'", Style(dim=True))

    def action_copy(self) -> None:
        """Copy the curl command."""
        self.app.post_message(CopyText(f"curl '{self._url}'", "the curl command"))


def _best(values: dict[str, float]) -> dict[str, float]:
    """The ACTIONS of the highest values, in their order: a range has many."""
    least = sorted(values.values(), reverse=True)[:ACTIONS][-1]
    return {name: value for name, value in values.items() if value >= least}


def _bars(values: dict[str, float], chosen: str) -> Iterator[Text]:
    """One bar a value, all from the least; the chosen one marked."""
    width = max(len(name) for name in values)
    least, greatest = min(values.values()), max(values.values())
    span = (greatest - least) or 1.0
    for name, value in values.items():
        mark = symbols().mark if name == chosen else " "
        length = round(BAR * (value - least) / span)
        line = Text(f"{mark} {name:<{width}}  ", Style(bold=name == chosen))
        line.append(symbols().bar * length + " " * (BAR - length))
        line.append(f"  {value:.6g}")
        yield line
