"""The records of trainings: none stays open, and what is complete stays so."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from spice_engine.events import Bus
from spice_engine.pods.event_logs import EventLogs
from spice_engine.pods.training import Trained, Trainings
from spice_engine.pods.training_records import EPISODES_SHOWN
from spice_engine.store import training as training_table
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore
from spice_engine.workers.arrays import save
from spice_engine.workers.pool import ChildPool


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = await Database.open(tmp_path / "engine.db", migrations="engine")
    yield found
    await found.close()


@pytest.fixture
async def trainings(database: Database, tmp_path: Path) -> AsyncIterator[Trainings]:
    pool = ChildPool("trainer", "spice_engine.learning.trainer", 1, folder=tmp_path / "logs")
    logs = EventLogs(tmp_path)
    service = Trainings(database, ObjectStore(tmp_path / "objects"), pool, Bus(), logs)
    await service.open()
    yield service
    await service.close()
    await pool.close()


async def states(database: Database) -> list[str]:
    rows = await database.read(lambda connection: training_table.list_runs(connection, "p"))
    return [row.state for row in rows]


async def test_a_training_cancelled_while_it_begins_is_recorded_as_interrupted(
    trainings: Trainings, database: Database
) -> None:
    for steps in range(4):
        beginning = asyncio.create_task(trainings.begin("p", "auto", 5, "f"))
        for _ in range(steps):
            await asyncio.sleep(0)
        beginning.cancel("The pod was removed.")
        with pytest.raises(asyncio.CancelledError):
            await beginning
    found = await database.read(lambda connection: training_table.list_runs(connection, "p"))
    assert {row.state for row in found} == {"interrupted"}
    assert {row.message for row in found} == {"The pod was removed."}


async def test_a_training_that_is_cancelled_twice_is_recorded_once(
    trainings: Trainings, database: Database
) -> None:
    """Saves come in bursts: the second may come while the first is still recorded."""

    async def serve(trained: object) -> None:
        raise AssertionError(trained)

    for steps in range(12):
        number = await trainings.begin("p", "auto", 5, "f")
        running = asyncio.create_task(
            trainings.run("p", number, {}, fingerprint="f", seconds=60.0, serve=serve)
        )
        await asyncio.sleep(0)
        running.cancel("A newer manifest came.")
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel("Another one came.")
        with pytest.raises(asyncio.CancelledError):
            await running
    while "running" in await states(database):  # noqa: ASYNC110 - the record is the news
        await asyncio.sleep(0.01)
    found = await database.read(lambda connection: training_table.list_runs(connection, "p"))
    assert {(row.state, row.message) for row in found} == {
        ("interrupted", "A newer manifest came.")
    }


async def test_a_training_that_is_complete_is_not_interrupted_any_more(
    trainings: Trainings, database: Database
) -> None:
    number = await trainings.begin("p", "auto", 5, "f")

    async def serve(trained: object) -> None:
        raise AssertionError(trained)

    await database.write(
        lambda connection: training_table.finish(
            connection, "p", number, state="complete", ended=1.0, message="All done."
        )
    )
    running = asyncio.create_task(
        trainings.run("p", number, {}, fingerprint="f", seconds=60.0, serve=serve)
    )
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await states(database) == ["complete"]


async def test_many_episodes_are_shown_as_a_spread_of_them(
    trainings: Trainings, database: Database
) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for number, count in ((1, 3), (2, 2 * EPISODES_SHOWN + 7)):
            for episode in range(1, count + 1):
                training_table.add_episode(
                    connection,
                    pod="p",
                    number=number,
                    episode=episode,
                    started=1.0,
                    ended=2.0,
                    score=float(episode),
                    actions={"a": 1},
                )

    for _ in range(2):
        await trainings.begin("p", "auto", 5, "f")
    await database.write(fill)
    few, many = await trainings.list("p")
    assert [one.episode for one in few.episodes] == [1, 2, 3]
    for shown, most in ((many, EPISODES_SHOWN // 2), (await trainings.get("p", 2), EPISODES_SHOWN)):
        found = [one.episode for one in shown.episodes]
        assert most // 2 < len(found) <= most + 1
        assert (found[0], found[-1]) == (1, 2 * EPISODES_SHOWN + 7)
        assert found == sorted(found)


async def test_a_goal_that_is_not_reached_is_told(trainings: Trainings, tmp_path: Path) -> None:
    params = {
        "values": save(tmp_path, np.arange(40.0)[:, None]).as_dict(),
        "times": save(tmp_path, np.arange(40)).as_dict(),
        "training_rows": 40,
        "first_datum": 0,
        "fields": ["x"],
        "actions": ["one", "other"],
        "rewards": None,
        "simulation": None,
        "span": 2,
        "granularity": 1,
        "algorithm": "linear",
        "episodes": 2,
        "holdout": 0.2,
        "seed": 0,
        "goal": "score > 1e12",
        "fingerprint": "f",
    }

    async def serve(trained: Trained) -> None:
        pass

    number = await trainings.begin("p", "linear", 2, "f")
    await trainings.run("p", number, params, fingerprint="f", seconds=60, serve=serve)
    found = await trainings.get("p", number)
    assert found.state == "complete"
    assert found.message == ("All episodes are done. The goal 'score > 1e12' was not reached.")
