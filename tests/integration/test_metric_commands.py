"""The commands about runs' metrics, called in this process against a real engine."""

from __future__ import annotations

import csv
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import polars
import pytest
from textual.widgets import Static

from spice_engine.learning.event_file import EventFile
from spice_tui.cli.main import main
from spice_tui.cli.metric_follow import Follower, Point
from spice_tui.client import Client
from spice_tui.models import metric_series
from spice_tui.screens.metrics_view import MetricsView
from tests.conftest import EngineFixture
from tests.tui.app_driver import open_app

Cli = Callable[..., tuple[int, str, str]]

SCRIPT = """\
import json, os, sys, urllib.request
from spice_runtime import send_metric

def wire(**body):
    data = json.dumps(body).encode()
    address = f"http://{os.environ['SPELL_METRICS']}/user-metrics"
    urllib.request.urlopen(urllib.request.Request(address, data)).read()

for n in range(5):
    send_metric("loss", 1 / (n + 1))
send_metric("phase", "training")
wire(type="number", name="acc", number=0.5)
wire(type="number", name="acc", number=float("nan"), index=10)
wire(type="text", name="phase", text="done")
for bad in (dict(name="acc", number="much"), dict(name="n" * 301, number=1)):
    try:
        wire(type="number", **bad)
    except Exception as error:
        print(error.code, error.read().decode())
"""


