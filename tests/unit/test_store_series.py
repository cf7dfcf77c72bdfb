"""Metric series in SQL: what is read back is what was sent, thinned out and rolled up honestly."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.store import series
from spice_engine.store.migrate import load_migrations, migrate
from tests.examples import examples

DAY = 86_400.0


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(fresh()) as connection:
        yield connection


def fresh() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, Path("metrics.db"), load_migrations("metrics"))
    return connection


def add(db: sqlite3.Connection, numbers: list[float | str], start: float = 0.0) -> None:
    series.add_points(
        db, [("run:1", "loss", n, start + n, number) for n, number in enumerate(numbers)]
    )


def test_nan_infinities_and_texts_come_back(db: sqlite3.Connection) -> None:
    add(db, [1.5, math.nan, math.inf, -math.inf, "epoch done", 0.0])
    found = [point.value for point in series.read_points(db, "run:1", "loss")]
    assert found[0] == 1.5
    assert isinstance(found[1], float)
    assert math.isnan(found[1])
    assert found[2:] == [math.inf, -math.inf, "epoch done", 0.0]


def test_a_point_sent_twice_is_one_and_equal_indexes_at_other_times_are_two(
    db: sqlite3.Connection,
) -> None:
    for time in (1.0, 1.0, 2.0):
        series.add_points(db, [("run:1", "loss", 7, time, time)])
    found = series.read_points(db, "run:1", "loss")
    assert [(point.index, point.time) for point in found] == [(7, 1.0), (7, 2.0)]
    assert series.last_index(db, "run:1", "loss") == 7
    assert series.last_index(db, "run:1", "other") == -1


def test_points_are_read_on_from_the_last_one(db: sqlite3.Connection) -> None:
    add(db, [float(n) for n in range(10)])
    first = series.read_points(db, "run:1", "loss", count=4)
    rest = series.read_points(db, "run:1", "loss", after=(first[-1].index, first[-1].time))
    assert [point.value for point in (*first, *rest)] == list(range(10))


def test_a_short_series_is_drawn_as_it_is(db: sqlite3.Connection) -> None:
    add(db, [3.0, math.nan, 1.0, "text"])
    found = series.read_samples(db, "run:1", "loss", most=10)
    assert [(sample.index, sample.count, sample.missing) for sample in found] == [
        (0, 1, 0),
        (1, 1, 1),
        (2, 1, 0),
    ]
    assert math.isnan(found[1].mean)
    assert found[2].last == 1.0


def test_a_series_that_is_not_there_has_no_samples(db: sqlite3.Connection) -> None:
    assert series.read_samples(db, "run:1", "loss") == ()
    add(db, ["only", "texts"])
    assert series.read_samples(db, "run:1", "loss") == ()


numbers = st.lists(
    st.one_of(st.integers(-1000, 1000).map(float), st.just(math.nan)), min_size=1, max_size=60
)


@settings(max_examples=examples(60), deadline=None)
@given(numbers=numbers, most=st.integers(1, 20), roll=st.integers(0, 60))
def test_thinning_and_rolling_lose_no_count_sum_or_extreme(
    numbers: list[float], most: int, roll: int
) -> None:
    with closing(fresh()) as db:
        add(db, list(numbers), start=6000.0)
        while series.roll_up(db, 6000.0 + roll, most=7):
            pass
        found = series.read_samples(db, "run:1", "loss", most=most)
        real = [number for number in numbers if not math.isnan(number)]
        assert len(found) <= most or roll  # a minute that straddles a bin may add one
        assert sum(sample.count for sample in found) == len(numbers)
        assert sum(sample.missing for sample in found) == len(numbers) - len(real)
        solid = [sample for sample in found if sample.count > sample.missing]
        total = sum(sample.mean * (sample.count - sample.missing) for sample in solid)
        assert total == pytest.approx(sum(real))
        if real:
            assert min(sample.minimum for sample in solid) == min(real)
            assert max(sample.maximum for sample in solid) == max(real)
            assert solid[-1].last == real[-1]


def test_old_points_become_minutes_and_new_ones_stay(db: sqlite3.Connection) -> None:
    add(db, [float(n) for n in range(180)])
    series.add_points(db, [("run:1", "note", 0, 1.0, "kept for ever")])
    series.add_points(db, [("run:2", "loss", 0, 10 * DAY, 5.0)])
    calls = 0
    while series.roll_up(db, 120.0, most=50):
        calls += 1
    assert calls >= 2
    found = series.read_samples(db, "run:1", "loss")
    assert [(sample.index, sample.count) for sample in found[:3]] == [(59, 60), (119, 60), (120, 1)]
    assert (found[0].mean, found[0].minimum, found[0].maximum, found[0].last) == (29.5, 0, 59, 59)
    assert len(series.read_points(db, "run:1", "loss")) == 60
    assert len(series.read_points(db, "run:1", "note")) == 1
    assert len(series.read_points(db, "run:2", "loss")) == 1
    assert series.last_index(db, "run:1", "loss") == 179


def test_a_late_point_joins_its_minute(db: sqlite3.Connection) -> None:
    add(db, [1.0, 2.0])
    while series.roll_up(db, 30.0):
        pass
    series.add_points(db, [("run:1", "loss", 2, 5.0, 9.0)])
    while series.roll_up(db, 30.0):
        pass
    (found,) = series.read_samples(db, "run:1", "loss")
    assert (found.count, found.mean, found.maximum, found.last) == (3, 4.0, 9.0, 9.0)


def test_an_owner_can_be_removed(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA foreign_keys=ON")
    add(db, [1.0])
    assert series.names(db, "run:1") == ("loss",)
    assert series.remove_owner(db, "run:1") == 1
    assert series.names(db, "run:1") == ()
    assert db.execute("SELECT count(*) FROM points").fetchone() == (0,)
