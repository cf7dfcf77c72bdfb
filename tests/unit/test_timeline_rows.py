"""Tables thinned to stretches: nothing lost, nothing made up, any bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest
from spice_engine.pods import timeline_rows
from spice_engine.pods.live import Table
from spice_engine.pods.timeline_rows import mean_by, most_often, row_at, stretches, thin, times_of

numbers = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=60)


def table(rows: int, *, moments: list[int] | None = None) -> Table:
    times = None if moments is None else np.array(moments, dtype=np.int64)
    return Table(np.zeros((rows, 1)), ("x",), 1000, 10, rows, "", times)


@given(numbers, st.integers(1, 70))
def test_a_stretch_is_its_mean_least_and_greatest(values: list[float], length: int):
    found = thin(np.array(values, dtype=np.float64), length)
    parts = [values[at : at + length] for at in range(0, len(values), length)]
    known = [[value for value in part if not math.isnan(value)] for part in parts]
    assert found.lows == [min(part, default=None) for part in known]
    assert found.highs == [max(part, default=None) for part in known]
    for mean, part in zip(found.means, known, strict=True):
        assert mean == (pytest.approx(sum(part) / len(part), abs=1e-6) if part else None)


@given(
    st.integers(2, 300),
    st.none() | st.integers(0, 5000),
    st.none() | st.integers(0, 5000),
    st.integers(1, 50),
)
def test_stretches_hold_the_rows_that_begin_in_time(
    rows: int, start: int | None, end: int | None, points: int
):
    found = stretches(table(rows), (0, rows), (start, end), points, 3)
    wanted = [
        row
        for row in range(rows)
        if (start is None or 1000 + 10 * row >= start) and (end is None or 1000 + 10 * row < end)
    ]
    assert list(range(found.first, found.end)) == wanted
    assert found.count == len(found.begins) <= points
    assert found.asked.tolist() == wanted
    if wanted:
        assert set(found.of(found.asked).tolist()) == set(range(found.count))


def test_of_very_many_rows_some_are_asked_about_in_every_stretch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timeline_rows, "MOST_ROWS", 100)
    found = stretches(table(10_000), (7, 10_000), (None, None), 50, 3)
    assert len(found.asked) == 100
    assert set(found.of(found.asked).tolist()) == set(range(50))


def test_rows_of_events_are_found_by_their_own_times():
    events = table(4, moments=[5, 50, 51, 400])
    assert [row_at(events, time) for time in (4, 5, 49, 51, 9999)] == [-1, 0, 0, 2, 3]
    found = stretches(events, (0, 4), (50, 400), 10, 1)
    assert times_of(events, found.begins).tolist() == [50, 51]


@pytest.mark.parametrize("time", [-(2**63), -1, 2**63 - 1, 2**64])
def test_times_out_of_this_world_are_no_trouble(time: int):
    for one in (table(3), table(3, moments=[1, 2, 3])):
        assert row_at(one, time) < 0 or row_at(one, time) >= 2
        stretches(one, (0, 3), (time, time), 5, 1)


@pytest.mark.parametrize("points", [0, -1, 10**6])
def test_points_are_bounded(points: int):
    with pytest.raises(InvalidRequest, match="points"):
        stretches(table(3), (0, 3), (None, None), points, 1)


def test_what_is_done_most_often_and_what_it_gave():
    chosen = np.array([1, 1, 0, -1, -1, 2])
    where = np.array([0, 0, 0, 1, 1, 2])
    assert most_often(chosen, where, 4, 3) == [1, -1, 2, -1]
    rewards = np.array([1.0, 2.0, 6.0, math.nan, 4.0, math.nan])
    assert mean_by(rewards, where, 4) == [3.0, 4.0, None, None]
