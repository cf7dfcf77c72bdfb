"""The reward stepper: what each action would earn in a step, and the code that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from spice_tui.models.step_view import lines
from spice_tui.models.styled import LABEL, Line
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.scroll_picture import ScrollPicture

if TYPE_CHECKING:
    from spice_engine.protocol.views import Step

_FAR = 10


class RewardStepper(ScrollPicture):
    """Give a step by `show`; another one is asked for by `StepWanted`."""

    CONTEXT = "stepper"
    BINDINGS = bindings("stepper")

    class StepWanted(Message):
        """A person wants to see the step of this row."""

        def __init__(self, stepper: RewardStepper, row: int) -> None:
            super().__init__()
            self.stepper = stepper
            self.row = row

        @property
        def control(self) -> RewardStepper:
            """The stepper, for `@on` with a selector."""
            return self.stepper

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._step: Step | None = None
        self._wanted = 0

    def show(self, step: Step | None) -> None:
        """Show this step; None: there is none."""
        self._step = step
        self._wanted = step.row if step else 0
        self.renew()

    def lines(self, width: int) -> list[Line]:
        """The stepper's rows."""
        if self._step is None:
            return [Line().add("No step to show yet.", LABEL)]
        return lines(self._step, width)

    def _want(self, row: int) -> None:
        if self._step is None:
            return
        # Steps asked for count from the last one asked for: keys may come faster than answers.
        row = min(max(row, 0), self._step.rows - 1)
        if row != self._wanted:
            self._wanted = row
            self.post_message(self.StepWanted(self, row))

    def action_before(self) -> None:
        """See the step before."""
        self._want(self._wanted - 1)

    def action_next(self) -> None:
        """See the next step."""
        self._want(self._wanted + 1)

    def action_far_before(self) -> None:
        """Go ten steps back."""
        self._want(self._wanted - _FAR)

    def action_far_next(self) -> None:
        """Go ten steps on."""
        self._want(self._wanted + _FAR)

    def action_first(self) -> None:
        """See the first step."""
        self._want(0)

    def action_last(self) -> None:
        """See the last step."""
        if self._step is not None:
            self._want(self._step.rows - 1)
