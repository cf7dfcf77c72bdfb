"""Measures the store: acknowledged one-row writes a second, metric points, objects, framed logs.

    python bench/bench_store.py [--seconds 2] [--folder DIR] [--json]

Every write is confirmed by an fsync (synchronous=FULL) unless its line says otherwise. The folder
decides which disk is measured; the default is the system's temporary one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from spice_engine.store.database import Database
from spice_engine.store.framedlog import FramedLog
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore
from spice_engine.store.series import Point

Row = dict[str, str | float]
INSERT = (
    "INSERT INTO settings_kv (key, value) VALUES (?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


def row(what: str, count: int, seconds: float, times: list[float] | None = None) -> Row:
    """One line of the table; `times` are seconds of single calls."""
    found: Row = {"what": what, "per_second": count / seconds}
    if times:
        times.sort()
        found["p50_ms"] = times[len(times) // 2] * 1e3
        found["p99_ms"] = times[int(len(times) * 0.99)] * 1e3
        found["max_ms"] = times[-1] * 1e3
    return found


def bench_plain(folder: Path, seconds: float) -> Row:
    """What the plain module does without us: one commit a row."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE settings_kv (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
    times: list[float] = []
    started = time.perf_counter()
    while (now := time.perf_counter()) < started + seconds:
        connection.execute(INSERT, (f"k{len(times) % 1000}", repr(now)))
        times.append(time.perf_counter() - now)
    connection.close()
    return row("plain sqlite3, one commit a row", len(times), seconds, times)


async def bench_group_commit(folder: Path, callers: int, seconds: float) -> list[Row]:
    """One-row writes from so many async callers, and how late their loop is meanwhile."""
    db = await Database.open(folder / f"group{callers}.db", "engine")
    times: list[float] = []
    lags: list[float] = []
    end = time.perf_counter() + seconds

    def write(key: str, value: str) -> Callable[[sqlite3.Connection], object]:
        return lambda connection: connection.execute(INSERT, (key, value)).rowcount

    async def caller(label: int) -> None:
        count = 0
        while (now := time.perf_counter()) < end:
            await db.write(write(f"{label}-{count % 200}", repr(now)))
            times.append(time.perf_counter() - now)
            count += 1

    async def watch() -> None:
        while (now := time.perf_counter()) < end:
            await asyncio.sleep(0.001)
            lags.append(time.perf_counter() - now - 0.001)

    await asyncio.gather(watch(), *(caller(label) for label in range(callers)))
    stats = db.stats()
    await db.close()
    found = row(f"group commit, {callers} callers", len(times), seconds, times)
    found["writes_per_commit"] = stats.writes / max(1, stats.commits)
    return [found, row(f"  the loop's lag, {callers} callers", len(lags), seconds, lags)]


async def bench_reads(folder: Path, seconds: float) -> Row:
    """Point reads from 16 async callers."""
    db = await Database.open(folder / "reads.db", "engine")
    for number in range(1000):
        db.write(lambda c, n=number: c.execute(INSERT, (f"k{n}", "1")).rowcount)
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (now := time.perf_counter()) < end:
            await db.read(
                lambda c: c.execute("SELECT value FROM settings_kv WHERE key='k7'").fetchone()
            )
            times.append(time.perf_counter() - now)

    await asyncio.gather(*(caller() for _ in range(16)))
    await db.close()
    return row("point reads, 16 callers", len(times), seconds, times)


async def bench_metrics(folder: Path, seconds: float) -> Row:
    """Metric points in batches of 1,000 (synchronous=NORMAL)."""
    store = await MetricStore.open(folder / "metrics.db")
    count = 0
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        now = time.time()
        store.add("run:1", [Point("loss", float(count + n), now) for n in range(1000)])
        await store.flush()
        count += 1000
    elapsed = time.perf_counter() - started
    await store.close()
    return row("metric points, batches of 1,000, NORMAL", count, elapsed)


def bench_objects(folder: Path) -> list[Row]:
    """A tree of 1,000 files of 4 KiB: first snapshot, the same again, made elsewhere; a file."""
    source = folder / "source"
    for number in range(1000):
        path = source / f"{number % 20}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(4096))
    time.sleep(2.1)  # so that the stat cache may trust the files' times
    store = ObjectStore(folder / "objects")
    found: list[Row] = []
    for what in ("objects: 1,000 new files of 4 KiB", "objects: 1,000 unchanged files"):
        started = time.perf_counter()
        snapshot = store.put_tree(source)
        found.append(row(what, 1000, time.perf_counter() - started))
    started = time.perf_counter()
    store.materialize(snapshot.hash, folder / "made")
    found.append(row("objects: files made elsewhere", 1000, time.perf_counter() - started))
    large = folder / "large.bin"
    large.write_bytes(os.urandom(64 * 2**20))
    started = time.perf_counter()
    store.put_file(large)
    found.append(row("objects: MiB of one large file", 64, time.perf_counter() - started))
    store.close()
    return found


def bench_framed_log(folder: Path, seconds: float) -> list[Row]:
    """Frames of 100 bytes, one and a hundred to a group."""
    found: list[Row] = []
    for group in (1, 100):
        log = FramedLog(folder / f"frames{group}.log")
        payloads = [os.urandom(100)] * group
        times: list[float] = []
        end = time.perf_counter() + seconds
        while (now := time.perf_counter()) < end:
            log.append(payloads)
            times.append(time.perf_counter() - now)
        log.close()
        found.append(row(f"framed log, groups of {group}", len(times) * group, seconds, times))
    return found


def main() -> None:
    """Runs all of it and prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each timed line")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder, seconds = Path(name), options.seconds
        rows = [bench_plain(folder, seconds)]
        for callers in (1, 16, 64):
            rows += asyncio.run(bench_group_commit(folder, callers, seconds))
        rows.append(asyncio.run(bench_reads(folder, seconds)))
        rows.append(asyncio.run(bench_metrics(folder, seconds)))
        rows += bench_framed_log(folder, seconds)
        rows += bench_objects(folder)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'':44}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for found in rows:
        cells = "".join(
            f"{found[key]:9.3f}" if key in found else " " * 9
            for key in ("p50_ms", "p99_ms", "max_ms")
        )
        print(f"{found['what']:44}{found['per_second']:12,.0f}{cells}")


if __name__ == "__main__":
    main()
