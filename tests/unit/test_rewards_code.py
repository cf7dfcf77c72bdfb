"""Reward code does what Python does, and nothing that could do harm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest, InvalidRewards
from spice_engine.learning.goal import Goal
from spice_engine.learning.reward_check import InvalidRewardValue, check_rewards
from spice_engine.learning.reward_program import compile_rewards
from spice_engine.learning.rewards import reward_matrix
from spice_engine.learning.source import Finding, Source
from tests.examples import examples

FIELDS = ["load_cpu", "load_memory"]
FILE = "pod.yaml"


def code(text: str, line: int = 10, column: int = 9) -> Source:
    return Source(text, FILE, line, column)


def findings(text: str, init: str | None = None) -> list[Finding]:
    start = code(init, 5, 5) if init is not None else None
    return list(check_rewards(start, {"go": code(text)}, FIELDS))


def matrix(text: str, rows: Any, init: str | None = None) -> np.ndarray[Any, Any]:
    start = code(init, 5, 5) if init is not None else None
    program = compile_rewards(["go"], FIELDS, start, {"go": code(text)})
    table = np.array(rows, dtype=np.float64)
    times = np.arange(len(table) - 1) * 60
    return reward_matrix(program, table[:-1], table[1:], times)


CODES = [
    'reward = next_state["load_cpu"] - current_state["load_cpu"]',
    'reward = max(current_state["load_cpu"], next_state["load_memory"], 0.5)',
    "reward = abs(x) ** 2 + x // 3 - x % 7",
    "reward = round(x, 1) if 0 < x < 5 else int(x)",
    "reward = 0\nfor i in range(5):\n  if i == 3:\n    continue\n  reward += i * x",
    "levels = [1, 2, 3]\nreward = sum(levels) + levels[1] + len(levels[1:]) + min(levels) * x",
    "a, b = x, 2\nreward = a * b\nif not (a > b and b) or x in (1, 2):\n  reward = -reward",
    "reward = math.floor(x) + math.sqrt(abs(x)) + math.pi + math.hypot(x, 1)",
    "if x > 0:\n  reward = True\nelse:\n  reward = bool(x)",
]


@settings(deadline=None, max_examples=examples(40))
@given(st.sampled_from(CODES), st.lists(st.floats(-9, 9), min_size=6, max_size=12))
def test_rewards_equal_plain_exec(text: str, numbers: list[float]) -> None:
    init = 'x = next_state["load_cpu"]'
    rows = [numbers[i : i + 2] for i in range(len(numbers) - 1)]
    got = matrix(text, rows, init)
    for row in range(len(rows) - 1):
        current = dict(zip(FIELDS, rows[row], strict=True))
        following = dict(zip(FIELDS, rows[row + 1], strict=True))
        names = {"current_state": current, "next_state": following, "math": math}
        exec(f"{init}\n{text}", names)
        assert got[row, 0] == float(names["reward"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("import os\nreward = 1", (10, 9), "imports"),
        ("reward = ().__class__", (10, 18), "attributes"),
        ("reward = current_state.__class__", (10, 18), "no field"),
        ("reward = (lambda: 1)()", (10, 19), "functions"),
        ("reward = [i for i in range(3)]", (10, 18), "comprehensions"),
        ("while True:\n  reward = 1", (10, 9), "'while'"),
        ("def f(): pass\nreward = 1", (10, 9), "function definitions"),
        ("reward = 2 ** 1000", (10, 23), "exponent"),
        ('x = current_state["load_cpu"]\nreward = 2 ** x', (11, 23), "exponent"),
        ("reward = [0] * 1000", (10, 18), "Lists"),
        ("a = [0]\nb = a\nb += [1]\nreward = 1", (12, 9), "grow"),
        ("a = [0]\nif 1:\n  b = a\nreward = b + b", (13, 18), "Lists"),
        ("reward = 'a' * 9", (10, 18), "numbers"),
        ("reward = f'{1}'", (10, 18), "strings"),
        ("reward = 1 << 99", (10, 18), "LShift"),
        ("reward = eval(1)", (10, 18), "'eval' is not allowed"),
        ("reward = rond(1)", (10, 18), "'rond' is not allowed"),
        ("reward = __import__", (10, 18), "not defined"),
        ("reward = math.factorial(9)", (10, 18), "math.factorial"),
        ("reward = current_state", (10, 18), "as a whole"),
        ('current_state["load_cpu"] = 1\nreward = 1', (10, 9), "change a state"),
        ("x = 1\nreward = current_state[x]", (11, 18), "in quotes"),
        ("abs = 1\nreward = 1", (10, 9), "taken"),
        ("reward = load_cpu", (10, 18), "not defined"),
        ("reward = 1 +", (10, 21), "valid Python"),
        ("reward = " + "(" * 300, (10, 218), "nested"),
        ("reward = " + "-" * 20_000 + "1", (10, 9), "nested"),
        ("x = 1", (10, 9), "never assigns"),
        ("reward: int = 1", (10, 9), "annotations"),
        ("reward = max(*[1])", (10, 22), "arguments"),
        ("reward = sum([], [1])", (10, 26), "Lists"),
        ("for a, b in [1]:\n  reward = 1", (10, 13), "one variable"),
        ("global x\nreward = 1", (10, 9), "'global'"),
        ("reward = (y := 2)", (10, 19), "':='"),
        ("reward = '{0.__class__}'.format(1)", (10, 18), "attributes"),
        ("reward = 1 if x.__class__ else 0\nx = 1", (10, 23), "attributes"),
        ("reward = 9223372036854775809", (10, 18), "too large"),
        ("a = [1]\nb = (a, a)\nreward = 1", (11, 14), "Lists"),
        ("a = 1\nb = a\na = [1]\nreward = b * 9", (13, 18), "Lists"),
        ("reward = é", (10, 18), "not defined"),
        ('reward = (1, "é")[0] + nope', (10, 32), "not defined"),
    ],
)
def test_what_is_not_allowed_is_found_in_its_place(
    text: str, place: tuple[int, int], words: str
) -> None:
    found = findings(text)
    assert any(
        finding.severity == "error"
        and (finding.place.line, finding.place.column) == place
        and words in finding.message
        for finding in found
    ), found
    with pytest.raises(InvalidRewards):
        compile_rewards(["go"], FIELDS, None, {"go": code(text)})


def test_every_finding_and_each_of_init_once() -> None:
    codes = {"go": code("reward = a + b", 10), "stay": code("reward = c", 20)}
    found = check_rewards(code("x = nope", 5, 5), codes, FIELDS)
    assert [(finding.place.line, finding.place.column) for finding in found] == [
        (5, 9),
        (10, 18),
        (10, 22),
        (20, 18),
    ]


def test_a_broken_init_does_not_make_its_names_undefined() -> None:
    found = findings("reward = x", init="x = (")
    assert [finding.place.line for finding in found] == [5]


def test_hints_name_what_was_meant() -> None:
    assert 'current_state["load_cpu"]' in findings("reward = cpu")[0].hint
    assert "load_memory" in findings('reward = next_state["load_memry"]')[0].hint
    assert "'round'" in findings("reward = rond(1)")[0].hint


def test_old_names_of_states_work() -> None:
    text = "reward = new_state.load_cpu - prev_state.load.cpu"
    assert {finding.severity for finding in findings(text)} == {"warning"}
    assert matrix(text, [[1, 0], [4, 0]]).tolist() == [[3.0]]
    dotted = 'reward = next_state["load.cpu"]'
    assert matrix(dotted, [[1, 0], [4, 0]]).tolist() == [[4.0]]


def test_print_is_left_out_with_a_warning() -> None:
    text = "print(nonsense)\nreward = 1"
    assert [finding.code for finding in findings(text)] == ["ignored_print"]
    assert matrix(text, [[0, 0], [0, 0]]).tolist() == [[1.0]]


def test_variables_do_not_leak_from_row_to_row() -> None:
    text = 'if current_state["load_cpu"] > 0:\n  reward = 1'
    with pytest.raises(InvalidRewards, match="'reward' has no value"):
        matrix(text, [[1, 0], [0, 0], [1, 0]])


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('y = 1\nreward = 1 / current_state["load_cpu"]', (11, 18), "ZeroDivisionError"),
        ('reward = math.sqrt(-1 - current_state["load_cpu"])', (10, 18), "math domain"),
        ("for i in range(10 ** 9):\n  reward = i", (10, 18), "no longer than"),
        ("reward = [1, 2][5]", (10, 18), "IndexError"),
        ("for i in range(0):\n  reward = i", (10, 9), "'reward' has no value"),
    ],
)
def test_errors_name_place_action_and_time(text: str, place: tuple[int, int], words: str) -> None:
    rows = [[1.0, 0.0]] * 2000
    rows[1500] = [0.0, 0.0]
    with pytest.raises(InvalidRewards, match=words) as caught:
        matrix(text, rows)
    error = caught.value
    assert error.code == "invalid_reward_function"
    assert error.place is not None
    assert (error.place.file, error.place.line, error.place.column) == (FILE, *place)
    assert "'go'" in error.message
    if "ZeroDivision" in words:
        assert "1970-01-02T01:00:00Z (90000)" in error.message


def test_an_error_in_init_points_into_init() -> None:
    with pytest.raises(InvalidRewards) as caught:
        matrix("reward = x", [[0, 0], [0, 0]], init='x = 1\nx = 1 / next_state["load_cpu"]')
    assert caught.value.place is not None
    assert (caught.value.place.line, caught.value.place.column) == (6, 9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("reward = math.inf", "inf"),
        ('reward = math.nan + current_state["load_cpu"]', "nan"),
        ("reward = 1e200 * 1e200", "inf"),
        ("reward = 1e101", "1e+101"),
        ("reward = None", "NoneType"),
        ("reward = (-8) ** 0.5", "complex"),
        ("reward = [1]", "list"),
        ("reward = 10 ** 16\nfor i in range(6):\n  reward = reward * reward", "integer too large"),
    ],
)
def test_what_is_no_finite_number_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidRewardValue) as caught:
        matrix(text, [[0, 0], [0, 0]])
    assert caught.value.code == "invalid_reward_value"
    assert words in caught.value.message


def test_uniform_rewards_are_one() -> None:
    program = compile_rewards(["a", "b"], FIELDS, None, None)
    rows = np.zeros((3, 2))
    assert reward_matrix(program, rows, rows, np.arange(3)).tolist() == [[1.0, 1.0]] * 3


def test_an_action_without_a_reward_is_refused() -> None:
    with pytest.raises(InvalidRewards, match="'stay' has no reward"):
        compile_rewards(["go", "stay"], FIELDS, None, {"go": code("reward = 1")})


@settings(deadline=None, max_examples=examples(200))
@given(st.text(max_size=40) | st.lists(st.sampled_from(CODES), max_size=2).map("\n".join))
def test_no_text_breaks_the_check(text: str) -> None:
    for finding in findings(text):
        assert finding.place.line >= 10


@pytest.mark.parametrize(
    ("text", "score", "reached"),
    [
        ("score > 100", 101, True),
        ("score > 100", 100, False),
        ("0 < score < 5 or score >= 2 * 10", 20, True),
        ("not score < -3", -3, True),
        ("1 / score > 0", 0, False),
    ],
)
def test_goals(text: str, score: float, reached: bool) -> None:
    assert Goal(text).reached(score) is reached


@pytest.mark.parametrize(
    "text", ["scor > 1", "score > open('x')", "1 > 0", "score >", "score.x > 1"]
)
def test_what_is_no_goal_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="goal"):
        Goal(text)


def test_a_misspelled_state_is_one_finding() -> None:
    (finding,) = findings('reward = nxt_state["load_cpu"]')
    assert finding.message == "'nxt_state' is not defined."
    assert finding.hint == "Did you mean 'next_state'?"
    assert findings("x = 1\nreward = x[0]")[0].message == "Only lists and states can be indexed."
