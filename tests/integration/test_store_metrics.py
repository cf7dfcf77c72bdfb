"""The metric store: batches, indexes given out, nothing lost on close, bad points kept out."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from pathlib import Path

import pytest

from spice_engine.errors import InvalidRequest, Overloaded, StorageError
from spice_engine.store import metrics as metrics_module
from spice_engine.store.metrics import MetricStore
from spice_engine.store.series import Point
from spice_engine.store.series_figures import thinned


def points(count: int, name: str = "loss") -> list[Point]:
    return [Point(name, float(n), 1000.0 + n) for n in range(count)]


async def test_points_get_indexes_that_go_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    store = await MetricStore.open(path)
    assert store.add("run:1", points(3)) == 3
    await store.flush()
    store.add("run:1", [Point("loss", 7.0, 2000.0, index=10), Point("loss", 8.0, 2001.0)])
    await store.close()
    store = await MetricStore.open(path)
    store.add("run:1", [Point("loss", math.nan, 3000.0)])
    await store.flush()
    found = await store.points("run:1", "loss")
    assert [point.index for point in found] == [0, 1, 2, 10, 11, 12]
    assert await store.names("run:1") == ("loss",)
    assert len(await store.samples("run:1", "loss", first=2, last=10)) == 2
    await store.close()


async def test_closing_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    store = await MetricStore.open(path)
    for n in range(20):
        store.add(f"run:{n}", points(1234))
    await store.close()
    await store.close()
    with pytest.raises(StorageError, match="closed"):
        store.add("run:1", points(1))
    store = await MetricStore.open(path)
    for n in range(20):
        found = await store.samples(f"run:{n}", "loss", most=5)
        assert sum(sample.count for sample in found) == 1234
    await store.close()


async def test_points_reach_the_disk_by_themselves(tmp_path: Path) -> None:
    store = await MetricStore.open(tmp_path / "metrics.db")
    store.add("run:1", points(5))
    async with asyncio.timeout(30):
        while not (found := await store.points("run:1", "loss")):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert len(found) == 5
    await store.close()


async def test_bad_points_are_refused_and_stop_nobody_else(tmp_path: Path) -> None:
    store = await MetricStore.open(tmp_path / "metrics.db")
    bad = [
        Point("loss", 10**400, 1.0),
        Point("loss", 1.0, 1.0, index=2**63),
        Point("loss", 1.0, math.nan),
        Point("lo\udc80ss", 1.0, 1.0),
        Point("loss", "\udc80", 1.0),
    ]
    for point in bad:
        with pytest.raises(InvalidRequest):
            store.add("run:1", [Point("loss", 1.0, 1.0), point])
    assert store.waiting == 0
    store.add("run:1", points(2))
    await store.flush()
    assert len(await store.points("run:1", "loss")) == 2
    await store.close()


async def test_a_full_memory_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "WAITING_POINTS", 10)
    store = await MetricStore.open(tmp_path / "metrics.db")
    store.add("run:1", points(8))
    with pytest.raises(Overloaded):
        store.add("run:1", points(3))
    await store.flush()
    store.add("run:1", points(3))
    await store.close()


async def test_old_points_are_rolled_up_and_owners_removed(tmp_path: Path) -> None:
    store = await MetricStore.open(tmp_path / "metrics.db")
    store.add("run:1", points(120))
    store.add("run:2", points(120))
    await store.flush()
    await store.roll_up(days=1, now=1000.0 + 60 + 86_400)
    assert len(await store.points("run:1", "loss")) == 60
    found = await store.samples("run:2", "loss")
    assert sum(sample.count for sample in found) == 120
    store.add("run:1", points(1))
    assert await store.remove("run:1") == 1
    assert await store.names("run:1") == ()
    assert store.waiting == 0
    await store.close()


async def test_a_locked_database_delays_points_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spice_engine.store.database.BUSY_MILLISECONDS", 20)
    path = tmp_path / "metrics.db"
    store = await MetricStore.open(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.add("run:1", points(4))
    with pytest.raises(StorageError):
        await store.flush()
    assert store.waiting == 4
    other.execute("ROLLBACK")
    other.close()
    await store.flush()
    assert [point.index for point in await store.points("run:1", "loss")] == [0, 1, 2, 3]
    await store.close()


async def test_a_long_series_is_thinned_and_its_extremes_stay(tmp_path: Path) -> None:
    store = await MetricStore.open(tmp_path / "metrics.db")
    values = [math.nan if 400 <= n < 510 else float(n) for n in range(1000)]
    values[53], values[54], values[55] = -7.0, math.inf, 5000.0
    await store.take("runs/1", [("loss", value, None, 1.0) for value in values])
    await store.take("runs/1", [("loss", "a text", None, 2.0)])
    found = await store.read(lambda connection: thinned(connection, "runs/1", "loss", 10))
    assert found is not None
    lasts = [100, 201, 302, 399, 504, 605, 706, 807, 908, 999]
    assert [point.index for point in found] == [53, 55, *lasts]
    assert math.isnan(float(found[6].value))
    whole = await store.read(lambda connection: thinned(connection, "runs/1", "loss", 1000))
    assert whole is not None
    assert len(whole) == 1000
    await store.close()


async def test_files_are_taken_in_with_how_far_they_were_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    store = await MetricStore.open(path)
    seen: list[tuple[str, int, float | str]] = []
    end = store.watch("runs/1", lambda points: seen.extend((p[1], p[2], p[4]) for p in points))
    rows = [("a", 1.0, None, 1.0), ("a", 2.0, 7, 2.0), ("b", "x", None, 3.0), ("a", 3.0, None, 4.0)]
    await store.take("runs/1", rows, {"file": 100})
    assert seen == [("a", 0, 1.0), ("a", 7, 2.0), ("b", 0, "x"), ("a", 8, 3.0)]
    store.add("runs/1", [Point("a", 4.0, 5.0)])
    await store.flush()
    end()
    await store.take("runs/1", [("a", 5.0, None, 6.0)], {"file": 200, "other": 1})
    await store.close()
    store = await MetricStore.open(path)
    assert await store.offsets("runs/1") == {"file": 200, "other": 1}
    assert [(p.index, p.value) for p in await store.points("runs/1", "a")] == [
        (0, 1.0),
        (7, 2.0),
        (8, 3.0),
        (9, 4.0),
        (10, 5.0),
    ]
    assert len(seen) == 5
    await store.remove("runs/1")
    assert await store.offsets("runs/1") == {}
    await store.close()