@pytest.fixture
def folder(shared_engine: EngineFixture, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shared_engine.location.root
    (root / "metrics_script.py").write_text(SCRIPT)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return int(code), out, err

    return call


@pytest.fixture
def run(cli: Cli) -> str:
    code, out, err = cli("run", "--json", sys.executable, "metrics_script.py")
    assert code == 0, err
    return str(json.loads(out)["id"])


def test_series_are_listed_printed_followed_and_exported(cli: Cli, run: str, folder: Path) -> None:
    refused = cli("logs", run)[1].splitlines()
    assert refused[0].startswith("400 a metric has a name")
    assert refused[1].startswith("400 the name of a metric has 1 to 300 characters")
    code, out, _ = cli("metrics", run)
    # On a slow machine what the run uses was measured, too.
    lines = [line.split() for line in out.splitlines() if "system/" not in line]
    assert lines[0] == ["NAME", "POINTS", "INDEX", "LAST", "MIN", "MAX"]
    assert lines[1:] == [
        ["acc", "2", "10", "nan", "0.5", "0.5"],
        ["loss", "5", "4", "0.2", "0.2", "1"],
        ["phase", "2", "1", "done", "-", "-"],
    ]
    code, out, _ = cli("metrics", run, "acc", "--json")
    points = json.loads(out)
    assert [(one["index"], one["value"]) for one in points] == [(0, 0.5), (10, "NaN")]
    assert len(cli("metrics", run, "loss", "-n", "3")[1].splitlines()) == 4
    code, out, _ = cli("metrics", run, "--follow")
    assert (code, sum("system/" not in line for line in out.splitlines())) == (0, 9)
    code, _, err = cli("metrics", run, "lost")
    assert (code, "no metric 'lost'" in err) == (5, True)

    _, out, _ = cli("metrics", run, "--export", "all.csv")
    with (folder / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert out == f"{len(rows)} points written to all.csv.\n"
    assert sum("system/" not in row["metric_name"] for row in rows) == 9
    assert [row["value"] for row in rows if row["metric_name"] == "acc"] == ["0.5", "nan"]
    assert {row["run_id"] for row in rows} == {run}
    assert cli("metrics", run, "--export", "all.csv")[0] == 6
    assert cli("metrics", run, "loss", "--export", "all.csv", "--force")[0] == 0
    assert cli("metrics", run, "--export", "all.xlsx")[0] == 2
    assert cli("metrics", run, "--export", "all.json")[0] == 0
    assert [one["value"] for one in json.loads((folder / "all.json").read_text())][:2] == [
        0.5,
        "NaN",
    ]
    assert cli("metrics", run, "--export", "all.parquet")[0] == 0
    frame = polars.read_parquet(folder / "all.parquet")
    assert frame.filter(metric_name="phase")["text"].to_list() == ["training", "done"]
    assert frame.filter(metric_name="loss")["value"][0] == 1.0


def test_points_that_come_late_are_followed_and_the_newest_shown(
    shared_engine: EngineFixture, cli: Cli, run: str
) -> None:
    printed: list[tuple[int, float]] = []

    def write(name: str, points: list[Point]) -> None:
        printed.extend((index, value) for index, _, value in points)

    def send(*points: tuple[int, float]) -> None:
        told = [{"name": "late", "index": index, "value": value} for index, value in points]
        shared_engine.call("runs.add_metrics", id=int(run), points=told)

    follower = Follower(int(run), "late", write)
    with Client(shared_engine.location) as client:
        for points in ([(5, 0.5), (9, 0.9)], [(2, 0.2)], [(2, 0.25), (12, 1.2), (0, 0.0)], []):
            printed.clear()
            send(*points)
            assert follower.look(client)
            assert sorted(printed) == sorted(points)
    last = json.loads(cli("metrics", run, "late", "-n", "2", "--json")[1])
    assert [one["index"] for one in last] == [9, 12]
    for number in ("0", "60000"):
        every = json.loads(cli("metrics", run, "late", "-n", number, "--json")[1])
        assert [one["index"] for one in every] == [0, 2, 2, 5, 9, 12]


def test_waiting_for_values(cli: Cli, run: str) -> None:
    code, out, _ = cli("wait", run, "--metric", "loss <= 0.25")
    assert (code, out) == (0, f"{run}  loss is 0.25 at index 3\n")
    code, out, err = cli("wait", run, "--metric", "loss < 0.1")
    assert (code, out) == (1, "")
    assert err == f"Run {run} is complete, and loss < 0.1 was never met.\n"
    assert cli("wait", run, "--metric", "loss ~ 1")[0] == 2
    code, _, err = cli("stats", run)
    assert code == 6
    assert "is complete: it has no processes now" in err


def test_conditions_and_what_a_run_uses(cli: Cli) -> None:
    line = (
        f"{sys.executable} -c 'import time; from spice_runtime import send_metric;"
        'send_metric("ready", 1); time.sleep(600)'
        "'"
    )
    code, out, err = cli("run", "-b", "--json", line)
    assert code == 0, err
    run = str(json.loads(out)["id"])
    assert cli("wait", run, "--metric", "ready == 1")[0] == 0
    code, out, _ = cli("stats", run, "--json")
    assert json.loads(out)["processes"] >= 1
    heads = cli("stats", run)[1].splitlines()[0]
    assert [one.strip() for one in heads.split("  ") if one.strip()] == [
        "CPU %",
        "MEM %",
        "MEM USAGE / TOTAL",
        "NETWORK I/O",
        "BLOCK I/O",
        "PROCESSES",
    ]
    assert cli("kill", run)[0] == 0
    code, out, err = cli("run", "--json", "--stop-condition", "ready >= 1", line)
    ended = json.loads(out)
    assert (ended["state"], code) == (
        "stopped",
        0 if not ended["exit_code"] else ended["exit_code"],
    )
    assert ended["message"] == "Stop condition met: ready >= 1 (ready is 1 at index 0)."
    code, _, err = cli("run", "--stop-condition", "ready = 1", "true")
    assert (code, "formatted incorrectly" in err) == (2, True)


def test_a_runs_address_is_for_its_own_metrics_only(
    shared_engine: EngineFixture, folder: Path
) -> None:
    address = f"{shared_engine.http}/spell/1-{'0' * 32}/user-metrics"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(address, b"{}"))
    assert refused.value.code == 401
    refused.value.close()


def test_a_folder_of_event_files_is_taken_in(cli: Cli, folder: Path) -> None:
    for part in ("train", "val"):
        file = EventFile(folder / "old logs" / part, 1000.0)
        for step in range(3):
            file.scalars(step, 1000.0 + step, {"loss": 3.0 - step})
        file.close()
    code, out, err = cli("import", "tensorboard", "old logs")
    assert code == 0, err
    run = out.split()[2].rstrip(":")
    assert [line.split()[:4] for line in cli("metrics", run)[1].splitlines()[1:]] == [
        ["train/loss", "3", "2", "1"],
        ["val/loss", "3", "2", "1"],
    ]
    found = json.loads(cli("info", run, "--json")[1])
    assert (found["kind"], found["state"], found["name"]) == ("external", "complete", "old logs")
    assert (found["created"], found["ended"]) == (1000.0, 1002.0)
    (folder / "empty").mkdir()
    assert cli("import", "tensorboard", "empty")[0] == 5


async def test_the_screen_draws_what_a_run_sends(
    shared_engine: EngineFixture, folder: Path
) -> None:
    number = shared_engine.call("runs.start", command=[sys.executable, "metrics_script.py"])["id"]  # type: ignore[index]
    reached = shared_engine.call(
        "runs.wait_metric", id=number, name="acc", condition="eq", value=0.5
    )
    assert reached["reached"]  # type: ignore[index]
    async with open_app(shared_engine, (160, 50)) as screen:
        await screen.command(":metrics")
        view = screen.app.current_view
        assert isinstance(view, MetricsView)
        view.choose(f"run/{number}")
        await screen.shows("loss", f"Charts of {number}")
        await screen.until(
            lambda: {"loss", "acc", "phase"} <= set(view._by_key), "a chart for each series"
        )
        many = [{"name": f"many/{n:03}", "value": n} for n in range(100)]
        shared_engine.call("runs.add_metrics", id=number, points=many)
        view.choose(f"run/{number}")
        await screen.until(
            lambda: len(view._by_key) == metric_series.MOST_CHARTS, "a chart for some of many"
        )
        assert {"loss", "acc"} <= set(view._by_key)
        await screen.until(
            lambda: any("more have no chart" in str(one.render()) for one in view.query(Static)),
            "how many are left out",
        )
