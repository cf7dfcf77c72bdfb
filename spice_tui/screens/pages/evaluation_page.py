"""The page *Evaluation*: how good the pod's policy is, in sample and held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from spice_tui.widgets.evaluation import EvaluationPane
from spice_tui.widgets.pane import Page

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class EvaluationPage(Page):
    """Shows the evaluation of the policy that serves."""

    def __init__(self, app: SpiceApp) -> None:
        super().__init__()
        self._app = app
        self._pane = EvaluationPane()
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        yield self._pane

    def opened(self) -> None:
        """Draw what there is now."""
        self.show(self._app.world)

    def show(self, world: World) -> None:
        """Draw again when it is another evaluation."""
        pod = world.pods.get(self._app.pod)
        evaluation = pod.evaluation if pod else None
        if self.is_attached and (self._drawn is None or evaluation is not self._drawn):
            self._drawn = evaluation
            self._pane.show(evaluation)
