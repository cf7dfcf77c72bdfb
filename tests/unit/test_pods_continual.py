"""When a pod trains again by itself: by what the store says, once for each reason, in no storm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.pods import take_up
from spice_engine.pods.continual import Learning
from spice_engine.pods.live import Pod, Table
from spice_engine.pods.manifest import load_manifest, parse_manifest
from spice_engine.pods.model import Manifest
from spice_engine.store import policies, training
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore

STEP, LEARNED = 60, 1000
HASH = "a" * 64


def manifest(continual: str) -> Manifest:
    return load_manifest(
        f"""\
params: {{epoch_time: 0, period: 720h, interval: 3m, granularity: 1m}}
dataspaces: [{{from: a, name: b, data: {{processor: {{name: csv}}}}, measurements: [{{name: x}}]}}]
actions: [{{name: go}}]
training: {{continual: {continual}}}
""",
        "spicepods/p.yaml",
    )


def table(rows: int) -> Table:
    return Table(np.zeros((rows, 1)), ("a_b_x",), 0, STEP, rows, "", loaded={"training_rows": rows})


class World:
    """A pod p whose version 1 has learned from LEARNED rows, and the engine that decides on it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.objects = database, ObjectStore(folder / "objects")
        self.pod = Pod("p", folder / "spicepods" / "p.yaml")
        self.pod.policy_version = 1
        self.pod.evaluation = {"learned_until": STEP * (LEARNED - 1)}
        self.alarm = True
        self.looks: list[dict[str, Any]] = []
        self.woken = asyncio.Event()
        self.learning = self.begin_anew()

    def begin_anew(self) -> Learning:
        """As after a restart of the engine."""
        self.learning = Learning(self.database, self.objects, self._look, self._refresh)
        return self.learning

    def _refresh(self, name: str) -> None:
        assert name == "p"
        self.woken.set()

    async def _look(self, params: dict[str, Any]) -> dict[str, Any]:
        self.looks.append(params["continual"])
        found = {"what": "x", "kind": "level", "before": 1.0, "now": 2.0, "look": 0}
        return {**found, "alarm": self.alarm}

    async def due(self, wanted: str, fresh: int) -> dict[str, Any] | None:
        async def trust() -> None:
            return

        def params(**given: Any) -> dict[str, Any]:
            return given

        rows = table(LEARNED + fresh)
        return await self.learning.due(self.pod, manifest(wanted), rows, params, trust)

    async def trained(
        self, ago: float, state: str = "complete", evaluation: dict[str, Any] | None = None
    ) -> None:
        """Record a training that began so many seconds ago."""
        found = evaluation or self.pod.evaluation if state == "complete" else None

        def change(connection: Any) -> None:
            run = training.create_run(
                connection,
                pod="p",
                algorithm="linear",
                episodes_wanted=1,
                started=time.time() - ago,
                fingerprint="f",
            )
            version = None
            if found is not None:
                version = policies.add(
                    connection,
                    pod="p",
                    object_hash=HASH,
                    fingerprint="f",
                    algorithm="linear",
                    created=0.0,
                    evaluation=found,
                    training_number=run.number,
                ).version
            training.finish(
                connection,
                "p",
                run.number,
                state=state,
                ended=time.time(),
                evaluation=found,
                policy_version=version,
            )

        await self.database.write(change)


def refused(fresh: int) -> dict[str, Any]:
    """The evaluation of a version that was worse than version 1 on the newest of so many rows."""
    return {
        "learned_until": STEP * (LEARNED + fresh - 1),
        "continual": {
            "reason": "drift",
            "against": 1,
            "new_rows": fresh,
            "steps": 20,
            "difference": -0.03,
            "taken_up": False,
            "drift": {"what": "x", "kind": "level", "before": 1.0, "now": 2.0},
        },
    }


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = await Database.open(tmp_path / "engine.db", migrations="engine")
    found = World(database, tmp_path)
    yield found
    found.learning.close()
    found.objects.close()
    await database.close()


