"""Metrics of runs: what they send arrives whole and in order, and stops them where it is to."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, InvalidRequest
from spice_engine.learning import event_file
from spice_engine.learning.event_file import EventFile
from spice_engine.protocol.run_metrics import MetricFigures, ReadPoints, WaitMetric
from spice_engine.protocol.runs import RunId, RunInfo, StartRun
from spice_engine.runs import hardware, metric_feeds
from spice_engine.runs import metric_operations as operations
from spice_engine.runs.metric_service import RunMetrics, run_of_token, run_token
from spice_engine.runs.service import Runs
from spice_engine.store.series import MEASURED, Point
from tests.integration.run_services import runs_of

SECRET = "s" * 40


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    (tmp_path / "app").mkdir()
    async with runs_of(tmp_path / "app", stop=True) as found:
        yield found


@pytest.fixture
async def metrics(runs: Runs) -> AsyncIterator[RunMetrics]:
    made = RunMetrics(runs, SECRET, lambda: "http://127.0.0.1:8000")
    await made.open()
    yield made
    await runs.close(stop=True)
    await made.close()


async def started(runs: Runs, script: str, **wanted: object) -> RunInfo:
    (runs.location.root / "script.py").write_text(script)
    command = [sys.executable, "script.py"]
    return await runs.start(StartRun(command, **wanted))  # type: ignore[arg-type]


async def ran(runs: Runs, script: str, **wanted: object) -> RunInfo:
    run = await started(runs, script, **wanted)
    async with asyncio.timeout(60):
        return await runs.wait_over(run.id)


async def points(metrics: RunMetrics, run: int, name: str) -> list[tuple[int, float | str]]:
    found = await operations.metric_points(metrics, ReadPoints(run, name))
    return list(zip(found.indexes, found.values, strict=True))


ALL_KINDS = """
import os, signal
from spice_runtime import send_metric
from spell.metrics import send_metric as spells

send_metric("loss", 2)
send_metric("loss", 1.5, 7)
spells("loss", 0.25)
send_metric("odd", float("nan"))
send_metric("odd", float("inf"))
send_metric("odd", float("-inf"))
send_metric("phase", "warm-up \\U0001f321 \\udc80")
spells("last_lr", [0.1])
assert os.environ["SPELL_RUN"] == os.environ["SPICE_RUN_ID"]
if os.fork() == 0:
    send_metric("of a child", True)
os.kill(os.getpid(), signal.SIGKILL)
"""


async def series(metrics: RunMetrics, run: int) -> list[MetricFigures]:
    """What the run sent itself: on a slow machine it may have been measured, too."""
    found = (await operations.list_metrics(metrics, RunId(run))).series
    return [one for one in found if not one.name.startswith(MEASURED)]


async def test_all_that_was_sent_is_there_though_the_run_was_killed(
    runs: Runs, metrics: RunMetrics
) -> None:
    run = await ran(runs, ALL_KINDS)
    assert run.outcome == "failed"
    assert await points(metrics, run.id, "loss") == [(0, 2.0), (7, 1.5), (8, 0.25)]
    odd = await points(metrics, run.id, "odd")
    assert math.isnan(odd[0][1])  # type: ignore[arg-type]
    assert odd[1:] == [(1, math.inf), (2, -math.inf)]
    assert await points(metrics, run.id, "phase") == [(0, "warm-up \U0001f321 ?")]
    assert await points(metrics, run.id, "last_lr") == [(0, 0.1)]
    figures = (await operations.list_metrics(metrics, RunId(run.id))).series
    told = {one.name: (one.points, one.missing, one.texts, one.last) for one in figures}
    assert told["loss"] == (3, 0, 0, 0.25)
    assert told["odd"] == (3, 1, 0, -math.inf)
    assert told["phase"][:3] == (1, 0, 1)
    # Nothing is left beside the log.
    assert not list(runs.folder(run.id).glob("metrics*"))


async def test_names_and_texts_without_end_fill_nothing(
    runs: Runs, metrics: RunMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric_feeds, "MOST_SERIES", 5)
    script = """
import os
from spice_runtime import send_metric
for n in range(20):
    send_metric(f"name {n:02}", n)
for n in range(100):
    send_metric("name 00", "x" * 60_000)
with open(os.environ["SPICE_METRICS"], "a") as file:
    file.write("no metric at all\\n")
