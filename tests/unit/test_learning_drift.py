"""Tests for drift: quiet on noise that is slow, finds what has changed, and names it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from spice_engine.learning.drift import (
    ALPHA,
    LOOKS,
    Rewards,
    compare,
    level_of,
    look_at,
    student_tail,
)

Rows = NDArray[np.float64]
Series = Callable[[int, np.random.Generator], Rows]

LEARNED, NEW, FIRST = 400, 300, 40
FIELDS = ("load", "price")


def noise(count: int, chance: np.random.Generator) -> Rows:
    return chance.normal(size=(count, 2))


def slow(count: int, chance: np.random.Generator) -> Rows:
    """Neighbours of which each has nine tenths of the one before."""
    steps, rows = chance.normal(size=(count, 2)), np.zeros((count, 2))
    for row in range(1, count):
        rows[row] = 0.9 * rows[row - 1] + steps[row]
    return rows


def days(count: int, chance: np.random.Generator) -> Rows:
    """A wave that the new rows begin anywhere in."""
    time = np.arange(count) + chance.integers(0, 96)
    return np.sin(2 * np.pi * time / 96)[:, None] + 0.2 * chance.normal(size=(count, 2))


def walk(count: int, chance: np.random.Generator) -> Rows:
    return chance.normal(size=(count, 2)).cumsum(axis=0)


def alarmed(rows: Rows) -> bool:
    """Whether any of the looks at the new rows is an alarm, one after the other as they come."""
    looks = dict(filter(None, (look_at(fresh, FIRST) for fresh in range(NEW + 1))))
    return any(
        compare(rows[:LEARNED], rows[LEARNED : LEARNED + count], FIELDS, look).alarm
        for look, count in looks.items()
    )


@pytest.mark.parametrize("series", [noise, slow, days, walk])
def test_noise_is_no_news_however_slow_it_is(series: Series) -> None:
    chance = np.random.default_rng(0)
    assert sum(alarmed(series(LEARNED + NEW, chance)) for _ in range(30)) <= 1


@pytest.mark.parametrize("column", [0, 1])
def test_a_shift_is_found_and_named(column: int) -> None:
    rows = noise(LEARNED + NEW, np.random.default_rng(1))
    rows[LEARNED:, column] += 2.0
    found = compare(rows[:LEARNED], rows[LEARNED:], FIELDS, 0)
    assert found.alarm
    assert found.shift is not None
    assert (found.shift.what, found.shift.kind) == (FIELDS[column], "level")
    assert found.shift.now - found.shift.before == pytest.approx(2.0, abs=0.5)
    assert found.as_dict()["alarm"] is True


def test_another_spread_is_found_too() -> None:
    rows = noise(LEARNED + NEW, np.random.default_rng(2))
    rows[LEARNED:, 1] *= 12.0
    found = compare(rows[:LEARNED], rows[LEARNED:], FIELDS, 0)
    assert found.alarm
    assert found.shift is not None
    assert (found.shift.what, found.shift.kind) == ("price", "spread")


def test_one_odd_row_is_no_alarm_but_a_new_constant_is() -> None:
    rows = np.ones((LEARNED + NEW, 1))
    rows[-1] = 1e9
    assert not compare(rows[:LEARNED], rows[LEARNED:], ["flag"], 0).alarm
    rows[LEARNED:] = 2.0
    assert compare(rows[:LEARNED], rows[LEARNED:], ["flag"], 0).alarm


def test_a_reward_that_falls_is_found_and_one_that_only_flattered_is_not() -> None:
    chance = np.random.default_rng(3)
    rows = noise(LEARNED + NEW, chance)
    fits = chance.normal(size=LEARNED)
    told = [
        compare(rows[:LEARNED], rows[LEARNED:], FIELDS, 0, Rewards(fits, now, flattered))
        for now, flattered in (
            (chance.normal(size=NEW) - 2.0, 0.0),
            (chance.normal(size=NEW) - 2.0, 2.0),
            (chance.normal(size=NEW) + 2.0, 0.0),
        )
    ]
    assert [one.alarm for one in told] == [True, False, False]
    shift = told[0].shift
    assert shift is not None
    assert shift.what == "reward"


def test_too_little_to_compare_with_is_no_alarm() -> None:
    rows = noise(60, np.random.default_rng(4))
    rows[40:] += 100.0
    assert not compare(rows[:40], rows[40:], FIELDS, 0).alarm
    assert not compare(rows[:0], rows, FIELDS, 0).alarm


def test_looks_grow_and_share_the_probability_of_a_false_alarm() -> None:
    assert look_at(FIRST - 1, FIRST) is None
    assert look_at(FIRST, FIRST) == (0, FIRST)
    counts = [found[1] for fresh in range(FIRST, 10_000) if (found := look_at(fresh, FIRST))]
    assert counts == sorted(counts)
    assert len(set(counts)) < 30
    assert all(count <= fresh for fresh, count in enumerate(counts, start=FIRST))
    assert look_at(10**9, FIRST) == look_at(10**8, FIRST)  # the last one
    assert sum(map(level_of, range(LOOKS))) == pytest.approx(ALPHA)


@pytest.mark.parametrize(
    ("t", "freedom", "tail"),
    [(12.706, 1, 0.025), (4.303, 2, 0.025), (2.228, 10, 0.025), (5.0, 15, 7.92e-5)],
)
def test_the_tail_of_students_t(t: float, freedom: int, tail: float) -> None:
    assert student_tail(t, freedom) == pytest.approx(tail, rel=2e-3)
    assert student_tail(-t, freedom) == pytest.approx(1 - tail, rel=1e-4)
