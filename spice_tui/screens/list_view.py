"""A view that is one table, with what there is to say about the chosen row beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from spice_tui.screens.view import View
from spice_tui.widgets.about import About
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.pane import Pane
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.columns import Column


class ListView(View):
    """`describe` says what stands beside the table about a row."""

    CONTEXTS: ClassVar = ("pod",)
    BINDINGS: ClassVar = bindings("pod")
    DEFAULT_CSS = """
    ListView .list-main { width: 1fr; }
    ListView .list-about { width: 44; }
    """

    TITLE: ClassVar[str]
    COLUMNS: ClassVar[tuple[Column, ...]]
    EMPTY: ClassVar[str]

    def __init__(self, name: str, app: SpiceApp) -> None:
        super().__init__(name)
        self.spice = app
        self.table = TablePane(self.COLUMNS, empty=self.EMPTY)
        self._about = About()

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Pane(self.TITLE, self.table, id=f"{self.name}-list", classes="list-main")
            yield Pane("About", self._about, id=f"{self.name}-about", classes="list-about")

    def describe(self, key: str) -> str:
        """Everything about the row with this key."""
        raise NotImplementedError

    def pod_of(self, key: str) -> str:
        """The pod the row with this key is about; empty when it is about none."""
        return ""

    def tell(self) -> None:
        """Say again what there is to say about the row the cursor is on."""
        row = self.table.table.model.current
        self._about.say(self.describe(row.key) if row else "")

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        if event.key and (pod := self.pod_of(event.key)) in self.spice.world.pods:
            self.spice.choose_pod(pod)
        self.tell()
