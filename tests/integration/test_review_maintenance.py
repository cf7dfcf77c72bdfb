"""Maintenance of the store: what goes, what stays, and what a failure leaves undone."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.maintenance import OBJECT_AGE_SECONDS, Maintenance
from spice_engine.store import policies, training
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore
from spice_engine.store.series import Point


class Store:
    """A store with one pod that was trained many times."""

    def __init__(self, database: Database, metrics: MetricStore, objects: ObjectStore) -> None:
        self.database, self.metrics, self.objects = database, metrics, objects
        self.maintenance = Maintenance(database, metrics, objects)

    async def learn(self, pod: str, content: bytes, *aliases: str) -> str:
        digest = await asyncio.to_thread(self.objects.put_bytes, content)
        await self.database.write(
            lambda connection: policies.add(
                connection,
                pod=pod,
                object_hash=digest,
                fingerprint="f",
                algorithm="linear",
                created=time.time(),
                aliases=aliases,
            )
        )
        return digest

    async def versions(self, pod: str) -> list[int]:
        rows = await self.database.read(lambda c: policies.list_versions(c, pod))
        return [row.version for row in rows]

    def age(self) -> None:
        """Make every object older than what is left alone."""
        then = time.time() - 2 * OBJECT_AGE_SECONDS
        for path in self.objects.folder.glob("??/*"):
            os.utime(path, (then, then))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = await Database.open(tmp_path / "engine.db", migrations="engine")
    metrics = await MetricStore.open(tmp_path / "metrics.db")
    yield Store(database, metrics, ObjectStore(tmp_path / "objects"))
    await metrics.close()
    await database.close()


async def test_old_policies_go_with_their_objects_and_named_ones_stay(store: Store):
    kept = await store.learn("pod", b"the best one", "best")
    shared = await store.learn("pod", b"learned twice")
    gone = await store.learn("pod", b"forgotten")
    for number in range(policies.KEPT - 1):
        await store.learn("pod", b"version %d" % number)
    await store.learn("pod", b"learned twice", "latest")
    other = await store.learn("other", b"of another pod")
    store.age()
    await store.maintenance.once()
    versions = await store.versions("pod")
    assert versions == [*range(policies.KEPT + 3, 3, -1), 1]
    assert await store.versions("other") == [1]
    assert [digest in store.objects for digest in (kept, shared, gone, other)] == [
        True,
        True,
        False,
        True,
    ]
    again = await store.learn("pod", b"next")
    assert again in store.objects
    assert (await store.versions("pod"))[0] == policies.KEPT + 4


async def test_an_object_just_put_stays_until_somebody_notes_that_it_is_needed(store: Store):
    digest = await asyncio.to_thread(store.objects.put_bytes, b"fresh")
    await store.maintenance.once()
    assert digest in store.objects
    store.age()
    await store.maintenance.once()
    assert digest not in store.objects


async def test_old_metrics_of_the_machine_are_rolled_up(store: Store):
    then = time.time() - 30 * 86_400
    store.metrics.add(
        "runs/1",
        [
            Point(name="system/cpu", value=float(k), index=k, time=then + k / 100)
            for k in range(500)
        ],
    )
    await store.metrics.flush()
    await store.maintenance.once()
    assert len(await store.metrics.points("runs/1", "system/cpu")) == 0
    assert await store.metrics.samples("runs/1", "system/cpu")


async def test_one_step_that_fails_does_not_keep_the_others_from_being_done(store: Store):
    digest = await asyncio.to_thread(store.objects.put_bytes, b"nobody's")
    store.age()
    await store.metrics.close()
    await store.maintenance.once()
    assert digest not in store.objects


async def test_it_runs_again_and_again_until_it_is_ended(store: Store):
    work = asyncio.create_task(store.maintenance.run(first=0.0, every=0.01))
    for content in (b"one", b"two"):
        digest = await asyncio.to_thread(store.objects.put_bytes, content)
        store.age()
        deadline = time.monotonic() + 20
        while digest in store.objects:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
            store.age()
    work.cancel()
    assert isinstance((await asyncio.gather(work, return_exceptions=True))[0], BaseException)


async def test_a_pod_whose_trainings_all_fail_keeps_no_more_than_others(store: Store):
    def fail_often(connection: sqlite3.Connection) -> None:
        for _ in range(training.RUNS_KEPT + 7):
            run = training.create_run(
                connection, pod="pod", algorithm="linear", episodes_wanted=1, started=1.0
            )
            training.finish(connection, "pod", run.number, state="failed", ended=2.0)

    await store.database.write(fail_often)
    await store.maintenance.once()
    left = await store.database.read(lambda c: training.list_runs(c, "pod", 1000))
    assert [run.number for run in left] == list(range(training.RUNS_KEPT + 7, 7, -1))
