"""Letters on all panes: pressing one goes there."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.widgets import Static

from spice_tui.widgets.pane import Pane

LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class JumpScreen(ModalScreen[Pane]):
    """Answers the pane whose letter was pressed; any other key leaves."""

    DEFAULT_CSS = """
    JumpScreen { background: $background 40%; }
    JumpScreen Static { position: absolute; width: 3; height: 1; background: $primary;
                        color: $background; text-style: bold; text-align: center; }
    """

    def __init__(self, places: Sequence[tuple[Region, Pane]]) -> None:
        super().__init__()
        self._places = dict(zip(LETTERS, places, strict=False))

    def compose(self) -> ComposeResult:
        for letter, (region, _) in self._places.items():
            label = Static(f" {letter} ", markup=False)
            label.styles.offset = (region.x + 1, region.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        place = self._places.get(event.key)
        self.dismiss(place[1] if place else None)
