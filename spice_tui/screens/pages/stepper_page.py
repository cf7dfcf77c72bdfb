"""The page *Steps*: one step of the pod, what each action earns in it, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from spice_engine.protocol.views import Step
from spice_tui.screens.pages.pod_page import PodPage
from spice_tui.widgets.stepper import RewardStepper

if TYPE_CHECKING:
    from spice_engine.errors import SpiceError
    from spice_engine.protocol.pods import PodInfo
    from spice_tui.app import SpiceApp


class StepperPage(PodPage):
    """Begins at the newest step."""

    DEFAULT_CSS = """
    StepperPage RewardStepper { height: 1fr; }
    StepperPage Static { height: auto; max-height: 4; color: $text-muted; padding: 0 1; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(app)
        self._stepper = RewardStepper()
        self._note = Static("", markup=False)
        self._place: dict[str, Any] = {}
        self._pod = ""
        self._asked = False

    def compose(self) -> ComposeResult:
        yield self._stepper
        yield self._note

    async def load(self, pod: PodInfo) -> None:
        """Show the step."""
        if pod.name != self._pod:
            # Another pod begins at its newest step, unless one was asked for on the way here.
            self._place = self._place if self._asked else {}
            self._pod = pod.name
        self._asked = False
        place = self._place
        step = await self.spice.fetch(Step, "pods.step", pod=pod.name, **place)
        if self._place is place:  # else another one was asked for meanwhile
            self._place = {"row": step.row}
        self._stepper.show(step)
        self._note.update("")

    def refused(self, error: SpiceError) -> None:
        """Show why there is none."""
        self._note.update(str(error))

    def go_to_row(self, row: int) -> None:
        """Show the step of this row."""
        self._place, self._asked = {"row": row}, True
        self.reload()

    def go_to_time(self, moment: int) -> None:
        """Show the step at a time (Unix seconds)."""
        self._place, self._asked = {"time": moment}, True
        self.reload()

    @on(RewardStepper.StepWanted)
    def _wanted(self, event: RewardStepper.StepWanted) -> None:
        self.go_to_row(event.row)