send_metric("name 01", 1)
"""
    run = await ran(runs, script)
    figures = await series(metrics, run.id)
    assert [one.name for one in figures] == [f"name {n:02}" for n in range(5)]
    assert [one.points for one in figures] == [101, 2, 1, 1, 1]
    assert figures[0].last == "x" * 197 + "..."
    page = await operations.metric_points(metrics, ReadPoints(run.id, "name 00"))
    assert 1 < len(page.values) < 101
    assert page.values[-1] == "x" * 60_000


async def test_attempts_add_to_the_same_series(runs: Runs, metrics: RunMetrics) -> None:
    script = """
import os, sys
from spice_runtime import send_metric
send_metric("attempt", int(os.environ["SPICE_RUN_ATTEMPT"]))
sys.exit(os.environ["SPICE_RUN_ATTEMPT"] != "3")
"""
    run = await ran(runs, script, retries=3)
    assert (run.outcome, run.attempt) == ("success", 3)
    assert await points(metrics, run.id, "attempt") == [(0, 1.0), (1, 2.0), (2, 3.0)]


async def test_no_point_is_lost_or_doubled_over_the_end_of_an_engine(
    runs: Runs, metrics: RunMetrics
) -> None:
    script = """
import pathlib, time
from spice_runtime import send_metric
for n in range(5000):
    send_metric("n", n)
folder = pathlib.Path(__import__("os").environ["SPICE_METRICS"]).parent
while not (folder / "go").exists():
    time.sleep(0.01)
for n in range(5000, 10000):
    send_metric("n", n)
"""
    run = await started(runs, script)
    async with asyncio.timeout(60):
        reached = await operations.wait_metric(metrics, WaitMetric(run.id, "n", "gte", 1000))
    assert reached.reached
    await metrics.close()
    await runs.close(stop=False)
    folder = runs.folder(run.id)
    (folder / "go").touch()
    async with runs_of(runs.location.root) as later:
        again = RunMetrics(later, SECRET, lambda: "http://127.0.0.1:8000")
        await again.open()
        await later.adopt_all()
        async with asyncio.timeout(60):
            await later.wait_over(run.id)
        found: list[int] = []
        after: int | None = None
        while True:
            page = await operations.metric_points(
                again, ReadPoints(run.id, "n", after, math.inf, 3000)
            )
            if not page.indexes:
                break
            found += page.indexes
            assert page.values == [float(index) for index in page.indexes]
            after = page.indexes[-1]
        assert found == list(range(10000))
        await later.close(stop=False)
        await again.close()


async def test_a_condition_stops_the_run_and_its_outputs_are_kept(
    runs: Runs, metrics: RunMetrics
) -> None:
    script = """
import time
from spice_runtime import send_metric
open("model.txt", "w").write("best")
for n in range(100):
    send_metric("loss", 10 - n if n < 8 else 2)
    send_metric("step", n)
time.sleep(600)
"""
    conditions = ["loss > 100", "loss < 4:5 && step >= 6"]
    run = await ran(runs, script, stop_conditions=conditions)
    assert (run.state, run.outcome, run.output_files) == ("stopped", "stopped", 1)
    assert run.message.startswith("Stop condition met: loss < 4:5 && step >= 6 (loss is ")
    with pytest.raises(InvalidRequest, match="formatted incorrectly"):
        await runs.start(StartRun("true", stop_conditions=["loss ~ 3"]))


async def test_what_no_engine_judged_is_judged_by_the_next(runs: Runs) -> None:
    run = await started(runs, "import time; time.sleep(600)", stop_conditions=["loss < 1"])
    runs.metrics.add(f"runs/{run.id}", [Point("loss", 0.5, 1.0), Point("loss", 7.0, 2.0)])
    await runs.metrics.flush()
    await runs.close(stop=False)
    async with runs_of(runs.location.root, stop=True) as later:
        metrics = RunMetrics(later, SECRET, lambda: "http://127.0.0.1:8000")
        await metrics.open()
        await later.adopt_all()
        async with asyncio.timeout(60):
            ended = await later.wait_over(run.id)
        assert ended.message == "Stop condition met: loss < 1 (loss is 0.5 at index 0)."
        await metrics.close()


async def test_waiting_for_a_value(runs: Runs, metrics: RunMetrics) -> None:
    script = """
from spice_runtime import send_metric
for value in (0.1, 0.95, 0.2):
    send_metric("acc", value)
