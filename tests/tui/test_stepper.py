"""The reward stepper on a screen."""

from __future__ import annotations

from textual.app import App, ComposeResult

from spice_engine.protocol.views import Step, StepReward
from spice_tui.widgets.stepper import RewardStepper


def step(row: int) -> Step:
    """One of 30."""
    return Step(
        "pod",
        row,
        30,
        row * 60,
        row * 60 + 60,
        {"a": 1.0},
        {"a": 2.0},
        [
            StepReward("buy", float(row), file="pod.yaml", line=3, code="reward = a"),
        ],
    )


class Host(App[None]):
    """An app with a stepper and what it asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[int] = []

    def compose(self) -> ComposeResult:
        yield RewardStepper()

    def on_reward_stepper_step_wanted(self, event: RewardStepper.StepWanted) -> None:
        self.wanted.append(event.row)


async def test_keys_ask_for_steps_even_before_answers_come() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        stepper = app.query_one(RewardStepper)
        stepper.focus()
        await pilot.press("l")
        await pilot.pause()
        assert app.wanted == []
        stepper.show(step(3))
        await pilot.pause()
        text = "\n".join(stepper.page.render_line(y).text for y in range(stepper.page.size.height))
        assert "Step 4 of 30" in text
        assert "pod.yaml:3: reward = a" in text
        await pilot.press("l", "right", "h", "L", "G", "l", "g", "h")
        await pilot.pause()
        assert app.wanted == [4, 5, 4, 14, 29, 0]
