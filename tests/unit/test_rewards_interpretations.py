"""Interpretations in reward code: what overlaps a row's bucket, and nothing of Python's beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import InvalidRewards
from spice_engine.learning.notes import Interpretation, Notes
from spice_engine.learning.reward_check import InvalidRewardValue, check_rewards
from spice_engine.learning.reward_program import compile_rewards
from spice_engine.learning.rewards import reward_matrix
from spice_engine.learning.source import Finding, Source

FIELDS = ["a"]
PEAK = Interpretation(60, 120, "peak", ("sell",), ("high", "early"))
BLIP = Interpretation(125, 125, "blip", (), ())
LONG = Interpretation(50, 190, "long", ("buy",), ())
MARKS = [BLIP, PEAK, LONG]


def code(text: str) -> Source:
    return Source(text, "pod.yaml", 10, 9)


def findings(text: str) -> list[Finding]:
    return list(check_rewards(None, {"go": code(text)}, FIELDS))


def rewards(text: str, notes: Notes | None, count: int = 40) -> list[float]:
    """Rewards of rows 10 s apart, from second 0 on."""
    assert [one for one in findings(text) if one.severity == "error"] == []
    program = compile_rewards(["go"], FIELDS, None, {"go": code(text)})
    table = np.zeros((count, 1))
    times = np.arange(count) * 10
    return reward_matrix(program, table, table, times, notes=notes)[:, 0].tolist()


def names_at(notes: Notes, time: int) -> list[str]:
    return [one.name for one in notes.at(time) or []]


def test_lookup_is_by_overlap_with_the_bucket() -> None:
    notes = Notes(MARKS, 10)
    assert notes.at(30) is None
    assert notes.at(40) is None
    assert names_at(notes, 50) == ["long"]
    assert names_at(notes, 55) == ["long", "peak"]
    assert names_at(notes, 110) == ["long", "peak"]
    assert names_at(notes, 120) == ["long", "blip"]
    assert names_at(notes, 130) == ["long"]
    assert notes.at(190) is None
    assert [one.name for one in notes.after(110) or []] == ["long", "blip"]


def test_without_buckets_a_row_is_its_second() -> None:
    notes = Notes(MARKS, 10, times=[0, 55, 125, 300])
    assert names_at(notes, 55) == ["long"]
    assert names_at(notes, 125) == ["long", "blip"]
    assert [one.name for one in notes.after(55) or []] == ["long", "blip"]
    assert notes.after(300) is None


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12),
    st.integers(1, 15),
    st.integers(0, 80),
)
def test_lookup_finds_what_a_scan_finds(
    spans: list[tuple[int, int]], width: int, time: int
) -> None:
    marks = [Interpretation(s, s + d, str(i)) for i, (s, d) in enumerate(spans)]

    def overlaps(one: Interpretation) -> bool:
        if one.start == one.end:
            return time <= one.start < time + width
        return one.start < time + width and one.end > time

    got = sorted(names_at(Notes(marks, width), time))
    assert got == sorted(one.name for one in marks if overlaps(one))


CODES = [
    (
        "reward = 0\n"
        "if current_state_interpretations is not None:\n"
        "  for x in current_state_interpretations:\n"
        "    if x.name == 'peak' and 'high' in x.tags and 'sell' in x.actions:\n"
        "      reward += x.end - x.start\n",
        {60: 60.0, 130: 0.0, 0: 0.0},
    ),
    (
        "reward = 0\nfor x in next_state_interpretations or []:\n"
        "  for tag in x.tags:\n    if tag != 'early':\n      reward += 1\n",
        {50: 1.0, 120: 0.0},
    ),
    (
        "reward = len(current_state_interpretations) if current_state_interpretations else 0",
        {60: 2},
    ),
    (
        "notes = current_state_interpretations\n"
        "reward = 1 if notes and notes[0].name == 'long' and not notes[-1].tags else 0",
        {60: 0.0, 120: 1.0, 0: 0.0},
    ),
    ("reward = 0\nif new_state.interpretations:\n  reward = 5", {30: 0.0, 40: 5.0}),
]


@pytest.mark.parametrize(("text", "want"), CODES)
def test_reward_code_reads_interpretations(text: str, want: dict[int, float]) -> None:
    got = rewards(text, Notes(MARKS, 10))
    assert {time: got[time // 10] for time in want} == want


def test_without_interpretations_there_is_none() -> None:
    assert set(rewards(CODES[0][0], None)) == {0.0}
    with pytest.raises(InvalidRewards, match="NoneType") as caught:
        rewards("for x in current_state_interpretations:\n  reward = 1\nreward = 0", None)
    assert "test 'if current_state_interpretations:'" in caught.value.hint


def test_the_old_name_is_replaced() -> None:
    (found,) = findings("reward = 1 if prev_state.interpretations else 0")
    assert (found.code, found.severity) == ("old_syntax", "warning")
    assert found.replacement == "current_state_interpretations"


def test_an_interpretation_is_no_reward() -> None:
    program = compile_rewards(
        ["go"], FIELDS, None, {"go": code("reward = current_state_interpretations")}
    )
    table = np.zeros((30, 1))
    with pytest.raises(InvalidRewardValue, match="NoneType"):
        reward_matrix(program, table, table, np.arange(30))


LOOP = "reward = 0\nfor x in current_state_interpretations:\n  "


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("reward = x.__class__", 20, "An interpretation has"),
        ("reward = x.name.upper()", 20, "attributes"),
        ("reward = x.names", 20, "An interpretation has"),
        ("reward = x.name * 999999999", 20, "not a number"),
        ("reward = x.name + x.name", 20, "not a number"),
        ("reward += x.tags", 21, "not a number"),
        ("reward = [x.name]", 21, "not a number"),
        ("reward = min(x.tags)", 24, "not a number"),
        ("reward = float(x.name)", 26, "not a number"),
        ("reward = x.name[0]", 20, "Only lists"),
        ("reward = x.name % 5", 20, "not a number"),
        ("reward = x.start < x.name", 20, "compared"),
        ("reward = x == x", 20, "compared"),
        ("reward = 'a' in x", 20, "compared"),
        ("reward = 'a' < x.name", 20, "compared"),
        ("n = x.name\n  reward = n + n", 20, "not a number"),
        ("n = x.name\n  n = 1\n  reward = -n", 21, "not a number"),
        ("x = 1\n  reward = x.start", 20, "something else"),
        ("x += 1", 11, "grow"),
        ("x.start = 1", 11, "plain names"),
        ("reward = 'a'", 20, "numbers"),
        ("for c in x.name:\n    reward = 1", 20, "list"),
        ("reward = range(x.tags)", 26, "not a number"),
        ("reward = 1 + x", 24, "not a number"),
        ("current_state_interpretations = 1", 11, "taken"),
        ("reward = current_state_interpretations + [1]", 20, "not a number"),
        ("reward = current_state_interpretations * 99", 20, "not a number"),
        ("reward = f'{x}'", 20, "strings"),
        ("reward = '%s' % x", 20, "numbers"),
        ("reward = getattr(x, 'start')", 20, "not allowed"),
    ],
)
def test_nothing_else_can_be_done_with_them(text: str, column: int, words: str) -> None:
    found = findings(LOOP + text)
    assert any(
        words in one.message and one.place.column == column + 0 and one.severity == "error"
        for one in found
    ), found


def test_interpretations_come_as_plain_data() -> None:
    data: list[dict[str, Any]] = [
        {"start": 1, "end": 5, "name": "n", "actions": ["a"], "tags": None}
    ]
    (one,) = Notes.from_dicts(data, 10).at(0) or []
    assert one == Interpretation(1, 5, "n", ("a",), ())
