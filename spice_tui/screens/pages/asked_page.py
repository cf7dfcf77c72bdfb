"""What the pages have in common that show what was asked about the chosen pod."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult

from spice_tui.models.questions import Question, Questions
from spice_tui.models.styled import Line
from spice_tui.widgets.asked import AskedPane
from spice_tui.widgets.pane import Page

if TYPE_CHECKING:
    from spice_engine.protocol.pods import PodInfo
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World

Rows = Callable[[Question | None, Question | None, Any, int | None, int], list[Line]]
"""Makes the rows of the kept and of the asked question, what else is drawn, the version that
serves, and a width."""


class AskedPage(Page):
    """One question a pod at a time, beside everything else; its answer is kept."""

    def __init__(self, app: SpiceApp, pane: AskedPane, rows: Rows) -> None:
        super().__init__()
        self.spice = app
        self._pane = pane
        self._rows = rows
        self.questions = Questions(app.begin, self._changed)
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        yield self._pane

    def opened(self) -> None:
        """Draw what there is now."""
        self._changed()

    def _changed(self) -> None:
        self.show(self.spice.world)

    def show(self, world: World) -> None:
        """Draw again when something else is known of the chosen pod."""
        pod = self.spice.pod
        known = world.pods.get(pod)
        serving = known.policy_version if known else None
        kept, asked = self.questions.kept(pod), self.questions.asked(pod)
        state = (pod, kept, asked, serving, self.more(world, pod, asked))
        if self.is_attached and state != self._drawn:
            self._drawn = state
            more = state[-1]
            self._pane.show(lambda width: self._rows(kept, asked, more, serving, width))

    def more(self, world: World, pod: str, asked: Question | None) -> Any:
        """What else of the world is drawn."""
        del world, pod, asked

    def ask(self, pod: PodInfo, about: Sequence[str], answer: Awaitable[Any]) -> None:
        """Ask about a pod, beside everything else."""
        self.questions.ask(pod.name, about, pod.policy_version, answer)

    @on(AskedPane.GivenUp)
    def _given_up(self, event: AskedPane.GivenUp) -> None:
        event.stop()
        self.questions.give_up(self.spice.pod)