async def test_the_schedule_waits_for_its_time_and_for_rows(world: World) -> None:
    await world.trained(ago=30)
    assert await world.due("{every: 1h}", 500) is None
    assert world.pod.next_training == pytest.approx(time.time() + 3570, abs=30)
    world.begin_anew()
    await world.trained(ago=7200)  # a clock that was set forward, or a long time
    assert await world.due("{every: 20s}", 99) is None
    due = await world.due("{every: 20s}", 100)
    assert due is not None
    assert (due["reason"], due["version"]) == ("schedule", 1)
    assert Path(due["policy"]).name == HASH[2:]


async def test_a_schedule_that_is_not_due_wakes_the_pod(world: World) -> None:
    await world.trained(ago=0.9)
    assert await world.due("{every: 1s}", 500) is None
    async with asyncio.timeout(20):
        await world.woken.wait()


async def test_failed_trainings_count_and_interrupted_ones_do_not(world: World) -> None:
    await world.trained(ago=7200)
    await world.trained(ago=10, state="interrupted")
    assert await world.due("{every: 1h}", 500) is not None
    world.begin_anew()
    await world.trained(ago=10, state="failed")
    assert await world.due("{every: 1h}", 500) is None


async def test_a_training_whose_record_the_disk_refused_is_not_begun_over_and_over(
    world: World,
) -> None:
    await world.trained(ago=7200)
    assert await world.due("{every: 1h}", 500) is not None
    world.learning.began(world.pod, manifest("{every: 1h}"))
    assert await world.due("{every: 1h}", 500) is None


async def test_each_look_for_drift_is_taken_once(world: World) -> None:
    await world.trained(ago=10)
    world.alarm = False
    for fresh in (99, 100, 110, 124, 125, 126, 100):
        assert await world.due("{drift: true}", fresh) is None
    assert [(one["look"], one["rows"]) for one in world.looks] == [(0, 100), (1, 125)]
    assert world.looks[0]["watched"] == ["a_b_x"]
    world.alarm = True
    due = await world.due("{drift: true}", 160)
    assert due is not None
    assert (due["reason"], due["drift"]["what"]) == ("drift", "x")


async def test_after_a_refusal_drift_waits_for_twice_the_rows(world: World) -> None:
    await world.trained(ago=100)
    await world.trained(ago=10, evaluation=refused(200))
    assert await world.due("{drift: true}", 399) is None
    assert world.looks == []
    assert world.pod.decided.startswith("v2 was not taken up: ")
    assert await world.due("{drift: true}", 400) is not None
    # The schedule waits for new rows since then only.
    world.begin_anew()
    assert await world.due("{every: 5s}", 299) is None
    assert await world.due("{every: 5s}", 300) is not None


async def test_a_pod_that_does_not_learn_on_is_left_alone(world: World) -> None:
    await world.trained(ago=10)
    assert await world.due("{}", 10_000) is None
    assert world.pod.learned_until is None
    assert take_up.learning_on(world.pod) is None


@pytest.mark.parametrize(
    ("time", "after"), [(-1, 10), (0, 9), (59, 9), (60, 8), (STEP * 9, 0), (10**9, 0)]
)
def test_rows_that_came_after_a_time(time: int, after: int) -> None:
    assert table(10).rows_after(time) == after
    moments = np.arange(0, 10 * STEP, STEP)
    events = Table(
        np.zeros((10, 1)), ("x",), 0, STEP, 10, "", moments=moments, loaded={"training_rows": 10}
    )
    assert events.rows_after(time) == after


def test_an_environment_brings_no_new_rows() -> None:
    text = """\
dataspaces:
  - from: gym
    name: pole
    data: {connector: {name: gym, params: {environment: CartPole-v1}}}
    measurements: [{name: angle, selector: "2"}]
actions: [{name: left}, {name: right}]
training: {algorithm: dql, continual: {every: 1h}}
"""
    found = {problem.code: problem for problem in parse_manifest(text, "spicepods/p.yaml").problems}
    assert found["unused_continual"].severity == "warning"


def test_decisions_in_words() -> None:
    text = take_up.in_words(5, refused(300))
    assert text == (
        "v5 was not taken up: a step of the newest fold (20 steps, which neither has learned from) "
        "is 0.03 worse than v1. Trained because of drift among 300 new rows: the level of x went "
        "from 1 to 2."
    )
    assert take_up.in_words(5, {}) == ""
    assert take_up.is_taken_up({})
    assert not take_up.is_taken_up(refused(300))
