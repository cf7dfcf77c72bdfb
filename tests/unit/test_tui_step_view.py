"""One step as rows."""

from __future__ import annotations

from spice_engine.protocol.views import Step, StepReward
from spice_tui.models.step_view import changes, lines

STEP = Step(
    "trader",
    11,
    500,
    1_700_006_400,
    1_700_010_000,
    {"price": 1.5, "load": 3.0, "flag": None},
    {"price": 1.75, "load": 3.0, "flag": 1.0},
    [
        StepReward("buy", 1.25, file="pod.yaml", line=31, code="  reward = next_price - price"),
        StepReward("sell", -0.5, file="pod.yaml", line=33, code="reward = 1"),
        StepReward("hold", None, "division by zero"),
        StepReward("lend", 0.1, lawful=False),
    ],
    chosen="sell",
    best="buy",
    held_out=True,
)


def row(begin: str) -> str:
    """The first row with this word."""
    return next(line.text for line in lines(STEP, 100) if begin in line.text)


def test_differences_are_marked() -> None:
    assert [one.name for one in changes(STEP) if one.differs] == ["price", "flag"]
    assert row("price ").split() == ["▲", "price", "1.5", "1.75", "+0.25"]
    assert row("load").split() == ["load", "3", "3"]
    assert row("flag").split() == ["◆", "flag", "-", "1", "-"]


def test_rewards_have_bars_marks_and_their_line_of_code() -> None:
    assert row("buy  ").split() == ["✓", "buy", "1.25", "█" * 12]
    assert row("sell").split()[:3] == ["▌", "sell", "-0.5"]
    assert "pod.yaml:31: reward = next_price - price" in row("pod.yaml:31")
    assert "division by zero" in row("hold")
    assert "not lawful here" in row("lend")


def test_where_and_when() -> None:
    head = lines(STEP, 80)[0].text
    assert head == "Step 12 of 500  2023-11-15 00:00 to 2023-11-15 01:00  held out"
