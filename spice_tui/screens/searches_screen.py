"""The searches: how far each is; of the chosen one the trials, and pictures that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from spice_engine.protocol.searches import (
    Importance,
    ImportanceList,
    SearchInfo,
    SearchList,
    TrialInfo,
    TrialList,
)
from spice_tui.models import clock
from spice_tui.models.search_rows import SEARCHES, search_rows, trial_columns, trial_rows
from spice_tui.models.search_view import (
    ACTIVE_SEARCH,
    SearchPictures,
    best_words,
    trial_words,
    valued,
)
from spice_tui.models.styled import LABEL, Line
from spice_tui.screens.following_dialog import FollowingDialog
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.scroll_picture import ScrollPicture
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp


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
    CONTEXT = "search"
    BINDINGS = bindings("search")
    DEFAULT_CSS = """
    SearchesScreen > .frame { width: 98%; max-width: 240; height: 94%; }
    SearchesScreen .searches { height: 28%; }
    SearchesScreen .below { height: 1fr; border-top: solid $primary; }
    SearchesScreen .trials { width: 5fr; }
    SearchesScreen Pictures { width: 4fr; margin-left: 1; }
    SearchesScreen.-narrow .searches { height: 1fr; }
    SearchesScreen.-narrow .below { border: none; }
    SearchesScreen Static { height: auto; max-height: 3; color: $text-muted; }
    """

    def __init__(self, app: SpiceApp, number: int = 0) -> None:
        super().__init__(app)
        self._number = number
        self._search: SearchInfo | None = None
        self._states: dict[int, str] = {}
        self._known: dict[str, TrialInfo] = {}
        self._columns: tuple[str, ...] = ()
        self._table = TablePane(
            SEARCHES,
            empty="No search yet. spice-tui hyper starts one over a command or a pod.",
            classes="searches",
        )
        self._trials = TablePane(empty="No trial yet.", classes="trials")
        self._pictures = Pictures()
        self._below = Horizontal(classes="below")

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Searches"
            yield self._table
            with self._below:
                yield self._trials
                yield self._pictures
            yield self.note

    def on_mount(self) -> None:
        self._table.table.focus()

    async def load(self) -> None:
        """Show the table and the chosen one anew."""
        found = await self.spice.fetch(SearchList, "searches.list")
        self._table.show(search_rows(found.searches), clock.now())
        self._states = {one.id: one.state for one in found.searches}
        if self._number not in self._states:
            self._number = max(self._states, default=0)
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
        self._search, self._known = search, {str(one.number): one for one in trials}
        self._trials.show(trial_rows(search, trials), clock.now())
        self._pictures.show(search, trials, importance)
        if not self.said:
            self._tell()

    def _tell(self) -> None:
        """All about the trial that one looks at, or how far the search is."""
        if self._search is None:
            return
        row = self._trials.table.model.current if self.part == 1 else None
        trial = self._known.get(row.key) if row is not None else None
        search, self.said = self._search, False
        self.note.update(
            trial_words(search, trial)
            if trial is not None
            else f"Search {search.id}: {best_words(search)}"
        )

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        event.stop()
        ours = event.control is self._table.table
        if ours and event.key and int(event.key) != self._number:
            self._number, self.said = int(event.key), False
            self.work(self._show_search)
        elif not ours:
            self._tell()

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        if event.control is self._table.table:
            self.go_to(self._trials)
            return
        trial = self._known.get(event.key)
        run = trial.run if trial is not None else None
        if run is None:
            self.say(f"Trial {event.key} has no run yet.")
        else:
            self.dismiss(run)

    @property
    def parts(self) -> Sequence[Widget]:
        """The searches, the trials, the pictures."""
        return (self._table, self._trials, self._pictures)

    def part_chosen(self) -> None:
        """Where there is room for one part only, that is the one with the focus."""
        at, narrow = self.part, self.narrow
        self._table.display = not narrow or at == 0
        self._below.display = not narrow or at > 0
        self._trials.display = not narrow or at == 1
        self._pictures.display = not narrow or at == 2
        self._tell()

    def action_stop(self) -> None:
        """Stop the chosen search; its runs keep their outputs."""
        self._end("stop", "stopped")

    def action_kill(self) -> None:
        """End the chosen search and its runs at once."""
        self._end("kill", "killed")

    def action_archive(self) -> None:
        """Put the chosen search away."""
        if self._number:
            self.work(self._archive, self._number)

    async def _archive(self, number: int) -> None:
        await self.spice.ask("searches.archive", id=number)
        self.look_again()

    def _end(self, how: str, done: str) -> None:
        number = self._number
        state = self._states.get(number, "")
        if state in ACTIVE_SEARCH:
            self.later(f"search {number} is {done}", f"searches.{how}", id=number)
        elif state:
            self.say(f"Search {number} is over: {state}.")
