"""Metrics of runs with ranks: a series is one rank's, whatever way it comes in."""

from __future__ import annotations

import sys
from pathlib import Path

from spice_engine.protocol.runs import RunId, StartRun
from spice_engine.runs import metric_operations as operations
from spice_engine.runs.metric_service import RunMetrics
from tests.conftest import EngineFixture, wait_for
from tests.integration.run_services import runs_of
from tests.integration.shim_jobs import until

EVERY_WAY = """
import json, os, urllib.request
from spice_runtime import send_metric
from spell.metrics import send_metric as spells

rank = int(os.environ["RANK"])

def post(address, **body):
    headers = {"Content-Type": "application/json"}
    headers["Authorization"] = "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    urllib.request.urlopen(request).read()

for step in range(3):
    send_metric("loss", 10 * rank + step, step)
spells("spell", rank)
wire = f"http://{os.environ['SPELL_METRICS']}/user-metrics"
post(wire, type="number", name="wire", number=rank)
tracking = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/"
run = os.environ["MLFLOW_RUN_ID"]
point = dict(key="flow", value=rank, timestamp=1000 + rank, step=0)
post(tracking + "runs/log-metric", run_id=run, **point)
post(tracking + "runs/log-batch", run_id=run, metrics=[{**point, "key": "batch"}])
"""
WAYS = ("loss", "spell", "wire", "flow", "batch")


def ended(engine: EngineFixture, **wanted: object) -> int:
    (engine.location.root / "every_way.py").write_text(EVERY_WAY)
    command = [sys.executable, "every_way.py"]
    number = engine.call("runs.start", command=command, distributed=2, **wanted)["id"]
    wait_for(lambda: engine.call("runs.get", id=number)["ended"], "both ranks")
    run = engine.call("runs.get", id=number)
    assert run["exit_code"] == 0, engine.call("runs.log", id=number, tail=40)["text"]
    return number


def series(engine: EngineFixture, run: int) -> dict[str, list[float]]:
    names = [one["name"] for one in engine.call("runs.list_metrics", id=run)["series"]]
    return {
        name: engine.call("runs.metric_points", id=run, name=name)["values"]
        for name in names
        if not name.startswith("system/")
    }


def test_rank_0_has_the_plain_names_and_the_others_their_own(shared_engine: EngineFixture) -> None:
    # What only rank 1 sends meets no condition of the run.
    run = ended(shared_engine, stop_conditions=["loss > 5"])
    assert shared_engine.call("runs.get", id=run)["state"] == "complete"
    assert series(shared_engine, run) == {
        "loss": [0.0, 1.0, 2.0],
        "rank1/loss": [10.0, 11.0, 12.0],
        **{name: [0.0] for name in WAYS[1:]},
        **{f"rank1/{name}": [1.0] for name in WAYS[1:]},
    }


def test_together_they_send_as_the_script_says(shared_engine: EngineFixture) -> None:
    found = series(shared_engine, ended(shared_engine, env={"SPICE_RANK_METRICS": "together"}))
    assert sorted(found) == sorted(WAYS)
    assert sorted(found["loss"]) == [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]
    assert sorted(found["wire"]) == [0.0, 1.0]


async def test_what_each_rank_uses_is_measured(tmp_path: Path) -> None:
    script = """
import os, time
data = bytearray(20_000_000 * (1 + 2 * int(os.environ["RANK"])))
open(os.path.join(os.environ["READY"], os.environ["RANK"]), "w").close()
time.sleep(600)
"""
    app, ready = tmp_path / "app", tmp_path / "ready"
    app.mkdir()
    ready.mkdir()
    (app / "script.py").write_text(script)
    async with runs_of(app, stop=True) as runs:
        metrics = RunMetrics(runs, "s" * 40, lambda: "http://127.0.0.1:8000")
        await metrics.open()
        wanted = {"READY": str(ready)}
        request = StartRun([sys.executable, "script.py"], distributed=2, env=wanted)
        run = await runs.start(request)
        await until(lambda: len(list(ready.iterdir())) == 2)
        await metrics.hardware.measure()
        found = (await operations.list_metrics(metrics, RunId(run.id))).series
        last = {one.name: one.last for one in found}
        await runs.close(stop=True)
        await metrics.close()
    memory = [last[f"system/rank{rank}/memory_bytes"] for rank in range(2)]
    assert all(isinstance(one, float) for one in memory), memory
    assert 20_000_000 < float(memory[0] or 0) < 60_000_000 < float(memory[1] or 0)
    assert {"system/rank0/cpu_percent", "system/rank1/cpu_percent"} <= set(last)
