"""Runs at the seams: callers that go away, folders that are gone, shims that do not answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spice_engine.errors import NotFound
from spice_engine.protocol.runs import StartRun
from spice_engine.runs.service import Runs
from spice_engine.store import runs as table
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.workers import shim_client
from spice_runtime import process
from tests.integration.run_services import runs_of


async def stored(runs: Runs) -> list[RunRow]:
    return list(await runs.database.read(lambda c: table.list_newest(c, 1000)))


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


async def insert(runs: Runs, root: Path, state: str, line: str) -> RunRow:
    """A run as an engine that died left it in the store."""

    def create(connection: sqlite3.Connection) -> RunRow:
        return table.create(
            connection,
            kind="run",
            command=("/bin/sh", "-c", line),
            cwd=str(root),
            state=state,
            created=time.time(),
        )

    row = await runs.database.write(create)
    if state == "running":
        row = await runs.database.write(
            lambda c: table.set_state(c, row.id, state, started=time.time())
        )
    return row


async def test_a_caller_that_goes_away_leaves_no_run_that_nobody_follows(tmp_path: Path):
    async with runs_of(tmp_path) as runs:
        for steps in range(40):
            asked = asyncio.create_task(runs.start(StartRun(["true"])))
            for _ in range(steps // 4):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0002 * (steps % 4))
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        await until(lambda: not runs.active, "the runs to end")
        await asyncio.sleep(0.2)
        await until(lambda: not runs.active, "the runs to end")
        assert {row.state for row in await stored(runs)} <= {"complete"}


async def test_a_stop_is_carried_out_though_its_caller_goes_away(tmp_path: Path):
    async with runs_of(tmp_path) as runs:
        for steps in range(8):
            run = await runs.start(StartRun(["sleep", "60"]))
            asked = asyncio.create_task(runs.end(run.id, kill=True))
            for _ in range(steps):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        states = [row.state for row in await stored(runs)]
        for row in await stored(runs):
            if row.state == "running":  # it was not even asked
                await runs.end(row.id, kill=True)
        assert states.count("running") < 8
        await until(lambda: not runs.active, "every killed run to end")


async def test_a_run_that_ran_never_runs_again_when_its_folder_is_gone(tmp_path: Path):
    async with runs_of(tmp_path) as runs:
        row = await insert(runs, tmp_path, "running", "touch again")
        await runs.adopt_all()
        await until(lambda: not runs.active, "the run to be settled")
        (after,) = await stored(runs)
        assert (after.id, after.state) == (row.id, "interrupted")
        assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(("wanted", "final"), [("stopping", "stopped"), ("killing", "killed")])
async def test_a_run_stopped_before_it_began_does_not_begin(
    tmp_path: Path, wanted: str, final: str
):
    async with runs_of(tmp_path) as runs:
        await insert(runs, tmp_path, wanted, "touch begun")
        await runs.adopt_all()
        await until(lambda: not runs.active, "the run to be settled")
        assert [row.state for row in await stored(runs)] == [final]
        assert not (tmp_path / "begun").exists()


async def test_an_accepted_run_begins_with_the_next_engine(tmp_path: Path):
    async with runs_of(tmp_path) as runs:
        await insert(runs, tmp_path, "requested", "touch begun")
        await runs.adopt_all()
        await until(lambda: not runs.active, "the run to end")
        assert [(row.state, row.exit_code) for row in await stored(runs)] == [("complete", 0)]
        assert (tmp_path / "begun").exists()


async def test_the_end_of_a_run_is_known_though_its_shim_did_not_answer_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shim_client, "_ANSWER_SECONDS", 0.2)
    gate = tmp_path / "gate"
    async with runs_of(tmp_path) as runs:
        line = "while [ ! -e gate ]; do sleep 0.05; done; exit 7"
        run = await runs.start(StartRun(line, in_place=True))
        claim = process.read_json(str(runs.folder(run.id)), process.CLAIM)
        assert claim is not None
        shim = claim["pid"]
    os.kill(shim, signal.SIGSTOP)
    try:
        async with runs_of(tmp_path) as runs:
            await runs.adopt_all()
            await asyncio.sleep(3.0)  # several looks, none of which is answered
            assert runs.active == 1
            os.kill(shim, signal.SIGCONT)
            gate.touch()
            await until(lambda: not runs.active, "its end")
            (row,) = await stored(runs)
            assert (row.id, row.state, row.exit_code) == (run.id, "complete", 7)
    finally:
        os.kill(shim, signal.SIGCONT) if Path(f"/proc/{shim}").exists() else None


async def test_folders_of_a_lost_database_are_in_nobodys_way(tmp_path: Path):
    async with runs_of(tmp_path) as runs:
        await runs.start(StartRun("echo before"))
        await until(lambda: not runs.active, "its end")
    for file in (tmp_path / ".spice").glob("engine.db*"):
        file.unlink()
    async with runs_of(tmp_path) as runs:
        run = await runs.start(StartRun("exit 5"))
        await until(lambda: not runs.active, "its end")
        (row,) = await stored(runs)
        assert (row.id, row.state, row.exit_code) == (run.id, "complete", 5)
        (kept,) = (tmp_path / ".spice" / "runs").glob("1.*.old")
        assert (kept / "logs.txt").read_text() == "before\n"


async def test_a_run_goes_on_when_its_folder_is_deleted_and_the_engine_says_how_it_ended(
    tmp_path: Path,
):
    async with runs_of(tmp_path) as runs:
        run = await runs.start(StartRun(["sleep", "0.5"]))
        shutil.rmtree(runs.folder(run.id))
        await until(lambda: not runs.active, "its end")
        (row,) = await stored(runs)
        assert row.state in FINAL_STATES


@pytest.mark.parametrize("key", ["²", "٣", "", "-1", "9" * 30, "x"])
async def test_a_log_topic_of_no_run_is_not_found(tmp_path: Path, key: str):
    async with runs_of(tmp_path) as runs:
        with pytest.raises(NotFound):
            runs.logs.topic(key)
