"""View 3: training runs of all pods, one by one, and searches over parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on

from spice_tui.models import clock, details
from spice_tui.models.rows import TRIALS, trial_rows
from spice_tui.models.search_rows import SEARCH_KEY, as_trainings
from spice_tui.models.search_view import best_words, search_title
from spice_tui.screens.list_view import ListView
from spice_tui.widgets.table import GridTable

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class TrialsView(ListView):
    """Enter shows the reward graph of the training's pod, or a search with its trials."""

    TITLE = "Training runs"
    COLUMNS = TRIALS
    EMPTY = "Nothing was trained yet: :train POD, or spice-tui hyper for a search."

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("trials", app)

    @property
    def contexts(self) -> tuple[str, ...]:
        """Keys on a pod are none on a search: they would go for a pod that is not on show."""
        row = self.table.table.model.current
        return () if row is not None and row.key.startswith(SEARCH_KEY) else self.CONTEXTS

    def tell(self) -> None:
        """Say what there is to say about the row, and which keys work on it."""
        super().tell()
        if self.spice.current_view is self:
            self.spice.show_keys()

    def opened(self) -> None:
        """Episodes of all pods are wanted."""
        self.spice.link.want("searches")
        for pod in self.spice.world.pods:
            self.spice.link.want_history(pod)

    def show(self, world: World) -> None:
        """Show what is new."""
        rows = as_trainings(world.searches.values())
        self.table.show([*rows, *trial_rows(world.trainings.values(), world)], clock.now())
        self.tell()

    def describe(self, key: str) -> str:
        """Everything about a training run."""
        world = self.spice.world
        if key.startswith(SEARCH_KEY):
            search = world.searches.get(int(key.removeprefix(SEARCH_KEY)))
            return "" if search is None else f"{search_title(search)}\n\n{best_words(search)}"
        info = world.trainings.get(key)
        if info is None:
            return ""
        return details.of_training(replace(info, episodes=list(world.episodes.get(key, ()))))

    def pod_of(self, key: str) -> str:
        """The pod that was trained; empty of a search."""
        return key.rpartition("/")[0]

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        if event.key.startswith(SEARCH_KEY):
            self.spice.begin(self.spice.action_searches(event.key.removeprefix(SEARCH_KEY)))
        else:
            self.spice.begin(self.spice.action_graph(self.pod_of(event.key)))
