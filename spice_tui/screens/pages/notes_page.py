"""The page *Notes*: what was said about stretches of a pod's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.widgets import Static

from spice_engine.protocol.pods import Interpretations, PodInfo
from spice_tui.models.moments import moment
from spice_tui.models.rows import INTERPRETATIONS, interpretation_rows
from spice_tui.screens.pages.pod_page import PodPage
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_engine.errors import SpiceError
    from spice_tui.app import SpiceApp

HINT = "Add one: :interpret START END NAME [TAGS …], times in Unix seconds."


class NotesPage(PodPage):
    """A table of interpretations."""

    DEFAULT_CSS = """
    NotesPage > .summary { height: auto; max-height: 3; color: $text-muted; padding: 0 1; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app)
        self._table = TablePane(INTERPRETATIONS, empty="Nothing was said about these data yet.")
        self._summary = Static(HINT, markup=False, classes="summary")

    def compose(self) -> ComposeResult:
        yield self._table
        yield self._summary

    async def load(self, pod: PodInfo) -> None:
        """Show the pod's interpretations."""
        found = await self.spice.fetch(Interpretations, "pods.interpretations", pod=pod.name)
        self._table.show(interpretation_rows(found.interpretations, moment))
        self._summary.update(HINT)

    def refused(self, error: SpiceError) -> None:
        """Show why there are none."""
        self._table.show(())
        self._summary.update(str(error))
