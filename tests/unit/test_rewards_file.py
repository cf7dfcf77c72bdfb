"""Reward functions of a user's file, and reward tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.errors import InvalidRewards, Place
from spice_engine.learning.notes import Interpretation, Notes
from spice_engine.learning.reward_check import InvalidRewardValue
from spice_engine.learning.reward_file import load_reward_file
from spice_engine.learning.reward_program import RewardProgram, compile_rewards
from spice_engine.learning.reward_tests import run_reward_tests
from spice_engine.learning.rewards import reward_matrix
from spice_engine.learning.source import Source

FIELDS = ["a", "b"]
PLACE = Place("pod.yaml", 30, 5, 30, 20)


def load(folder: Path, text: str, functions: dict[str, str] | None = None) -> RewardProgram:
    path = folder / "rewards.py"
    path.write_text(text)
    functions = functions or {"go": "go"}
    return load_reward_file(str(path), functions, list(functions), FIELDS, PLACE)


def rewards(program: RewardProgram, rows: list[list[float]], **more: Any) -> list[list[float]]:
    table = np.array(rows)
    times = np.arange(len(table) - 1) * 60
    return reward_matrix(program, table[:-1], table[1:], times, **more).tolist()


def test_functions_get_states_and_interpretations(tmp_path: Path) -> None:
    program = load(
        tmp_path,
        "import numpy\n"
        "def up(current_state, current_notes, next_state, next_notes):\n"
        "    current_state['a'] = 99  # its own copy\n"
        "    return numpy.float32(len(current_notes or []) + next_state['b'])\n"
        "def both(now, then):\n"
        "    return then['a'] - now['a']\n",
        {"up": "up", "wait": "both"},
    )
    notes = Notes([Interpretation(60, 120, "x")], 60)
    got = rewards(program, [[1, 2], [3, 4], [5, 6]], notes=notes)
    assert got == [[4.0, 2.0], [7.0, 2.0]]
    assert program.reads(0) is None


def test_the_file_and_what_lies_beside_it_are_read_anew(tmp_path: Path) -> None:
    helper = tmp_path / "reward_levels_beside.py"
    text = "import reward_levels_beside\ndef go(a, b):\n    return reward_levels_beside.LEVEL\n"
    for level in (1, 2):
        helper.write_text(f"LEVEL = {level}")
        assert rewards(load(tmp_path, text), [[0, 0], [0, 0]]) == [[level]]
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(InvalidRewards, match="ModuleNotFoundError"):
        load(other, text)
    assert str(tmp_path) not in sys.path
    assert not list(tmp_path.rglob("__pycache__"))
    assert "numpy" in sys.modules


def test_a_file_cannot_stand_in_for_a_module_of_python(tmp_path: Path) -> None:
    (tmp_path / "wave.py").write_text("raise ValueError('not this one')")
    load(tmp_path, "import wave\nwave.open\ndef go(a, b): return 1")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("def go(a, b:\n  pass", 1, "not valid Python"),
        ("x = 1\nimport nothing_of_this_name", 2, "ModuleNotFoundError"),
        ("def f():\n    return 1 / 0\n\nf()\n", 2, "ZeroDivisionError"),
        ("import sys\nsys.exit(3)", 2, "SystemExit"),
        ("x = 1\n\ndef go(a, b, c): return 1", 3, "parameters"),
        ("async def go(a, b): return 1", 1, "asynchronous"),
        ("def go(a, b): yield 1", 1, "generator"),
        ("x = '\0'", 1, "null bytes"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(InvalidRewards, match=words) as caught:
        load(tmp_path, text)
    place = caught.value.place
    assert place is not None
    assert (place.file, place.line) == (str(tmp_path / "rewards.py"), line)


def test_a_missing_function_or_file_points_into_the_manifest(tmp_path: Path) -> None:
    with pytest.raises(InvalidRewards, match="does not have") as caught:
        load(tmp_path, "def reward_go(a, b): return 1", {"go": "reward_goo"})
    assert caught.value.place == PLACE
    assert caught.value.hint == "Did you mean 'reward_go'?"
    with pytest.raises(InvalidRewards, match="cannot be read") as caught:
        load_reward_file(str(tmp_path / "no.py"), {"go": "go"}, ["go"], FIELDS, PLACE)
    assert caught.value.place == PLACE


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("    return now['x']", 5, "KeyError: 'x'"),
        ("    return helper(now['a'])", 2, "ZeroDivisionError"),
        ("    import sys\n    sys.exit()", 6, "end the process"),
        ("    return int('x')", 5, "ValueError"),
    ],
)
def test_an_error_names_its_line_and_the_time(
    tmp_path: Path, body: str, line: int, words: str
) -> None:
    text = f"def helper(x):\n    return 1 / (x - 1)\n\ndef go(now, then):\n{body}\n"
    with pytest.raises(InvalidRewards, match=words) as caught:
        rewards(load(tmp_path, text), [[1, 0]] * 3)
    assert caught.value.place is not None
    assert (caught.value.place.file, caught.value.place.line) == (
        str(tmp_path / "rewards.py"),
        line,
    )
    assert "'go' at 1970-01-01T00:00:00Z (0)" in caught.value.message


@pytest.mark.parametrize(
    ("value", "words"),
    [("None", "NoneType"), ("float('nan')", "nan"), ("'1'", "str"), ("1e300 * 1e300", "inf")],
)
def test_what_is_no_number_is_refused(tmp_path: Path, value: str, words: str) -> None:
    program = load(tmp_path, f"x = 1\ndef go(now, then):\n    return {value}\n")
    with pytest.raises(InvalidRewardValue, match=words) as caught:
        rewards(program, [[0, 0]] * 3)
    assert caught.value.place is not None
    assert caught.value.place.line == 2


def test_a_function_that_changes_its_mind_is_refused(tmp_path: Path) -> None:
    text = "seen = []\ndef go(a, b):\n    seen.append(1)\n    return 1 / (len(seen) != 2)\n"
    with pytest.raises(InvalidRewards, match="for the same states"):
        rewards(load(tmp_path, text), [[0, 0]] * 4)


def test_prints_do_no_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = load(tmp_path, "print('loading')\ndef go(a, b):\n    print(a)\n    return 1\n")
    assert rewards(program, [[0, 0]] * 2) == [[1.0]]
    assert "loading" in capsys.readouterr().out


def check(action: str, current: dict[str, float], then: dict[str, float], expect: float) -> Any:
    place = {"file": "pod.yaml", "line": 50, "column": 3, "end_line": 50, "end_column": 9}
    return {"action": action, "current": current, "next": then, "expect": expect, "place": place}


def test_reward_tests_of_inline_code() -> None:
    code = 'if current_state["a"] > 0:\n  reward = next_state["b"] / current_state["a"]'
    program = compile_rewards(["go"], FIELDS, None, {"go": Source(code, "pod.yaml", 10, 9)})
    results = run_reward_tests(
        program,
        FIELDS,
        [
            check("go", {"a": 2}, {"b": 3}, 1.5 * (1 + 1e-10)),
            check("go", {"a": 2}, {"b": 3}, 1.51),
            check("go", {"a": -1}, {"b": 3}, 0),
            check("go", {"b": 2}, {"b": 3}, 0),
            check("gone", {}, {}, 0),
            check("go", {"a": 2, "c": 1}, {"b": 3}, 1.5),
        ],
    )
    assert [one["passed"] for one in results] == [True, False, False, False, False, False]
    assert [one.get("got") for one in results] == [1.5, 1.5, None, None, None, None]
    assert results[0]["expected"] == 1.5 * (1 + 1e-10)
    assert results[0]["place"]["line"] == 50
    errors = [one.get("error", "") for one in results]
    assert "'reward' has no value" in errors[2]
    assert "'a', which the test's current_state does not give" in errors[3]
    assert "no action 'gone'" in errors[4]
    assert "no field 'c'" in errors[5]


def test_reward_tests_of_a_file_and_of_uniform_rewards(tmp_path: Path) -> None:
    program = load(tmp_path, "def go(now, then):\n    return now.get('a', 7) + then['b']\n")
    results = run_reward_tests(
        program, FIELDS, [check("go", {}, {"b": 1}, 8), check("go", {"a": 1}, {}, 8)]
    )
    assert [one["passed"] for one in results] == [True, False]
    assert "rewards.py:2" in results[1]["error"]
    assert "KeyError" in results[1]["error"]
    uniform = compile_rewards(["go"], FIELDS, None, None)
    (result,) = run_reward_tests(uniform, FIELDS, [check("go", {}, {}, 1)])
    assert result["passed"]
