"""Runs of several ranks: what each is told, how they end together, and what is kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.machine_types import SetMachineType
from spice_engine.protocol.ranks import RankList
from spice_engine.protocol.runs import ReadLog, RunId, RunInfo, StartRun
from spice_engine.runs.log_sources import LogFiles
from spice_engine.runs.operations import read_log
from spice_engine.runs.rank_jobs import ranks_of
from spice_engine.runs.rank_operations import list_ranks
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.runs.service import Runs
from spice_engine.store.runs import FINAL_STATES
from spice_runtime import process, ranks
from tests.integration.run_services import runs_of
from tests.integration.shim_jobs import until

ROOT = Path(__file__).parents[2]

ALL_REDUCE = """
import json, os, socket, struct, time

rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])

if rank == 0:
    with socket.create_server(address) as door:
        others = [door.accept()[0] for _ in range(world - 1)]
    total = sum(struct.unpack("!I", other.recv(4))[0] for other in others)
    for other in others:
        other.sendall(struct.pack("!I", total))
else:
    while True:
        try:
            hub = socket.create_connection(address)
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
    hub.sendall(struct.pack("!I", rank))
    total = struct.unpack("!I", hub.recv(4))[0]

names = [name for name in os.environ if "RANK" in name or "WORLD" in name or "TORCH" in name]
with open("told.json", "w") as file:
    json.dump({name: os.environ[name] for name in [*names, "OMP_NUM_THREADS"]}, file)
