"""Lives of runs: parameters, order, attempts, sameness, going on after a loss, lists."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.protocol.machine_types import SetMachineType
from spice_engine.protocol.runs import ListRuns, RunInfo, StartRun
from spice_engine.runs.listing import rows_of
from spice_engine.runs.readiness import Readiness
from spice_engine.runs.service import Runs
from spice_engine.runs.states import asked_with
from spice_engine.store import projects, run_life
from spice_engine.store import runs as table
from spice_engine.store.series import Point
from spice_engine.workers.placement import UNCOUNTED, LocalPlacement
from spice_engine.workers.shims import ShimHost
from spice_runtime import process
from tests.conftest import wait_for
from tests.integration.run_services import runs_of


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "code.txt").write_text("code\n")
    async with runs_of(tmp_path / "app", stop=True) as found:
        yield found


async def run(runs: Runs, command: str | list[str], **wanted: object) -> RunInfo:
    started = await runs.start(StartRun(command, **wanted))  # type: ignore[arg-type]
    return await over(runs, started.id)


async def over(runs: Runs, number: int) -> RunInfo:
    async with asyncio.timeout(60):
        return await runs.wait_over(number)


async def until(runs: Runs, number: int, state: str, message: str = "") -> RunInfo:
    """What a run is once it is in a state, with a part of its message."""
    met: asyncio.Future[RunInfo] = asyncio.get_running_loop().create_future()

    def hear(info: RunInfo) -> None:
        fits = (info.id, info.state) == (number, state) and message in info.message
        if fits and not met.done():
            met.set_result(info)

    end = runs.listen(hear)
    try:
        hear(runs.known[number])
        async with asyncio.timeout(60):
            return await met
    finally:
        end()


def log_of(runs: Runs, number: int) -> str:
    return (runs.folder(number) / "logs.txt").read_text()


async def listed(runs: Runs, **wanted: object) -> list[int]:
    rows = await rows_of(runs.database, runs.metrics, ListRuns(**wanted))  # type: ignore[arg-type]
    return [row.id for row in rows]


async def test_parameters_stand_in_the_command_and_are_kept(runs: Runs) -> None:
    params = {"lr": 0.1, "text": "a :lr: b", "conv3-filters": 64}
    ended = await run(runs, "echo :lr: ':text:' :conv3-filters: :other:", params=params)
    assert log_of(runs, ended.id) == "0.1 a :lr: b 64 :other:\n"
    assert ended.command == ["echo 0.1 'a :lr: b' 64 :other:"]
    assert ended.params == params
    again = asked_with(await runs.database.read(lambda connection: table.get(connection, ended.id)))
    assert again.command == "echo :lr: ':text:' :conv3-filters: :other:"
    for name in ("", "a b", "a:b", "a=b"):
        with pytest.raises(InvalidRequest, match="name of a parameter"):
            await runs.start(StartRun("true", params={name: 1}))


async def test_a_failing_command_is_tried_again_and_nothing_of_its_attempts_is_lost(
    runs: Runs,
) -> None:
    line = (
        "echo try $SPICE_RUN_ATTEMPT; ls; echo $SPICE_RUN_ATTEMPT > model; "
        "test $SPICE_RUN_ATTEMPT = 3"
    )
    ended = await run(runs, line, retries=4)
    assert (ended.state, ended.outcome, ended.exit_code) == ("complete", "success", 0)
    assert (ended.attempt, ended.retries) == (3, 4)
    # Each attempt begins with the folder as it was.
    assert log_of(runs, ended.id) == (
        "try 1\ncode.txt\n[attempt 2 of 5]\ntry 2\ncode.txt\n[attempt 3 of 5]\ntry 3\ncode.txt\n"
    )
    outputs = runs.folder(ended.id) / "outputs"
    assert {
        str(path.relative_to(outputs)): path.read_text() for path in outputs.rglob("model")
    } == {"model": "3\n", "attempt-1/model": "1\n", "attempt-2/model": "2\n"}
    assert (ended.output_files, ended.output_bytes) == (3, 6)


async def test_one_who_listens_and_fails_keeps_no_run_from_its_end(
    runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(info: RunInfo) -> None:
        raise ZeroDivisionError(info.state)

    end = runs.listen(fail)
    ended = await run(runs, "echo done")
    end()
    assert (ended.state, log_of(runs, ended.id)) == ("complete", "done\n")
    assert "one who listens failed at complete" in caplog.text


async def test_what_fails_each_time_ends_with_its_last_exit_code(runs: Runs) -> None:
    ended = await run(runs, "exit 7", retries=1)
    assert (ended.state, ended.outcome, ended.exit_code, ended.attempt) == (
        "complete",
        "failed",
        7,
        2,
    )
    # It would fail each time.
    missing = await run(runs, ["no-such-program"], retries=3)
    assert (missing.exit_code, missing.attempt) == (127, 1)


async def test_a_run_that_is_stopped_is_not_tried_again(runs: Runs) -> None:
    started = await runs.start(StartRun("trap 'exit 3' TERM; sleep 60 & wait", retries=5))
    await until(runs, started.id, "running")
    await runs.end(started.id, kill=False)
    ended = await over(runs, started.id)
    assert (ended.state, ended.attempt) == ("stopped", 1)


async def test_a_stop_between_two_attempts_keeps_what_the_first_left(runs: Runs) -> None:
    asked: list[asyncio.Task[RunInfo]] = []

    def stop(info: RunInfo) -> None:
        if info.attempt == 2 and not asked:
            asked.append(asyncio.create_task(runs.end(info.id, kill=False)))

    runs.listen(stop)
    line = "test $SPICE_RUN_ATTEMPT = 2 && sleep 60; echo 1 > model; exit 1"
    ended = await run(runs, line, retries=3)
    assert (ended.state, ended.attempt, ended.output_files) == ("stopped", 2, 1)
    assert (runs.folder(ended.id) / "outputs" / "attempt-1" / "model").read_text() == "1\n"


@pytest.mark.parametrize("noted", [False, True])
async def test_an_attempt_of_an_earlier_engine_is_followed_by_the_next(
    tmp_path: Path, noted: bool
) -> None:
    folder = tmp_path / ".spice" / "runs" / "1"
    async with runs_of(tmp_path) as runs:
        line = "echo $SPICE_RUN_ATTEMPT; test -e go || sleep 60; exit 1"
        started = await runs.start(StartRun(line, retries=1, in_place=True))
        await until(runs, started.id, "running")
    # Between two engines the first attempt ends; an engine may also have noted it, and no more.
    note = process.read_json(str(folder), process.SHIM)
    assert note is not None
    os.killpg(note["child"], signal.SIGKILL)
    (tmp_path / "go").touch()
    async with runs_of(tmp_path) as runs:
        if noted:
            await asyncio.to_thread(wait_for, (folder / process.EXIT).exists, "its end")
            await runs.database.write(lambda connection: run_life.next_attempt(connection, 1, ""))
        assert await runs.adopt_all() == 1
        ended = await over(runs, 1)
        assert (ended.attempt, ended.exit_code) == (2, 1)
        assert log_of(runs, 1).endswith("[attempt 2 of 2]\n2\n")
    assert (folder / "attempts" / "1" / process.EXIT).exists()


async def test_runs_begin_in_the_order_that_was_asked_for(runs: Runs) -> None:
    first = await runs.start(StartRun("sleep 60"))
    await until(runs, first.id, "running")
    second = await runs.start(StartRun("true", after=[first.id]))
    assert (second.state, second.message) == ("queued", "waits for run 1 to be over.")
    third = await runs.start(StartRun("true", after=[first.id, second.id], after_ok=True))
    assert third.message == "waits for runs 1, 2 to be over."
    fourth = await runs.start(StartRun("true", after=[third.id]))
    fifth = await runs.start(StartRun("true", after=[first.id]))
    await runs.end(fifth.id, kill=False)
    assert (await over(runs, fifth.id)).state == "stopped"
    await runs.end(first.id, kill=True)
    assert (await over(runs, second.id)).outcome == "success"
    skipped = await over(runs, third.id)
    assert (skipped.state, skipped.started) == ("failed", None)
    assert skipped.message == "Not begun: run 1 did not succeed (killed)."
    assert (await over(runs, fourth.id)).outcome == "success"
    failed = await run(runs, "exit 7")
    skipped = await run(runs, "true", after=[failed.id], after_ok=True)
    assert skipped.message == f"Not begun: run {failed.id} did not succeed (exit code 7)."
    with pytest.raises(NotFound, match="no run 99"):
        await runs.start(StartRun("true", after=[99]))


async def test_a_run_with_a_higher_priority_goes_first(runs: Runs) -> None:
    first = await runs.start(StartRun("sleep 60", machine_type="cpu-huge"))
    await until(runs, first.id, "running")
    begun: list[int] = []
    end = runs.listen(lambda info: begun.append(info.id) if info.state == "running" else None)
    waiting = [
        await runs.start(StartRun("true", machine_type="cpu-huge", priority=priority))
        for priority in (0, 5, -1, 5)
    ]
    assert waiting[0].message == "waits for a machine of type cpu-huge: 1 of 1 in use."
    # Who waits for another type is not behind them.
    assert (await run(runs, "true", priority=-9)).outcome == "success"
    begun.clear()
    await runs.end(first.id, kill=True)
    for info in waiting:
        await over(runs, info.id)
    end()
    assert list(dict.fromkeys(begun)) == [3, 5, 2, 4]


async def test_the_same_run_is_made_once(runs: Runs, tmp_path: Path) -> None:
    wanted = {"idempotent": True, "params": {"x": "1"}, "env": {"A": "b"}}
    first = await run(runs, "echo :x:", **wanted)
    assert not first.existed
    again = await runs.start(StartRun("echo :x:", **wanted))  # type: ignore[arg-type]
    assert (again.id, again.existed) == (first.id, True)
    # Also of those that did not ask for it; only what decides the outcome counts.
    plain = await run(runs, "echo 2", name="plain", labels=["a"])
    assert (await runs.start(StartRun("echo 2", idempotent=True))).id == plain.id
    others = [
        await run(runs, "echo :x:", **{**wanted, "params": {"x": "2"}}),
        await run(runs, "echo :x:", **{**wanted, "env": {}}),
        await run(runs, "echo  :x:", **wanted),
    ]
    (tmp_path / "app" / "code.txt").write_text("changed\n")
    others.append(await run(runs, "echo :x:", **wanted))
    assert not any(other.existed for other in others)
    failed = await run(runs, "exit 1", idempotent=True)
    assert (await run(runs, "exit 1", idempotent=True)).id != failed.id
    with pytest.raises(InvalidRequest, match="in the folder itself"):
        await runs.start(StartRun("true", idempotent=True, in_place=True))


async def test_a_lost_run_goes_on_as_another_with_its_files(runs: Runs, tmp_path: Path) -> None:
    told = tmp_path / "told"
    os.mkfifo(told)
    line = (
        f"if test -e step; then cat step code.txt; else echo 1 > step; echo > {told}; sleep 60; fi"
    )
    started = await runs.start(StartRun(line, auto_resume=True, name="long", labels=["l"]))
    folder = runs.folder(started.id)
    await asyncio.to_thread(told.read_text)
    await until(runs, started.id, "running")
    claim = process.read_json(str(folder), process.CLAIM)
    assert claim is not None
    os.kill(claim["pid"], signal.SIGKILL)  # as a machine that goes down takes it
    lost = await over(runs, started.id)
    assert (lost.state, lost.resumed_as) == ("interrupted", 2)
    ended = await over(runs, 2)
    assert (ended.outcome, ended.resumed_from) == ("success", 1)
    assert (ended.name, ended.labels) == ("long", ["l"])
    assert log_of(runs, 2) == "1\ncode\n"


async def test_the_same_again_runs_on_the_folder_as_it_was(runs: Runs, tmp_path: Path) -> None:
    await run(runs, "cat code.txt", name="first", timeout=60.0)
    (tmp_path / "app" / "code.txt").write_text("changed\n")
    asked = asked_with(await runs.database.read(lambda connection: table.get(connection, 1)))
    assert (asked.name, asked.timeout, asked.code_of) == ("first", 60.0, 1)
    ended = await over(runs, (await runs.start(asked)).id)
    assert log_of(runs, ended.id) == "code\n"


async def test_names_find_runs_and_archived_ones_are_left_out(runs: Runs) -> None:
    one = await run(runs, "true", name="only one")
    two, three = [await run(runs, "true", name="twice") for _ in range(2)]
    assert await runs.find("only one") == one.id
    with pytest.raises(Conflict, match="several runs") as refused:
        await runs.find("twice")
    assert refused.value.hint == "Give a number; the newest: 3, 2."
    archived = await runs.archive(two.id, archived=True)
    assert archived.archived is not None
    assert await runs.find("twice") == three.id
    assert await listed(runs) == [1, 3]
    assert await listed(runs, archived=True) == [2]
    with pytest.raises(Conflict, match="archived already"):
        await runs.archive(two.id, archived=True)
    await runs.archive(two.id, archived=False)
    assert await listed(runs) == [1, 2, 3]
    goes_on = await runs.start(StartRun("sleep 60"))
    with pytest.raises(Conflict, match="not over"):
        await runs.archive(goes_on.id, archived=True)
    with pytest.raises(NotFound, match="no run named"):
        await runs.find("nothing")
    for name in ("12", "runs/3", " x", "a\nb"):
        with pytest.raises(InvalidRequest, match="cannot name a run"):
            await runs.start(StartRun("true", name=name))


async def test_what_starts_runs_is_ready_as_long_as_a_machine_type_wants_it(runs: Runs) -> None:
    async with ShimHost() as host:
        placement = LocalPlacement(host, capacity=UNCOUNTED)
        readiness = Readiness(runs.machines, placement, runs.preparation.files)
        await readiness.look(time.monotonic())
        assert host.spawner_pid == 0
        await runs.machines.set(SetMachineType("cpu-huge", min_machines=1))
        await readiness.look(time.monotonic())
        assert host.spawner_pid > 0
        await runs.machines.set(SetMachineType("cpu-huge", min_machines=0, idle_seconds=60.0))
        await run(runs, "true", machine_type="cpu-huge")
        await readiness.look(time.monotonic())
        assert host.spawner_pid > 0
        await readiness.look(time.monotonic() + 61)
        assert host.spawner_pid == 0
    for wrong in (
        SetMachineType("cpu-huge", min_machines=2),
        SetMachineType("cpu-huge", min_machines=-1),
        SetMachineType("cpu-huge", idle_seconds=-1.0),
    ):
        with pytest.raises(InvalidRequest):
            await runs.machines.set(wrong)


async def test_runs_are_listed_by_what_is_known_of_them(runs: Runs) -> None:
    for number, (lr, loss) in enumerate([("0.1", 3.0), ("0.01", 1.0), ("big", 2.0)], 1):
        await run(runs, "true", name=f"try{number}", params={"lr": lr}, labels=[f"l{number}"])
        runs.metrics.add(f"runs/{number}", [Point(name="loss", value=loss, index=0, time=1.0)])
    await runs.database.write(
        lambda connection: projects.add(connection, "p", description="", creator="", created=0.0)
    )
    await run(runs, "exit 2", project="p", machine_type="cpu-big", kind="trial")
    await runs.metrics.flush()
    assert await listed(runs, number=2) == [3, 4]
    assert await listed(runs, number=2, before=3) == [1, 2]
    assert await listed(runs, name="try*") == [1, 2, 3]
    assert await listed(runs, labels=["l1", "l3"]) == [1, 3]
    assert await listed(runs, kinds=["trial"], project="P") == [4]
    assert await listed(runs, project="-") == [1, 2, 3]
    assert await listed(runs, params=["lr<0.05"]) == [2]
    assert await listed(runs, params=["lr=0.10"]) == [1]
    assert await listed(runs, params=["lr=big"]) == [3]
    assert await listed(runs, metrics=["loss>=2", "loss<3"]) == [3]
    assert await listed(runs, sort="metric:loss") == [2, 3, 1, 4]
    assert await listed(runs, sort="metric:loss", descending=True, number=1) == [1]
    assert await listed(runs, sort="param:lr") == [2, 1, 3, 4]
    assert await listed(runs, sort="name", descending=True) == [3, 2, 1, 4]
    created = (await runs.database.read(lambda connection: table.get(connection, 2))).created
    assert await listed(runs, since=created) == [2, 3, 4]
    assert await listed(runs, until=created) == [1]
    for wanted in ({"sort": "weight"}, {"params": ["lr"]}, {"metrics": ["loss<x"]}):
        with pytest.raises(InvalidRequest):
            await listed(runs, **wanted)


async def test_who_waits_for_another_run_waits_on_under_the_next_engine(tmp_path: Path) -> None:
    async with runs_of(tmp_path) as runs:
        first = await runs.start(StartRun("sleep 60"))
        await until(runs, first.id, "running")
        second = await runs.start(StartRun("true", after=[first.id]))
        assert second.state == "queued"
    async with runs_of(tmp_path) as runs:
        assert await runs.adopt_all() == 2
        await runs.end(first.id, kill=True)
        assert (await over(runs, second.id)).outcome == "success"
