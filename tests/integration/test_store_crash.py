"""Writers killed at random moments: what was confirmed is there, nothing is half there."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from spice_engine.store.database import Database
from spice_engine.store.framedlog import FramedLog, read_frames
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore

ROUNDS = 4

# Each confirms by one write of one line to its standard output, which is a file.
DATABASE = """
import asyncio, itertools, os, sys
from pathlib import Path
from spice_engine.store import values
from spice_engine.store.database import Database

async def caller(db, label):
    for n in itertools.count():
        key = f"{label}-{n}"
        await db.write(lambda connection: values.put(connection, key, key * 5))
        os.write(1, f"{key}\\n".encode())

async def main():
    db = await Database.open(Path(sys.argv[1]), "engine")
    await asyncio.gather(*(caller(db, f"{sys.argv[2]}-{k}") for k in range(12)))

asyncio.run(main())
"""
METRICS = """
import asyncio, itertools, os, sys
from pathlib import Path
from spice_engine.store.metrics import MetricStore
from spice_engine.store.series import Point

async def main():
    store = await MetricStore.open(Path(sys.argv[1]))
    for n in itertools.count():
        store.add("run:" + sys.argv[2], [Point("m", float(n * 50 + k), 1.0) for k in range(50)])
        await store.flush()
        os.write(1, f"{sys.argv[2]} {n}\\n".encode())

asyncio.run(main())
"""
LOG = """
import itertools, os, random, sys
from pathlib import Path
from spice_engine.store.framedlog import FramedLog

log = FramedLog(Path(sys.argv[1]))
for n in itertools.count():
    names = [f"{sys.argv[2]}-{n}-{k}" for k in range(random.randrange(1, 6))]
    log.append([name.encode() + b"." * random.randrange(20_000) for name in names])
    os.write(1, "".join(f"{name}\\n" for name in names).encode())
"""
OBJECTS = """
import itertools, os, random, sys
from pathlib import Path
from spice_engine.store.objects import ObjectStore

store = ObjectStore(Path(sys.argv[1]))
source = Path(sys.argv[1]).with_name("project" + sys.argv[2])
(source / "sub").mkdir(parents=True)
for n in itertools.count():
    (source / f"{n % 7}.bin").write_bytes(os.urandom(random.randrange(300_000)))
    (source / "sub" / f"{n % 3}.txt").write_text(f"{sys.argv[2]} {n}")
    os.write(1, f"{store.put_tree(source).hash}\\n".encode())
"""


def run_and_kill(script: str, target: Path, label: str) -> list[str]:
    """Starts the writer, kills it some moments after its first confirmation; gives those."""
    confirmed = target.with_name(f"{target.name}.confirmed.{label}")
    with (
        confirmed.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-c", script, str(target), label], stdout=output
        ) as child,
    ):
        deadline = time.monotonic() + 60
        while confirmed.stat().st_size == 0 and time.monotonic() < deadline:
            assert child.poll() is None, "the writer ended by itself"
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.25))
        child.kill()
    return confirmed.read_text().splitlines()


async def test_database_and_metrics_keep_what_they_confirmed(tmp_path: Path) -> None:
    path, metrics_path = tmp_path / "engine.db", tmp_path / "metrics.db"
    confirmed: set[str] = set()
    for number in range(ROUNDS):
        confirmed |= set(run_and_kill(DATABASE, path, str(number)))
        batches = len(run_and_kill(METRICS, metrics_path, str(number)))

        db = await Database.open(path, "engine")
        rows = dict(
            await db.read(lambda c: c.execute("SELECT key, value FROM settings_kv").fetchall())
        )
        assert confirmed <= rows.keys()
        assert all(value == f'"{key * 5}"' for key, value in rows.items())
        await db.close()

        store = await MetricStore.open(metrics_path)
        found = await store.points(f"run:{number}", "m", count=10**6)
        assert len(found) >= batches * 50
        assert [point.value for point in found] == list(range(len(found)))
        await store.close()
        for file in (path, metrics_path):
            with closing(sqlite3.connect(file)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(confirmed) > ROUNDS


def test_a_framed_log_keeps_what_it_confirmed_and_has_no_torn_frame(tmp_path: Path) -> None:
    path = tmp_path / "segment.log"
    confirmed: list[str] = []
    for number in range(ROUNDS):
        confirmed += run_and_kill(LOG, path, str(number))
        log = FramedLog(path)
        log.close()
        names = [payload.rstrip(b".").decode() for _, payload in read_frames(path)]
        assert sum(len(payload) + 8 for _, payload in read_frames(path)) == path.stat().st_size
        assert set(confirmed) <= set(names)
        assert len(set(names)) == len(names)


def test_the_object_store_has_no_half_object(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    confirmed: list[str] = []
    for number in range(ROUNDS):
        confirmed += run_and_kill(OBJECTS, folder, str(number))
    store = ObjectStore(folder)
    for path in folder.glob("[0-9a-f][0-9a-f]/*"):
        store.read_bytes(path.parent.name + path.name, verify=True)
    for tree in confirmed:
        store.verify(tree)
    done = store.collect(confirmed, 0)
    assert not done.busy
    assert list((folder / "tmp").iterdir()) == []
    store.verify(confirmed[-1])
    store.close()


@pytest.fixture(autouse=True)
def no_core_files() -> None:
    """A killed writer leaves no core file in the test's folder."""
    resource = pytest.importorskip("resource")
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    os.environ.pop("PYTHONFAULTHANDLER", None)
