"""The page *Rewards*: the pod's trainings between random, best constant and oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult

from spice_tui.models import verdict
from spice_tui.models.curves import CurveOptions, Curves
from spice_tui.widgets.chart import Chart
from spice_tui.widgets.pane import Page
from spice_tui.widgets.words import Words

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World

COMPARED = 4
"""Earlier trainings shown when comparing."""


class GraphPage(Page):
    """The curve of the newest training, live; a preview of unsaved edits is dashed beside it."""

    DEFAULT_CSS = """
    GraphPage Chart { height: 1fr; }
    GraphPage Words { height: 2; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__()
        self._app = app
        self._chart = Chart()
        self._verdict = Words()
        self._curves = Curves()
        self._options = CurveOptions()
        self._drawn: tuple[object, ...] = ()
        self._pod = ""

    def compose(self) -> ComposeResult:
        yield self._chart
        yield self._verdict

    def opened(self) -> None:
        """Draw what there is now."""
        self.show(self._app.world)

    def show(self, world: World) -> None:
        """Draw again when something was added."""
        pod = self._app.pod
        if not pod or not self.is_attached:
            return
        if pod != self._pod:
            self._pod, self._curves = pod, Curves()
        preview = world.previews.get(pod)
        known = world.pods.get(pod)
        state = (pod, known, world.trainings, world.episodes, preview, self._options)
        if self._drawn and all(new is old for new, old in zip(state, self._drawn, strict=True)):
            return
        self._drawn = state
        trainings = world.trainings_of(pod)
        self._chart.show(self._curves.chart(trainings, preview, self._options))
        said = verdict.of_pod(known, preview)
        self._verdict.say(said)

    @on(Chart.CompareWanted)
    def _compare(self) -> None:
        """Step through: the current one, earlier ones beside it, members of the current one."""
        now = self._options
        if now.members:
            self._options = CurveOptions(now.measure)
        elif now.compare:
            self._options = CurveOptions(now.measure, members=True)
        else:
            self._options = CurveOptions(now.measure, compare=COMPARED)
        self.show(self._app.world)

    @on(Chart.ExportWanted)
    def _export(self) -> None:
        self._app.prompt.open(f"write {self._app.pod}-rewards.csv")

    @on(Chart.Picked)
    def _picked(self, event: Chart.Picked) -> None:
        self._app.begin(self._app.action_evaluation())
