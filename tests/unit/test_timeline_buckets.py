"""The state table is the mean of each bucket, filled as the manifest says."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.data.timeline import Grid, Series, build, count_outside

Sample = tuple[int, float]
FILLS: list[Literal["previous", "none"]] = ["previous", "none"]


def series(
    field: str,
    samples: list[Sample],
    initializer: float = 0.0,
    fill: Literal["previous", "none"] = "previous",
) -> Series:
    times = np.array([time for time, _ in samples], dtype=np.int64)
    values = np.array([value for _, value in samples], dtype=np.float64)
    return Series(field, times, values, initializer, fill)


def plain_table(all_series: list[Series], grid: Grid) -> list[list[float]]:
    """The same table, bucket by bucket, as one would by hand."""
    inside = {
        one.field: [
            (time, value)
            for time, value in zip(one.times.tolist(), one.values.tolist(), strict=True)
            if grid.epoch <= time <= grid.epoch + grid.period and not math.isnan(value)
        ]
        for one in all_series
    }
    newest = max((time for samples in inside.values() for time, _ in samples), default=None)
    if newest is None:
        return []
    rows = []
    start = grid.start
    while start <= newest:
        row = []
        for one in sorted(all_series, key=lambda one: one.field):
            here = [v for t, v in inside[one.field] if start <= t < start + grid.granularity]
            before = bool(rows)
            if here:
                row.append(math.fsum(here) / len(here))
            elif one.fill == "none":
                row.append(0.0 if before else one.initializer)
            else:
                # Nothing before means that the last value is still the initializer.
                row.append(rows[-1][len(row)] if before else one.initializer)
        rows.append(row)
        start += grid.granularity
    return rows


samples = st.lists(
    st.tuples(st.integers(-50, 700), st.floats(-1e6, 1e6) | st.just(math.nan)), max_size=40
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(samples, st.floats(-5, 5), st.sampled_from(FILLS)), min_size=1, max_size=3),
    st.integers(-20, 100),
    st.integers(1, 600),
    st.integers(1, 60),
)
def test_the_table_equals_one_made_by_hand(
    specs: list[tuple[list[Sample], float, Literal["previous", "none"]]],
    epoch: int,
    period: int,
    granularity: int,
) -> None:
    all_series = [series(f"f{i}", *spec) for i, spec in enumerate(specs)]
    grid = Grid.of(epoch, period, granularity, 0)
    table = build(all_series, grid, now=1e9)
    expected = plain_table(all_series, grid)
    assert table.values.shape == (len(expected), len(specs))
    if expected:
        np.testing.assert_allclose(table.values, expected, rtol=1e-9, atol=1e-9)
        assert table.times.tolist() == [epoch + granularity * row for row in range(len(expected))]


def test_order_of_rows_and_of_dataspaces_does_not_matter() -> None:
    one = series("b", [(0, 1.0), (5, 2.0), (12, 7.0)])
    two = series("a", [(25, 4.0)], initializer=9.0)
    grid = Grid.of(0, 100, 10, 0)
    shuffled = series("b", [(12, 7.0), (5, 2.0), (0, 1.0)])
    table = build([one, two], grid, 1e9)
    assert table.fields == ("a", "b")
    assert table.values.tolist() == [[9.0, 1.5], [9.0, 7.0], [4.0, 7.0]]
    other = build([two, shuffled], grid, 1e9)
    assert table.values.tobytes() == other.values.tobytes()
    assert (table.fields, table.grid, table.complete) == (other.fields, other.grid, other.complete)


def test_a_mean_is_by_samples_not_by_deliveries() -> None:
    rows = [(0, 10.0), (1, 10.0), (2, 10.0), (3, 0.0)]
    assert build([series("f", rows)], Grid.of(0, 10, 10, 0), 1e9).values[0, 0] == 7.5


def test_both_ends_of_the_period_belong_to_it() -> None:
    times = np.array([-1, 0, 100, 101], dtype=np.int64)
    grid = Grid.of(0, 100, 10, 0)
    assert count_outside(times, grid) == 2
    table = build([series("f", [(0, 1.0), (100, 2.0)])], grid, 1e9)
    assert len(table.times) == 11
    # The bucket at the very end reaches beyond the period: it is shown, not trained on.
    assert table.training_rows == 10


@pytest.mark.parametrize(("now", "complete"), [(29.9, 2), (30, 3)])
def test_the_newest_bucket_is_complete_when_its_time_has_passed(now: float, complete: int) -> None:
    table = build([series("f", [(0, 1.0), (25, 2.0)])], Grid.of(0, 100, 10, now), now)
    assert table.complete == complete


def test_without_an_epoch_the_period_slides_on_whole_buckets() -> None:
    grid = Grid.of(None, 100, 10, now=1005.7)
    assert (grid.epoch, grid.start, grid.end) == (905, 900, 1005)
    table = build([series("f", [(904, 5.0), (905, 1.0), (909, 3.0), (1004, 2.0)])], grid, 1005.7)
    assert table.times[0] == 900
    assert table.values[0, 0] == 2.0
    assert (len(table.times), table.complete) == (11, 10)


def test_first_datum_is_told_from_initializers() -> None:
    table = build([series("f", [(35, 1.0)], initializer=8.0)], Grid.of(0, 100, 10, 0), 1e9)
    assert (table.first_datum, table.values[:, 0].tolist()) == (3, [8.0, 8.0, 8.0, 1.0])


def test_no_datum_no_rows() -> None:
    table = build([series("f", [(500, 1.0)])], Grid.of(0, 100, 10, 0), 1e9)
    assert (table.values.shape, table.complete, table.last_time) == ((0, 1), 0, None)


def test_huge_values_have_a_finite_mean() -> None:
    table = build([series("f", [(0, 1.5e308), (1, 1.5e308)])], Grid.of(0, 10, 10, 0), 1e9)
    assert table.values[0, 0] == 1.5e308
