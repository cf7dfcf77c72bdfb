"""Machine types on a real engine: runs that wait, through restarts, and the commands."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spice_engine.protocol.runs import StartRun
from spice_engine.runs import machine_types
from spice_engine.workers.limits import detect
from spice_tui.cli.main import main
from tests.conftest import EngineFixture, wait_for
from tests.integration.run_services import runs_of

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(
    shared_engine: EngineFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Cli]:
    monkeypatch.chdir(shared_engine.location.root)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return int(code), out, err

    yield call
    with shared_engine.client() as client:
        for run in client.call("runs.list")["runs"]:
            if run["ended"] is None:
                client.call("runs.kill", {"id": run["id"]})
        wait_for(lambda: not client.call("engine.status")["active_runs"], "all runs to end")


def start(cli: Cli, *words: str) -> int:
    code, out, err = cli("run", "--background", *words)
    assert code == 0, err
    return int(out)


def run_of(cli: Cli, number: int) -> dict[str, Any]:
    return json.loads(cli("info", str(number), "--json")[1])


def types_of(cli: Cli) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads(cli("machine-type", "list", "--json")[1])}


def test_the_third_of_three_waits_through_a_restart_and_starts_when_one_ends(cli: Cli) -> None:
    first, second, third = (start(cli, "-t", "CPU-Big", "sleep 300") for _ in range(3))
    assert run_of(cli, second)["state"] == "running"
    words = "waits for a machine of type cpu-big: 2 of 2 in use."
    waiting = run_of(cli, third)
    assert (waiting["state"], waiting["message"]) == ("queued", words)
    assert waiting["machine_type"] == "cpu-big"
    said = cli("info", str(third))[1]
    assert words in said
    assert f"Queued -- {words}" in cli("ps", "-v")[1]
    assert "Machine Type  cpu-big" in said
    # Neither a run without a type nor one of another type waits behind it.
    assert cli("run", "true")[0] == 0
    assert cli("run", "-t", "cpu-huge", "true")[0] == 0

    assert cli("engine", "restart")[0] == 0
    assert [run_of(cli, number)["state"] for number in (first, second)] == ["running"] * 2
    wait_for(lambda: run_of(cli, third)["message"] == words, "the third to wait again")
    assert (types_of(cli)["cpu-big"]["in_use"], types_of(cli)["cpu-big"]["waiting"]) == (2, 1)
    code, _, err = cli("machine-type", "delete", "cpu-big")
    assert (code, "is used by 2 runs, and 1 wait" in err) == (6, True)

    assert cli("kill", str(first))[0] == 0
    wait_for(lambda: run_of(cli, third)["state"] == "running", "the third to start")
    assert run_of(cli, third)["message"] == ""
    assert run_of(cli, third)["stages"]["queued"] > 0
    assert "queued" not in run_of(cli, second)["stages"]
    assert cli("kill", str(second), str(third))[0] == 0
    wait_for(lambda: types_of(cli)["cpu-big"]["in_use"] == 0, "all to end")


def test_a_run_that_waits_is_stopped_without_having_begun(cli: Cli) -> None:
    start(cli, "-t", "cpu-huge", "sleep 300")
    waiting = start(cli, "-t", "cpu-huge", "touch begun")
    assert cli("stop", str(waiting))[0] == 0
    code, out, _ = cli("wait", str(waiting))
    assert (code, "Stopped" in out) == (143, True)
    assert not Path("begun").exists()
    assert types_of(cli)["cpu-huge"]["waiting"] == 0


def test_who_follows_a_run_that_waits_sees_it_through(
    cli: Cli, shared_engine: EngineFixture
) -> None:
    blocking = start(cli, "-t", "cpu-huge", "sleep 300")

    def end_it() -> None:
        with shared_engine.client() as client:
            wait_for(lambda: client.call("runs.list", {"states": ["queued"]})["runs"], "a queue")
            client.call("runs.kill", {"id": blocking})

    other = threading.Thread(target=end_it)
    other.start()
    code, out, err = cli("run", "-v", "-t", "cpu-huge", "echo it ran; exit 3")
    other.join()
    assert (code, out) == (3, "it ran\n")
    number = blocking + 1
    assert f"Run {number} waits for a machine of type cpu-huge: 1 of 1 in use." in err
    assert f"Run {number} started.\n" in err
    assert f"Run {number}: Complete (3). exited with code 3 [" in err
    assert "queued " in err


def test_types_are_added_scaled_and_deleted_and_limit_their_runs(cli: Cli) -> None:
    options = ["--memory", "300M", "--max-machines", "1"]
    assert cli("machine-type", "add", "Tiny", *options)[0] == 0
    assert cli("machine-type", "add", "tiny")[0] == 6
    hungry = f"exec {sys.executable} -S -c 'bytearray(600 << 20)'"
    assert cli("run", hungry)[0] == 0
    assert cli("run", "-t", "tiny", hungry)[0] != 0
    start(cli, "-t", "tiny", "sleep 300")
    waiting = start(cli, "-t", "tiny", "sleep 300")
    assert run_of(cli, waiting)["state"] == "queued"
    assert cli("machine-type", "scale", "TINY", "--max-machines", "2")[0] == 0
    wait_for(lambda: run_of(cli, waiting)["state"] == "running", "the second machine")
    assert cli("machine-type", "delete", "tiny")[0] == 6
    listed = cli("cluster")[1].split("Machine types, for runs")[1].splitlines()
    assert [line.split()[4:] for line in listed if line.startswith("tiny")] == [
        ["0", "2", "30", "minutes", "2", "0"]
    ]
    assert types_of(cli).keys() >= {"cpu", "cpu-big", "cpu-huge", "tiny"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "-t", "ZZ", "true"], 2, "invalid choice: ZZ. (choose from cpu, cpu-big, cpu-huge"),
        (["run", "-t", "cpu-big", "--cpu", "9999", "true"], 2, "a machine of type cpu-big has"),
        (["machine-type", "add", "x", "--cpu", "9999"], 2, "which is this machine"),
        (["machine-type", "add", "x", "--gpus", "99"], 2, "99 GPUs, this machine has"),
        (["machine-type", "scale", "cpu-big"], 2, "give --max-machines"),
        (["machine-type", "scale", "none", "--gpus", "0"], 5, "There are: cpu, cpu-big"),
        (["machine-type", "delete", "none"], 5, "There are: cpu, cpu-big"),
    ],
)
def test_what_is_refused_and_why(cli: Cli, arguments: list[str], code: int, said: str) -> None:
    got, _, err = cli(*arguments)
    assert (got, said in err) == (code, True), err


def test_names_are_completed(cli: Cli, shared_engine: EngineFixture) -> None:
    def names(noun: str, prefix: str) -> list[str]:
        with shared_engine.client() as client:
            return client.call("engine.names", {"noun": noun, "prefix": prefix})["names"]

    assert names("machine_types", "cpu-")[:2] == ["cpu-big", "cpu-huge"]
    assert names("node_groups", "def") == ["default"]
    assert names("servers", "") == []


async def test_a_run_sees_the_gpus_of_its_machine(tmp_path: Path) -> None:
    line = "echo $CUDA_VISIBLE_DEVICES; sleep 300"
    async with runs_of(tmp_path, gpus=2, stop=True) as runs:
        started = [await runs.start(StartRun(line, machine_type="gpu")) for _ in range(3)]
        assert [run.state for run in started] == ["running", "running", "queued"]
        logs = [runs.folder(run.id) / "logs.txt" for run in started]
        deadline = time.monotonic() + 30
        while not all(log.is_file() and log.read_text() for log in logs[:2]):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert [log.read_text() for log in logs[:2]] == ["0\n", "1\n"]
    ended = [runs.known[run.id].state for run in started]
    assert ended == ["stopped"] * 3


FORKS = """
import os, time
made = 0
try:
    while made < 100:
        if os.fork() == 0:
            time.sleep(300)
        made += 1