"""
    run = await started(runs, script)
    async with asyncio.timeout(60):
        first, second = await asyncio.gather(
            operations.wait_metric(metrics, WaitMetric(run.id, "acc", "gt", 0.9)),
            operations.wait_metric(metrics, WaitMetric(run.id, "acc", "gt", 1)),
        )
    assert (first.reached, first.index, first.value) == (True, 1, 0.95)
    assert not second.reached
    assert second.error == f"run {run.id} is complete, and acc > 1 was never met."
    # It came before anybody asked.
    assert (await operations.wait_metric(metrics, WaitMetric(run.id, "acc", "gt", 0.9))).reached


async def test_what_a_run_uses(runs: Runs, metrics: RunMetrics) -> None:
    script = """
import time
from spice_runtime import send_metric
data = bytearray(40_000_000)
send_metric("ready", 1)
until = time.process_time() + 0.05
while time.process_time() < until:
    pass
time.sleep(600)
"""
    run = await started(runs, script)
    async with asyncio.timeout(60):
        await operations.wait_metric(metrics, WaitMetric(run.id, "ready", "eq", 1))
        found = await operations.stats(metrics, RunId(run.id))
        # Nothing came yet; and the engine's end has nobody wait.
        none = await operations.wait_metric(metrics, WaitMetric(run.id, "ready", "gt", 5, 0))
        assert (none.reached, none.over) == (False, False)
        asking = operations.wait_metric(metrics, WaitMetric(run.id, "ready", "gt", 5))
        waiting = asyncio.create_task(asking)
        metrics.watches.let_go()
        assert not (await waiting).over
    assert found.memory > 40_000_000
    assert found.memory_total >= found.memory
    assert found.cpu_percent > 0
    assert found.processes == 1
    assert found.network_received is not None
    assert found.network_sent is not None
    await metrics.hardware.measure()
    await runs.end(run.id, kill=True)
    await runs.wait_over(run.id)
    names = {one.name for one in (await operations.list_metrics(metrics, RunId(run.id))).series}
    network = {"system/network_received_bytes", "system/network_sent_bytes"}
    assert {"ready", "system/cpu_percent", "system/memory_bytes", *network} <= names
    with pytest.raises(Conflict, match="is killed"):
        await operations.stats(metrics, RunId(run.id))


async def test_a_run_that_begins_is_measured_before_its_turn(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(hardware, "EVERY_LOOKS", 10**9)
    metrics = RunMetrics(runs, SECRET, lambda: "http://127.0.0.1:8000")
    await metrics.open()
    async with asyncio.timeout(60):
        run = await started(runs, "import time; time.sleep(600)")
        wanted = WaitMetric(run.id, "system/memory_bytes", "gt", 0)
        assert (await operations.wait_metric(metrics, wanted)).reached
        await runs.close(stop=True)
        await metrics.close()


def test_a_token_is_good_for_its_run_only() -> None:
    token = run_token(SECRET, 12)
    assert run_of_token(SECRET, token) == 12
    for other in ("", "12", f"13{token[2:]}", f"{token}0", "x-1", run_token("other", 12)):
        assert run_of_token(SECRET, other) is None


async def test_event_files_become_metrics_while_the_run_goes_on(
    runs: Runs, metrics: RunMetrics
) -> None:
    # Files of another run, which the copy of the folder has, too.
    old = EventFile(runs.location.root / "logs", 100.0)
    old.scalars(0, 100.0, {"loss": 99.0})
    old.close()
    script = f"""
import os, pathlib, shutil, sys, time
sys.path.insert(0, {str(Path(event_file.__file__).parents[2])!r})
from spice_engine.learning.event_file import EventFile
file = EventFile(pathlib.Path("logs/train"), time.time())
file.scalars(0, time.time(), {{"loss": 2.0}})
while not (pathlib.Path(os.environ["SPICE_METRICS"]).parent / "go").exists():
    time.sleep(0.01)
file.scalars(1, time.time(), {{"loss": 1.0}})
file.close()
with file.path.open("ab") as torn:
    torn.write(b"\\x10\\x00\\x00")
"""
    run = await started(runs, script, tensorboard="logs")
    async with asyncio.timeout(60):
        reached = await operations.wait_metric(metrics, WaitMetric(run.id, "train/loss", "eq", 2))
    assert reached.reached
    (runs.folder(run.id) / "go").touch()
    ended = await runs.wait_over(run.id)
    assert ended.outcome == "success"
    assert await points(metrics, run.id, "train/loss") == [(0, 2.0), (1, 1.0)]
    assert [one.name for one in await series(metrics, run.id)] == ["train/loss"]
