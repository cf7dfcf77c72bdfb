"""Rewards computed in columns, row by row and by plain Python are the same to the bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from formula_programs import bits, programs, values
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.errors import InvalidRewards
from spice_engine.learning import rewards
from spice_engine.learning.formula_columns import Rows, Trouble
from spice_engine.learning.reward_check import InvalidRewardValue
from spice_engine.learning.reward_program import RewardProgram, compile_rewards, input_name
from spice_engine.learning.rewards import MAX_REWARD, reward_column, reward_matrix
from spice_engine.learning.source import Source
from tests.examples import examples

FIELDS = ["a", "b"]
READS = ['current_state["a"]', 'next_state["a"]', 'next_state["b"]', "x"]
INIT = 'x = next_state["a"] - current_state["a"]\ny = 0'


def code(text: str, line: int = 10) -> Source:
    return Source(text, "pod.yaml", line, 9)


def compiled(texts: list[str], init: str | None = INIT) -> RewardProgram:
    actions = [f"action{number}" for number in range(len(texts))]
    sources = {name: code(text) for name, text in zip(actions, texts, strict=True)}
    return compile_rewards(actions, FIELDS, code(init, 5) if init else None, sources)


def states(numbers: list[list[float]]) -> tuple[Any, Any, Any]:
    """Steps from row to row."""
    table = np.array(numbers)
    return table[:-1], table[1:], np.arange(len(table) - 1) * 60


TABLES = st.lists(st.lists(values(), min_size=2, max_size=2), min_size=70, max_size=90)
BODIES = programs([*READS, "y"], ["y", "reward"])


def plain(text: str, current: Any, following: Any) -> list[Any]:
    """What Python gives for each row: a number, or the type of what it raises."""
    program = compile(f"{INIT}\n{text}", "<test>", "exec")
    found: list[Any] = []
    for now, then in zip(current.tolist(), following.tolist(), strict=True):
        names: dict[str, Any] = {"current_state": dict(zip(FIELDS, now, strict=True))}
        names["next_state"] = dict(zip(FIELDS, then, strict=True))
        try:
            exec(program, {"math": math}, names)
            found.append(names["reward"])
        except (ArithmeticError, ValueError, TypeError, NameError, KeyError) as error:
            found.append(type(error))
    return found


@settings(deadline=None, max_examples=examples(100))
@given(BODIES, TABLES)
def test_column_code_is_plain_python(text: str, numbers: list[list[float]]) -> None:
    """The columns before the limits of rewards are applied: any bit, infinities and NaN too."""
    program = compiled([f"{text}\nif y != y:\n  reward = y"])
    (reward,) = program.rewards
    current, following, _ = states(numbers)
    want = plain(f"{text}\nif y != y:\n  reward = y", current, following)
    if reward.columns is None or program.init is None:
        assert "**" in text
        return
    tables = {"current": current, "next": following}
    rows = Rows({input_name(w, f): rewards.Column(tables[w][:, f]) for w, f in reward.arguments})
    with np.errstate(all="ignore"):
        try:
            program.init(rows, True)
            reward.columns(rows, True)
            got = rows.floats("reward", len(current))
        except Trouble:
            return
    assert not any(isinstance(value, type) for value in want)
    assert bits(got.tolist()) == bits([float(value) for value in want])


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(BODIES, min_size=1, max_size=3), TABLES)
def test_rewards_are_plain_python_or_its_errors(
    texts: list[str], numbers: list[list[float]]
) -> None:
    texts = [f"reward = 0\n{text}" for text in texts]
    program = compiled(texts)
    current, following, times = states(numbers)
    for index, text in enumerate(texts):
        want = plain(text, current, following)
        bad = next((row for row, value in enumerate(want) if not usable(value)), None)
        if bad is None:
            got = reward_column(program, index, current, following, times)
            assert bits(got.tolist()) == bits([float(value) for value in want])
            few = reward_column(program, index, current[:3], following[:3], times[:3])
            assert bits(few.tolist()) == bits(got.tolist()[:3])
            continue
        with pytest.raises(InvalidRewards) as caught:
            reward_column(program, index, current, following, times)
        raised = isinstance(want[bad], type)
        assert isinstance(caught.value, InvalidRewardValue) is not raised
        assert f"'action{index}'" in caught.value.message
        assert f"({times[bad]})" in caught.value.message


def usable(value: Any) -> bool:
    if not isinstance(value, bool | int | float):
        return False
    try:
        return math.isfinite(value) and abs(value) <= MAX_REWARD
    except OverflowError:
        return False


COLUMN_CODES = [
    'reward = next_state["a"] - current_state["a"]',
    "if x > 0:\n  reward = 200\nelse:\n  reward = -100 * x\n  if x < -1:\n    reward *= 2",
    "reward = max(min(x, 1), -1) + abs(x) // 1 % 3",
    "z = x or 1\nreward = -z if 0 < z <= 1 or not z else z / 2",
    "reward = math.floor(x) + math.sqrt(abs(x)) + math.pi * 10 ** 2",
    "reward = (x > 0) & (x < 1) | False",
]


@pytest.mark.parametrize("text", COLUMN_CODES)
def test_common_code_has_a_column_form(text: str) -> None:
    program = compiled([text])
    (reward,) = program.rewards
    assert program.init is not None
    assert reward.columns is not None
    table = np.random.default_rng(0).normal(size=(40_000, 2))
    current, following, times = table[:-1], table[1:], np.arange(len(table) - 1)
    called: list[None] = []

    def function(*arguments: float) -> float:
        called.append(None)
        return reward.function(*arguments)

    watched = type(reward)(reward.action, reward.source, function, reward.arguments, reward.columns)
    columns = RewardProgram(program.actions, (watched,), program.init)
    rows = RewardProgram(program.actions, (type(reward)(*_parts(reward), None),), None)
    got = reward_matrix(columns, current, following, times)
    assert not called
    want = reward_matrix(rows, current, following, times)
    assert bits(got[:, 0].tolist()) == bits(want[:, 0].tolist())


def _parts(reward: Any) -> tuple[Any, ...]:
    return reward.action, reward.source, reward.function, reward.arguments


@pytest.mark.parametrize(
    "text",
    [
        "reward = 0\nfor i in range(3):\n  reward += x",
        "reward = sum([x, 1])",
        "reward = math.exp(min(x, 1))",
        "reward = round(x, 1)",
        "reward = x ** 2",
        "reward = 1 if x is None else 2",
    ],
)
def test_other_code_is_run_row_by_row(text: str) -> None:
    program = compiled([text, COLUMN_CODES[1]])
    assert [reward.columns is None for reward in program.rewards] == [True, False]
    current, following, times = states([[float(n % 7), 1.0] for n in range(100)])
    matrix = reward_matrix(program, current, following, times)
    want = plain(text, current, following)
    assert bits(matrix[:, 0].tolist()) == bits([float(value) for value in want])
    assert reward_column(program, 1, current, following, times).tolist() == matrix[:, 1].tolist()


def test_an_init_without_column_form_still_works() -> None:
    init = "x = 0\nfor i in range(2):\n  x += next_state['a']"
    program = compiled(["reward = x", "reward = 1"], init)
    assert program.init is None
    assert [reward.columns for reward in program.rewards] == [None, None]
    current, following, times = states([[float(n), 1.0] for n in range(90)])
    assert reward_matrix(program, current, following, times)[3].tolist() == [8.0, 1.0]


def test_a_variable_set_by_one_action_is_not_seen_by_the_next() -> None:
    program = compiled(["z = 1\nreward = z", "if x > -9:\n  z = 2\nreward = z"])
    current, following, times = states([[1.0, 1.0]] * 90 + [[-50.0, 1.0]])
    with pytest.raises(InvalidRewards, match="'z' has no value") as caught:
        reward_matrix(program, current, following, times)
    assert "'action1'" in caught.value.message
    assert "(5340)" in caught.value.message


def test_a_run_that_is_given_up_ends_soon() -> None:
    class Stop(Exception):
        pass

    def check() -> None:
        raise Stop

    program = compiled(["reward = x"])
    with pytest.raises(Stop):
        reward_matrix(program, *states([[1.0, 1.0]] * 90), check)


def test_what_a_reward_reads_is_known() -> None:
    program = compiled(['reward = x + next_state["b"]', "reward = 1"])
    assert program.reads(0) == {("next", 0), ("current", 0), ("next", 1)}
    assert program.reads(1) == {("next", 0), ("current", 0)}
    assert compile_rewards(["go"], FIELDS, None, None).reads(0) == frozenset()


def test_no_steps_give_no_rewards() -> None:
    program = compiled(["reward = x"])
    nothing = np.zeros((0, 2))
    assert reward_matrix(program, nothing, nothing, np.arange(0)).shape == (0, 1)
