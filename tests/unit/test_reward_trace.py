"""Which line gave a reward: the last assignment that was carried out, wherever it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice_engine.errors import InvalidRewards
from spice_engine.learning.reward_file import forget, load_reward_file
from spice_engine.learning.reward_program import compile_rewards
from spice_engine.learning.reward_trace import traced_reward
from spice_engine.learning.source import Source

FIELDS = ["x"]
BRANCHES = """\
reward = 0
if current_state["x"] > 10:
    reward = 1
elif current_state["x"] > 5:
    reward += (
        2
    )
for step in range(3):
    if current_state["x"] == step:
        reward = 7
unused = reward
"""


def traced(code: str, x: float, init: str | None = None):
    start = Source(init, "pod.yaml", 3, 5) if init else None
    source = Source(code, "pod.yaml", 20, 9)
    program = compile_rewards(["go"], FIELDS, start, {"go": source})
    (reward,) = program.rewards
    return traced_reward(reward, [x] * len(reward.arguments), start)


@pytest.mark.parametrize(
    ("x", "value", "line", "code"),
    [
        (11, 1, 22, "reward = 1"),
        (7, 2, 24, "reward += ("),
        (4, 0, 20, "reward = 0"),
        (2, 7, 29, "reward = 7"),
    ],
)
def test_the_branch_that_was_taken_is_named(x: float, value: float, line: int, code: str):
    found = traced(BRANCHES, x)
    assert (found.value, found.place.line, found.code) == (value, line, code)


def test_the_column_is_that_of_the_assignment():
    assert traced(BRANCHES, 11).place.column == 13


def test_what_stands_before_all_rewards_may_give_one():
    found = traced("if current_state['x'] > 0:\n    reward = 1", 0, init="reward = 5")
    assert (found.value, found.place.line, found.code) == (5, 3, "reward = 5")


def test_trouble_is_raised_as_ever():
    with pytest.raises(InvalidRewards, match="ZeroDivisionError"):
        traced("reward = 1 / current_state['x']", 0)


def test_the_line_that_a_function_of_a_file_returned_from(tmp_path: Path):
    path = tmp_path / "rewards.py"
    path.write_text(
        "import functools\n\n"
        "def kept(call):\n"
        "    @functools.wraps(call)\n"
        "    def inner(now, later):\n"
        "        return call(now, later) + 1\n"
        "    return inner\n\n"
        "@kept\n"
        "def go(now, later):\n"
        "    if now['x'] > 1:\n"
        "        return 10\n"
        "    return 20\n"
    )
    program = load_reward_file(str(path), {"go": "go"}, ["go"], FIELDS)
    try:
        (reward,) = program.rewards
        found = [traced_reward(reward, [x, None, x, None], None) for x in (2, 0)]
    finally:
        forget()
    assert [(one.value, one.place.line, one.code) for one in found] == [
        (11.0, 12, "return 10"),
        (21.0, 13, "return 20"),
    ]
