"""View 9: a question in SQL, its answer as a table and as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, Static

from spice_engine.errors import SpiceError
from spice_engine.protocol.engine import QueryResult
from spice_tui.models import clock, sql_answer
from spice_tui.models.chart_view import ChartInput
from spice_tui.screens.view import View
from spice_tui.widgets.chart import Chart
from spice_tui.widgets.pane import Pane
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World

LIMIT = 5000
TABLES = (
    "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
    "ORDER BY name"
)


class SqlView(View):
    """`enter` in the line asks; the chart draws columns that are numbers."""

    DEFAULT_CSS = """
    SqlView #sql-line { height: 4; }
    SqlView Input { border: none; height: 1; padding: 0; }
    SqlView #sql-table { height: 2fr; }
    SqlView #sql-chart { height: 1fr; }
    SqlView #sql-chart.-none { display: none; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("sql")
        self._app = app
        self._input = Input(placeholder="SELECT …; empty lists the tables", compact=True)
        self._input.cursor_blink = False
        self._note = Static("", markup=False)
        self._table = TablePane(empty="No rows.")
        self._chart = Chart()
        self.answer: QueryResult | None = None

    def compose(self) -> ComposeResult:
        yield Pane("SQL", self._input, self._note, id="sql-line")
        yield Pane("Answer", self._table, id="sql-table")
        yield Pane("Chart", self._chart, id="sql-chart", classes="-none")

    def show(self, world: World) -> None:
        """Answers stand until the next question."""

    async def ask(self, question: str) -> None:
        """Ask, and show the answer.

        Raises:
            SpiceError: what is wrong with the question.
        """
        self._input.value = question
        try:
            answer = await self._app.fetch(
                QueryResult, "store.query", sql=question or TABLES, limit=LIMIT
            )
        except SpiceError as error:
            self._note.update(str(error))
            return
        self.answer = answer
        more = f" (the first {LIMIT:,}; there are more)" if answer.truncated else ""
        self._note.update(f"{len(answer.rows):,} rows{more}")
        self._table.table.set_columns(sql_answer.columns_of(answer))
        self._table.show(sql_answer.rows_of(answer), clock.now())
        if answer.rows:
            self._table.table.focus()
        series = sql_answer.series_of(answer)
        self.query_one("#sql-chart").set_class(not series, "-none")
        if series:
            self._chart.show(ChartInput(series))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._app.begin(self.ask(event.value.strip()))
