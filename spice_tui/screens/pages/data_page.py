"""The page *Data*: a pod's raw rows, with types, gaps and what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from spice_engine.protocol.views import Grid
from spice_tui.models import clock, grid_rows
from spice_tui.screens.pages.pod_page import PodPage
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_engine.errors import SpiceError
    from spice_engine.protocol.pods import PodInfo
    from spice_tui.app import SpiceApp

WINDOW = 1000
STEP = 500


class DataPage(PodPage):
    """A window of rows, which moves on when the cursor reaches its end."""

    DEFAULT_CSS = """
    DataPage > .summary { height: auto; max-height: 4; color: $text-muted; padding: 0 1; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app)
        self._summary = Static("", markup=False, classes="summary")
        self._table = TablePane(empty="No rows yet.")
        self._offset = 0
        self._pod = ""
        self._grid: Grid | None = None
        self._columns: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield self._table
        yield self._summary

    async def load(self, pod: PodInfo) -> None:
        """Show the rows of the window."""
        if pod.name != self._pod:
            self._pod, self._offset = pod.name, 0
        grid = await self.spice.fetch(
            Grid, "pods.grid", pod=pod.name, offset=self._offset, limit=WINDOW
        )
        self._grid = grid
        columns = grid_rows.columns_of(grid)
        if columns != self._columns:
            self._columns = columns
            self._table.table.set_columns(columns)
        self._table.show(grid_rows.rows_of(grid), clock.now())
        bad = grid_rows.bad_lines(grid)
        self._summary.update(grid_rows.summary(grid) + (f"\n{bad}" if bad else ""))

    def refused(self, error: SpiceError) -> None:
        """Show why there are no rows."""
        self._table.show(())
        self._summary.update(str(error))

    @on(GridTable.Highlighted)
    def _moved(self, event: GridTable.Highlighted) -> None:
        event.stop()
        grid = self._grid
        if grid is None or not event.key or self._table.table.model.filter:
            return
        number = int(event.key)
        last = grid.offset + len(grid.cells) - 1
        if number == last and last + 1 < grid.rows:
            self._offset += STEP
        elif number == grid.offset and grid.offset > 0:
            self._offset = max(0, self._offset - STEP)
        else:
            return
        self.reload()
