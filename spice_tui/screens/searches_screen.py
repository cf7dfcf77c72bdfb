"""The searches: how far each is; of the chosen one the trials, and pictures that follow them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from spice_engine.errors import SpiceError
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
from spice_tui.screens.dialog import Dialog
from spice_tui.widgets.scroll_picture import ScrollPicture
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp

TOPIC = "searches"
HINT = "enter: its trials, then the log of one   X stops   K kills   D puts away   esc leaves"
AGAIN_SECONDS = 0.2
"""Between two looks at a search whose trials end fast."""


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


class SearchesScreen(Dialog[int]):
    """Two tables and pictures. Answers the run whose log a person wants to see."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q", "leave", "Leave"),
        ("tab", "other", "The other table"),
        ("X", "end('stop')", "Stop"),
        ("K", "end('kill')", "Kill"),
        ("D", "end('archive')", "Put away"),
    ]
    DEFAULT_CSS = """
    SearchesScreen > .frame { width: 98%; max-width: 240; height: 94%; }
    SearchesScreen .searches { height: 28%; }
    SearchesScreen .below { height: 1fr; border-top: solid $primary; }
    SearchesScreen .trials { width: 1fr; }
    SearchesScreen Pictures { width: 1fr; }
    SearchesScreen Static { height: auto; max-height: 3; color: $text-muted; }
    """

    def __init__(self, app: SpiceApp, number: int = 0) -> None:
        super().__init__()
        self._spice = app
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
        self._note = Static(HINT, markup=False)
        self._dirty = asyncio.Event()

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Searches"
            yield self._table
            with Horizontal(classes="below"):
                yield self._trials
                yield self._pictures
            yield self._note

    def on_mount(self) -> None:
        self._table.table.focus()
        self._spice.link.follow(TOPIC, self._changed)
        self._dirty.set()
        self.run_worker(self._keep_up())

    def on_unmount(self) -> None:
        self._spice.link.unfollow(TOPIC, self._changed)

    def _changed(self, _: Mapping[str, Any]) -> None:
        self._dirty.set()

    async def _keep_up(self) -> None:
        """Show what is new; what changes meanwhile is shown by the next look."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._saying(self._load())
            await asyncio.sleep(AGAIN_SECONDS)

    async def _load(self) -> None:
        found = await self._spice.fetch(SearchList, "searches.list")
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
        search = await self._spice.fetch(SearchInfo, "searches.get", id=number)
        trials = (await self._spice.fetch(TrialList, "searches.trials", id=number)).trials
        importance: Sequence[Importance] = ()
        if len(valued(trials)) >= 3:
            told = await self._spice.fetch(ImportanceList, "searches.importance", id=number)
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
        self._note.update(f"Search {number}: {best_words(search)}\n{HINT}")

    def _work(self, work: Coroutine[Any, Any, None]) -> None:
        self.run_worker(self._saying(work))

    async def _saying(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SpiceError as error:
            self._note.update(str(error))

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        event.stop()
        ours = event.control is self._table.table
        if ours and event.key and int(event.key) != self._number:
            self._number = int(event.key)
            self._work(self._show_search())

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        if event.control is self._table.table:
            self._trials.table.focus()
            return
        run = self._runs.get(event.key)
        if run is None:
            self._note.update(f"Trial {event.key} is no run.")
        else:
            self.dismiss(run)

    def action_other(self) -> None:
        """From the one table to the other."""
        trials = self._trials.table
        (self._table.table if trials.has_focus else trials).focus()

    def action_end(self, how: str) -> None:
        """Stop, kill or archive the chosen search."""
        if self._number:
            self._work(self._end(how))

    async def _end(self, how: str) -> None:
        await self._spice.ask(f"searches.{how}", id=self._number)
        self._dirty.set()