print(f"the sum is {total}\\nand no more", end="")
"""


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    root = tmp_path / "app"
    root.mkdir()
    async with runs_of(root, stop=True) as service:
        yield service


async def over(runs: Runs, request: StartRun) -> RunInfo:
    started = await runs.start(request)
    return await runs.wait_over(started.id)


async def log_of(runs: Runs, number: int, rank: int | None = None) -> str:
    return (await read_log(runs, ReadLog(number, rank=rank))).text


async def ranks_when(runs: Runs, number: int, count: int) -> RankList:
    """The ranks of a run, when so many have started."""
    await until(lambda: len(ranks_of(runs.folder(number)).ranks) == count)
    return ranks_of(runs.folder(number))


async def test_ranks_meet_and_those_of_rank_0_are_the_runs_outputs(runs: Runs) -> None:
    (runs.location.root / "all_reduce.py").write_text(ALL_REDUCE)
    ended = await over(runs, StartRun([sys.executable, "all_reduce.py"], distributed=3))
    assert (ended.state, ended.exit_code, ended.distributed) == ("complete", 0, 3)

    lines = (await log_of(runs, ended.id)).splitlines()
    said = ("the sum is 3", "and no more")
    assert sorted(lines) == sorted(f"[rank {rank}] {text}" for rank in range(3) for text in said)
    for rank in range(3):
        assert await log_of(runs, ended.id, rank) == "the sum is 3\nand no more"
    with pytest.raises(NotFound, match="ranks 0 to 2"):
        await log_of(runs, ended.id, 3)

    files = LogFiles(runs.location, runs.folder, {})
    runs.logs.follow_also(files.path)
    topic = runs.logs.topic(f"{ended.id}/2")
    assert topic.snapshot() == {"size": len("the sum is 3\nand no more"), "ended": True}
    with pytest.raises(NotFound, match=f"no log 'run/{ended.id}/3'"):
        files.path(f"run/{ended.id}/3")

    if runs.preparation.files.ways()["overlay"]:
        outputs = runs.folder(ended.id) / OUTPUTS
        assert [path.name for path in outputs.iterdir()] == ["told.json"]
        told = json.loads((outputs / "told.json").read_text())
        assert told["RANK"] == told["LOCAL_RANK"] == told["GROUP_RANK"] == "0"
        assert told["WORLD_SIZE"] == told["LOCAL_WORLD_SIZE"] == "3"
        assert told["TORCHELASTIC_RUN_ID"] == str(ended.id)
        assert int(told["OMP_NUM_THREADS"]) >= 1
    left = {path.name for path in runs.folder(ended.id).iterdir()}
    assert ranks.FILES not in left

    found = (await list_ranks(runs, RunId(ended.id))).ranks
    assert [(one.rank, one.exit_code) for one in found] == [(0, 0), (1, 0), (2, 0)]
    assert all(one.log_bytes for one in found)


async def test_all_end_when_one_fails_and_its_code_is_the_runs(runs: Runs) -> None:
    line = '[ "$RANK" = 1 ] && exit 7; sleep 300'
    ended = await over(runs, StartRun(line, distributed=3))
    assert (ended.state, ended.outcome, ended.exit_code) == ("complete", "failed", 7)
    assert ended.message == "rank 1 exited with code 7"
    found = (await list_ranks(runs, RunId(ended.id))).ranks
    assert [one.exit_code for one in found] == [143, 7, 143]
    assert not any(process.identity(one.pid) for one in found)
    assert "[rank 1 exited with code 7]" in await log_of(runs, ended.id)


async def test_a_stop_reaches_every_rank_and_a_kill_of_the_launcher_ends_them(runs: Runs) -> None:
    line = 'trap "echo told; exit 0" TERM; sleep 300 & wait'
    started = await runs.start(StartRun(line, distributed=2))
    await ranks_when(runs, started.id, 2)
    await runs.end(started.id, kill=False)
    ended = await runs.wait_over(started.id)
    assert ended.state == "stopped"

    started = await runs.start(StartRun(["sleep", "300"], distributed=2))
    found = (await ranks_when(runs, started.id, 2)).ranks
    shim = process.read_json(str(runs.folder(started.id)), process.SHIM) or {}
    os.kill(shim["child"], signal.SIGKILL)
    ended = await runs.wait_over(started.id)
    assert (ended.outcome, ended.exit_code) == ("failed", 137)
    left = (await list_ranks(runs, RunId(ended.id))).ranks
    assert [(one.message, one.exit_code) for one in left] == [("ended with the run", None)] * 2
    assert not any(process.identity(one.pid) for one in found)


async def test_bad_numbers_and_commands_are_told(runs: Runs) -> None:
    for count in (-1, 129):
        with pytest.raises(InvalidRequest, match="between 1 and 128"):
            await runs.start(StartRun("true", distributed=count))
    with pytest.raises(
        InvalidRequest, match="2 machines of type cpu-huge at once, and there are 1"
    ):
        await runs.start(StartRun("true", distributed=2, machine_type="cpu-huge"))

    ended = await over(runs, StartRun(["no-such-command"], distributed=2))
    assert ended.exit_code == 127
    assert "[cannot run no-such-command: No such file or directory]" in await log_of(runs, ended.id)

    with socket.create_server(("127.0.0.1", 0)) as door:
        port = str(door.getsockname()[1])
        wants = {"MASTER_PORT": port}
        ended = await over(runs, StartRun("true", distributed=2, env=wants))
    assert ended.exit_code == 1
    assert f"MASTER_PORT {port} is in use" in ended.message


async def test_a_run_waits_for_machines_for_all_its_ranks_and_only_spare_ones_are_used_meanwhile(
    runs: Runs,
) -> None:
    await runs.machines.set(SetMachineType("small", max_machines=3))
    first = await runs.start(StartRun("sleep 300", distributed=2, machine_type="small"))
    assert first.state == "running"
    second = await runs.start(StartRun("true", distributed=2, machine_type="small"))
    assert second.message == "waits for 2 machines of type small: 2 of 3 in use."
    third = await runs.start(StartRun("sleep 300", machine_type="small"))
    assert third.state == "running"
    fourth = await runs.start(StartRun("true", machine_type="small"))
    assert fourth.state == "queued"
    await runs.end(first.id, kill=True)
    assert (await runs.wait_over(second.id)).exit_code == 0
    assert runs.known[third.id].state == "running"
    assert (await runs.wait_over(fourth.id)).exit_code == 0
    await runs.end(third.id, kill=True)
    await runs.wait_over(third.id)
    assert runs.machines.queue.in_use("small") == 0
    assert runs.known[first.id].state in FINAL_STATES


def test_a_rank_that_ignores_sigterm_is_killed_when_another_fails(tmp_path: Path) -> None:
    line = '[ "$RANK" = 0 ] && trap "" TERM && touch deaf; ' + (
        '[ "$RANK" = 1 ] && while [ ! -e deaf ]; do sleep 0.02; done && exit 9; '
        "while true; do sleep 300; done"
    )
    plan = {"count": 2, "argv": ["/bin/sh", "-c", line], "cwd": str(tmp_path), "grace_s": 0.1}
    (tmp_path / process.JOB).write_text(json.dumps({"ranks": plan}))
    launcher = subprocess.run(
        [sys.executable, "-I", "-S", ranks.__file__],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
    )
    assert launcher.returncode == 9, launcher.stderr
    told = json.loads((tmp_path / ranks.STATUS).read_text())
    assert [one["message"] for one in told["ranks"]] == ["ended by SIGKILL", "exited with code 9"]
    assert told["failed"] == 1


@pytest.mark.slow
async def test_pytorchs_data_parallel_training_learns_on_two_ranks(runs: Runs) -> None:
    pytest.importorskip("torch")
    script = (ROOT / "bench" / "ddp_gloo.py").read_text()
    (runs.location.root / "ddp_gloo.py").write_text(script)
    request = StartRun([sys.executable, "ddp_gloo.py"], distributed=2, env={"STEPS": "40"})
    ended = await over(runs, request)
    said = await log_of(runs, ended.id)
    assert ended.exit_code == 0, said
    for rank in range(2):
        assert f"[rank {rank}] rank {rank} of 2: y = 3.0" in said
    assert ended.output_files == 1
