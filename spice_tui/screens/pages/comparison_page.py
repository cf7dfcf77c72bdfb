"""The page *Compare*: which of some versions or algorithms is better, or that one cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual import on

from spice_engine.protocol.judging import Comparison
from spice_tui.models import comparison_view
from spice_tui.models.questions import Question
from spice_tui.screens.pages.asked_page import AskedPage
from spice_tui.widgets.asked import AskedPane, ComparisonPane

if TYPE_CHECKING:
    from spice_engine.protocol.pods import PodInfo
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class ComparisonPage(AskedPage):
    """The last comparison of each pod; while algorithms are trained, how far that is."""

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app, ComparisonPane(), comparison_view.lines)
        self._chosen: dict[str, tuple[str, ...]] = {}

    def more(self, world: World, pod: str, asked: Question | None) -> Any:
        """How far what is asked for is."""
        return comparison_view.progress_of(world.comparisons.values(), pod, asked)

    def chosen(self, pod: str) -> tuple[str, ...]:
        """What was asked for last, also if it was given up."""
        return self._chosen.get(pod, ())

    def compare(self, pod: PodInfo, policies: Sequence[str]) -> None:
        """Compare these, versions or algorithms."""
        self._chosen[pod.name] = tuple(policies)
        self.spice.link.want("comparisons")
        first, second, *others = policies
        answer = self.spice.fetch(
            Comparison, "pods.compare", pod=pod.name, first=first, second=second, others=others
        )
        self.ask(pod, policies, answer)

    @on(AskedPane.Wanted)
    def _wanted(self, event: AskedPane.Wanted) -> None:
        event.stop()
        self.spice.begin(self.spice.action_compare_policies())
