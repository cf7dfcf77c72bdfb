"""A small chart of how the chosen pod went from training to training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_tui.models import metric_series
from spice_tui.models.chart_view import ChartInput
from spice_tui.widgets.chart import Chart

if TYPE_CHECKING:
    from spice_tui.models.world import World


class MetricsStrip(Chart):
    """Draws the regret closed of each training of a pod."""

    def __init__(self) -> None:
        super().__init__(ChartInput(empty="No training yet."))
        self._drawn: object = None

    def show_pod(self, world: World, pod: str) -> None:
        """Draw again when a training was added."""
        state = (pod, world.trainings, len(world.episodes))
        if state == self._drawn:
            return
        self._drawn = state
        series = [
            one
            for one in metric_series.of_pod(world.trainings_of(pod))
            if one.key.startswith("regret")
        ]
        data = ChartInput(
            tuple(series), title="regret closed", x_kind="whole", empty="No training yet."
        )
        self.show(data)
