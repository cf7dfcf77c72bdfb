"""The page *Policy*: which action it takes when, by which rules, and what it looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from spice_engine.protocol.judging import PolicyExplanation
from spice_tui.models import policy_view
from spice_tui.models.questions import Question
from spice_tui.models.short_names import ShortNames, short_names
from spice_tui.screens.pages.asked_page import AskedPage
from spice_tui.widgets.asked import AskedPane, PolicyPane

if TYPE_CHECKING:
    from spice_engine.protocol.pods import PodInfo
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World

SERVING = "latest"


class PolicyPage(AskedPage):
    """An answer is kept until one asks again; of an older policy it says so."""

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app, PolicyPane(), policy_view.lines)

    def more(self, world: World, pod: str, asked: Question | None) -> ShortNames:
        """What names of fields may be left out of."""
        del asked
        known = world.pods.get(pod)
        return short_names(known.dataspaces, known.fields) if known else ShortNames()

    def explain(self, pod: PodInfo, version: str = "") -> None:
        """Have a version explained; without one the policy that serves, unless that is known."""
        kept = self.questions.kept(pod.name)
        found: PolicyExplanation | None = kept.answer if kept is not None else None
        known = found is not None and found.policy_version == pod.policy_version
        if version or not known:
            self._ask(pod, version)

    def _ask(self, pod: PodInfo, version: str = "") -> None:
        alias = version or SERVING
        answer = self.spice.fetch(PolicyExplanation, "pods.explain", pod=pod.name, alias=alias)
        self.ask(pod, [version] if version else [], answer)

    @on(AskedPane.Wanted)
    def _wanted(self, event: AskedPane.Wanted) -> None:
        event.stop()
        if pod := self.spice.world.pods.get(self.spice.pod):
            self._ask(pod)
