"""Series: decimation keeps extremes, gaps stay gaps, growing equals starting whole."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_tui.models.series import Column, Series
from tests.examples import examples

VALUES = st.lists(st.one_of(st.floats(-100, 100), st.just(math.nan)), max_size=60)


def test_a_spike_among_thousands_of_points_is_seen() -> None:
    series = Series("a", "a", range(10_000), [0.0] * 10_000)
    series.ys[5_003] = 99.0
    columns = series.columns(0, 9_999, 100)
    assert len(columns) == 100
    assert max(column.high for column in columns) == 99.0


def test_the_last_point_is_in_the_last_column() -> None:
    columns = Series("a", "a", [0, 5, 10], [1, 2, 3]).columns(0, 10, 20)
    assert columns[-1] == Column(19, 3, 3, 3, 3, True)


def test_neighbours_outside_of_the_view_are_kept() -> None:
    columns = Series("a", "a", range(10), range(10)).columns(3.5, 5.5, 4)
    assert [column.first for column in columns] == [3, 4, 5, 6]
    assert columns[0].at < 0
    assert columns[-1].at >= 4


def test_gaps_part_the_line() -> None:
    columns = Series("a", "a", range(5), [1, 2, None, 4, math.inf]).columns(0, 4, 40)
    assert [(column.first, column.joined) for column in columns] == [
        (1, False),
        (2, True),
        (4, False),
    ]


@settings(max_examples=examples(200))
@given(VALUES, VALUES, st.integers(1, 30))
def test_growing_point_by_point_equals_starting_whole(
    start: list[float], more: list[float], width: int
) -> None:
    grown = Series("a", "a", range(len(start)), start)
    grown.columns(0, 100, width)
    for x, value in enumerate(more, len(start)):
        grown.append(x, value)
        grown.columns(0, 100, width)
    whole = Series("a", "a", range(len(start) + len(more)), [*start, *more])
    finite = [value for value in (*start, *more) if math.isfinite(value)]
    columns = grown.columns(0, 100, width)
    assert columns == whole.columns(0, 100, width)
    if finite:
        assert max(column.high for column in columns) == max(finite)
        assert min(column.low for column in columns) == min(finite)


def test_points_out_of_order_are_sorted() -> None:
    series = Series("a", "a", [1, 3], [10, 30])
    series.columns(0, 4, 8)
    series.append(2, 20)
    assert list(series.ys) == [10, 20, 30]
    assert [column.first for column in series.columns(0, 4, 8)] == [10, 20, 30]


def test_the_nearest_point_is_found() -> None:
    series = Series("a", "a", [0, 1, 2, 10], [5, math.nan, 7, 8])
    assert series.at(1.2) == (2, 7)
    assert series.at(-5) == (0, 5)
    assert series.at(99) == (10, 8)
    assert Series("b", "b").at(1) is None


def test_places_and_values_belong_together() -> None:
    series = Series("a", "a", [0], [1])
    with pytest.raises(ValueError, match="as many"):
        series.extend([1, 2], [3])
    assert len(series) == 1
