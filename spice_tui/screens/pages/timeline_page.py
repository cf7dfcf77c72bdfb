"""The page *Timeline*: the pod's data with the action it takes at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.widgets import Static

from spice_engine.protocol.views import Timeline
from spice_tui.screens.pages.pod_page import PodPage
from spice_tui.screens.pages.stepper_page import StepperPage
from spice_tui.widgets.timeline import DecisionTimeline

if TYPE_CHECKING:
    from spice_engine.errors import SpiceError
    from spice_engine.protocol.pods import PodInfo
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class TimelinePage(PodPage):
    """Zooming asks for finer data; enter walks on from the crosshair, step by step."""

    DEFAULT_CSS = """
    TimelinePage DecisionTimeline { height: 1fr; }
    TimelinePage Static { height: auto; max-height: 3; color: $text-muted; padding: 0 1; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app)
        self._timeline = DecisionTimeline()
        self._note = Static("", markup=False)
        self._range: tuple[int, int] | None = None
        self._pod = ""

    def compose(self) -> ComposeResult:
        yield self._timeline
        yield self._note

    def state_of(self, pod: PodInfo) -> object:
        """A wider page shows finer data."""
        return (super().state_of(pod), self._points())

    def show(self, world: World) -> None:
        """Load what is outdated, but not before it is known for how wide a page."""
        if self.size.width:
            super().show(world)

    def on_resize(self, event: events.Resize) -> None:
        """The first time, or wider or narrower than it was."""
        self.show(self.spice.world)

    async def load(self, pod: PodInfo) -> None:
        """Show the part that is seen."""
        if pod.name != self._pod:
            self._pod, self._range = pod.name, None
        start, end = self._range or (None, None)
        data = await self.spice.fetch(
            Timeline, "pods.timeline", pod=pod.name, start=start, end=end, points=self._points()
        )
        self._timeline.show(data)
        self._note.update("" if data.policy_version else "Not trained yet: no action is chosen.")

    def _points(self) -> int:
        """Two for each column, as many as a chart's dots."""
        return max(60, 2 * self.size.width)

    def refused(self, error: SpiceError) -> None:
        """Show why there is nothing to show."""
        self._timeline.show(None)
        self._note.update(str(error))

    @on(DecisionTimeline.RangeWanted)
    def _range_wanted(self, event: DecisionTimeline.RangeWanted) -> None:
        self._range = (event.start, event.end)
        self.reload()

    @on(DecisionTimeline.Picked)
    def _picked(self, event: DecisionTimeline.Picked) -> None:
        self.spice.begin(self._walk_on(event.moment))

    async def _walk_on(self, moment: int) -> None:
        await self.spice.action_stepper()
        page = self.screen.query(StepperPage)
        if page:
            page.first().go_to_time(moment)
