"""The searches: how far each is; of the chosen one the trials, and pictures that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from spice_engine.protocol.searches import (
    Importance,
    ImportanceList,
    SearchInfo,
    SearchList,
    TrialInfo,
    TrialList,
)
from spice_tui.models import clock
from spice_tui.models.search_view import (
    SEARCHES,
    SearchPictures,
    best_words,
    search_rows,
    trial_columns,
    trial_rows,
    valued,
)
from spice_tui.models.styled import LABEL, Line
from spice_tui.screens.following_dialog import FollowingDialog
from spice_tui.widgets.scroll_picture import ScrollPicture
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp

HINT = (
    "enter: its trials, then the log of one   tab: trials, pictures   X stops   K kills"
    "   D puts away   esc leaves"
)


class Pictures(ScrollPicture):
    """The best so far, parallel coordinates and importance of one search."""

    def __init__(self) -> None:
        super().__init__()
        self._pictures = SearchPictures()
        self._search: SearchInfo | None = None
        self._trials: Sequence[TrialInfo] = ()
        self._importance: Sequence[Importance] = ()

    def show(
        self, search: SearchInfo, trials: Sequence[TrialInfo], importance: Sequence[Importance]
    ) -> None:
        """Draw this search."""
        self._search, self._trials, self._importance = search, trials, importance
        self.renew()

    def lines(self, width: int) -> list[Line]:
        """The rows for a width."""
        if self._search is None:
            return [Line().add("No search is chosen.", LABEL)]
        return self._pictures.lines(self._search, self._trials, self._importance, width)


class SearchesScreen(FollowingDialog[int]):
    """Two tables and pictures. Answers the run whose log a person wants to see."""

    TOPIC = "searches"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q", "leave", "Leave"),
        ("tab", "other", "The next part"),
        ("X", "end('stop')", "Stop"),
        ("K", "end('kill')", "Kill"),
        ("D", "end('archive')", "Put away"),
    ]
    DEFAULT_CSS = """
    SearchesScreen > .frame { width: 98%; max-width: 240; height: 94%; }
    SearchesScreen .searches { height: 28%; }
    SearchesScreen .below { height: 1fr; border-top: solid $primary; }
    SearchesScreen .trials { width: 1fr; }
    SearchesScreen Pictures { width: 1fr; margin-left: 1; }
    SearchesScreen Static { height: auto; max-height: 3; color: $text-muted; }
    """

    def __init__(self, app: SpiceApp, number: int = 0) -> None:
        super().__init__(app, HINT)
        self._number = number
        self._runs: dict[str, int | None] = {}
        self._columns: tuple[str, ...] = ()
        self._table = TablePane(
            SEARCHES,
            empty="No search yet. spice-tui hyper starts one over a command or a pod.",
            classes="searches",
        )
        self._trials = TablePane(empty="No trial yet.", classes="trials")
        self._pictures = Pictures()

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Searches"
            yield self._table
            with Horizontal(classes="below"):
                yield self._trials
                yield self._pictures
            yield self.note

    def on_mount(self) -> None:
        self._table.table.focus()

    async def load(self) -> None:
        """Show the table and the chosen one anew."""
        found = await self.spice.fetch(SearchList, "searches.list")
        self._table.show(search_rows(found.searches), clock.now())
        numbers = {one.id for one in found.searches}
        if self._number not in numbers:
            self._number = max(numbers, default=0)
        elif self._number:
            self._table.table.go_to(str(self._number))
        await self._show_search()

    async def _show_search(self) -> None:
        number = self._number
        if not number:
            return
        search = await self.spice.fetch(SearchInfo, "searches.get", id=number)
        trials = (await self.spice.fetch(TrialList, "searches.trials", id=number)).trials
        importance: Sequence[Importance] = ()
        if len(valued(trials)) >= 3:
            told = await self.spice.fetch(ImportanceList, "searches.importance", id=number)
            importance = told.parameters
        if number != self._number:
            return  # another one was chosen meanwhile
        columns = trial_columns(search)
        if self._columns != (names := tuple(column.key for column in columns)):
            self._columns = names
            self._trials.table.set_columns(columns)
        self._runs = {str(one.number): one.run for one in trials}
        self._trials.show(trial_rows(trials), clock.now())
        self._pictures.show(search, trials, importance)
        self.note.update(f"Search {number}: {best_words(search)}\n{HINT}")

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        event.stop()
        ours = event.control is self._table.table
        if ours and event.key and int(event.key) != self._number:
            self._number = int(event.key)
            self.work(self._show_search())

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        if event.control is self._table.table:
            self._trials.table.focus()
            return
        run = self._runs.get(event.key)
        if run is None:
            self.note.update(f"Trial {event.key} is no run.")
        else:
            self.dismiss(run)

    def action_other(self) -> None:
        """From the searches to the trials, to the pictures, and back."""
        parts = (self._table.table, self._trials.table, self._pictures)
        at = next((number for number, part in enumerate(parts) if part.has_focus), 0)
        parts[(at + 1) % len(parts)].focus()

    def action_end(self, how: str) -> None:
        """Stop, kill or archive the chosen search."""
        if self._number:
            self.work(self._end(how))

    async def _end(self, how: str) -> None:
        await self.spice.ask(f"searches.{how}", id=self._number)
        self.look_again()
