"""Ticks and numbers of axes."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_tui.models import scale

FINITE = st.floats(-1e12, 1e12)


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> float:
    """Unix seconds."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()


def test_linear_ticks_are_round() -> None:
    assert scale.linear_ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert scale.linear_ticks(-3, 7, 4) == [-2.5, 0, 2.5, 5]
    assert scale.whole_ticks(1, 4, 12) == [1, 2, 3, 4]


def test_log_ticks_are_powers_or_halves_of_them() -> None:
    assert scale.log_ticks(1, 1e6, 10) == [1, 10, 100, 1e3, 1e4, 1e5, 1e6]
    assert scale.log_ticks(1, 20, 10) == [1, 2, 5, 10, 20]
    assert len(scale.log_ticks(1e-9, 1e9, 4)) <= 5


@given(FINITE, FINITE)
def test_a_nice_range_holds_what_it_is_for(one: float, other: float) -> None:
    lo, hi = min(one, other), max(one, other)
    least, most, step = scale.nice_range(lo, hi, 8)
    room = 1e-6 * max(abs(least), abs(most), step)
    assert least <= lo + room
    assert most >= hi - room
    assert most > least
    assert len(scale.linear_ticks(least, most, 8)) <= 20


@given(st.floats(1e-12, 1e12), st.floats(1, 1e6))
def test_a_log_range_holds_what_it_is_for(lo: float, times: float) -> None:
    least, most = scale.log_range(lo, lo * times)
    assert 0 < least <= lo * (1 + 1e-6)
    assert most >= lo * times * (1 - 1e-6)
    assert most > least


def test_time_ticks_fall_on_round_times() -> None:
    ticks = scale.time_ticks(at(2024, 1, 1, 0, 7), at(2024, 1, 1, 5), 6)
    assert [scale.clock(tick, ticks[1] - ticks[0]) for tick in ticks] == [
        "01:00",
        "02:00",
        "03:00",
        "04:00",
        "05:00",
    ]
    days = scale.time_ticks(at(2024, 1, 1), at(2024, 1, 20), 6)
    assert scale.clock(days[1], days[1] - days[0]).startswith("Jan ")


def test_a_growing_axis_stands_still_for_a_while() -> None:
    ends = [scale.growing_end(1, count) for count in range(2, 400)]
    assert ends == sorted(ends)
    assert len(set(ends)) < 30
    assert all(end >= count for count, end in enumerate(ends, 2))


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.25, 0.05, "0.25"),
        (2.5, 2.5, "2.5"),
        (-0.0, 0.5, "0.0"),
        (1500.0, 500.0, "1500"),
        (25_000.0, 5_000.0, "25k"),
        (12_345_678.0, 0.0, "12.35M"),
        (0.00001234, 0.0, "1.2e-05"),
        (math.nan, 0.0, "-"),
        (None, 0.0, "-"),
        (math.inf, 0.0, "inf"),
    ],
)
def test_numbers_are_short(value: float | None, step: float, text: str) -> None:
    assert scale.number(value, step) == text


def test_a_time_that_no_calendar_has_is_a_number() -> None:
    assert scale.clock(1e20) == "100000000T"
    assert scale.moment(at(2024, 2, 29, 12, 30)) == "2024-02-29 12:30"