except BlockingIOError:
    pass
print(made, flush=True)
"""


@pytest.mark.skipif(detect().pids == "none", reason="the number of processes cannot be limited")
async def test_a_run_that_forks_without_end_leaves_processes_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_types, "most_processes", lambda: 20)
    async with runs_of(tmp_path) as runs:
        beside = await runs.start(StartRun("sleep 300"))
        forking = await runs.start(StartRun([sys.executable, "-S", "-c", FORKS]))
        over = await runs.wait_over(forking.id)
        assert over.exit_code == 0
        log = (runs.folder(forking.id) / "logs.txt").read_text()
        assert 0 < int(log) < 20
        await runs.end(beside.id, kill=True)
        await runs.wait_over(beside.id)
    groups = [group["path"] for group in limits_of(tmp_path / ".spice/runs/1")["groups"]]
    assert groups
    assert not any(Path(group).exists() for group in groups)


def limits_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "job.json").read_text())["limits"]


def test_runs_are_named_cloned_waited_for_and_put_away(cli: Cli) -> None:
    code, out, _ = cli("run", "--name", "base", "--param", "n=3", "--retries", "1", "exit :n:")
    assert (code, out) == (3, "[attempt 2 of 2]\n")
    code, out, _ = cli("info", "base")
    assert "Attempt          2 of 2" in out
    assert "Hyperparameters  n=3" in out
    number = run_of_name(cli, "base")
    again = ["clone", "base", "--param", "n=0", "--name", "again", "--retries", "0"]
    assert cli(*again, "--after", "base", "--background")[0] == 0
    assert cli("wait", "again")[:2] == (0, f"{number + 1}  Complete (0)\n")
    assert cli("wait", "again", "--state", "running")[0] == 1
    assert "there is no state 'runing'" in cli("wait", "again", "--state", "runing")[2]
    assert "there is no state 'runing'" in cli("ps", "--state", "runing")[2]
    assert cli("ps", "--state", "Build Failed", "--json")[1] == "[]\n"
    listed = cli("ps", "--param", "n<1", "--json", "--sort", "param:n")[1]
    assert [run["name"] for run in json.loads(listed)] == ["again"]

    code, out, _ = cli("run", "--idempotent", "--background", "exit 0", "--param", "n=0")
    assert code == 0
    code, again_out, err = cli("run", "--idempotent", "--background", "exit 0", "--param", "n=0")
    assert (code, again_out) == (0, out)
    assert f"Idempotent: Found existing run {int(out)}" in err

    assert cli("archive", "base")[:2] == (0, f"Successfully archived run {number}.\n")
    assert cli("info", "base")[0] == 5
    assert str(number) not in [run["id"] for run in json.loads(cli("ps", "--json")[1])]
    assert cli("archive", str(number))[0] == 6
    assert cli("archive", "--undo", str(number))[0] == 0
    assert cli("run", "--after", "nobody", "true")[0] == 5


def run_of_name(cli: Cli, name: str) -> int:
    return int(json.loads(cli("info", name, "--json")[1])["id"])
