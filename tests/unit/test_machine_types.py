"""Machine types: which there are, who gets a machine and who waits, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.protocol.machine_types import SetMachineType
from spice_engine.runs.machine_queue import Machine, Turn
from spice_engine.runs.machine_types import MachineTypes, defaults
from spice_engine.serving.node_groups import Need, NodeGroups
from spice_engine.store import runs as runs_table
from spice_engine.store.database import Database
from spice_engine.store.runs import RunRow
from spice_engine.workers.devices import Devices
from spice_engine.workers.placement import Resources

GIB = 2**30
HERE = Resources(4.0, 8 * GIB, 4)


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = await Database.open(tmp_path / "engine.db", "engine")
    yield made
    await made.close()


@pytest_asyncio.fixture
async def types(database: Database) -> MachineTypes:
    made = MachineTypes(database, HERE, Devices(2))
    await made.open()
    return made


async def stored(database: Database, **changes: object) -> RunRow:
    values = {"kind": "run", "command": ["true"], "created": 1.0, "state": "queued", **changes}
    return await database.write(lambda connection: runs_table.create(connection, **values))


def machine(turn: Turn) -> Machine | None:
    assert turn.done()
    return turn.result()


def sizes(there: Resources, gpus: int) -> dict[str, tuple[float, float, int, int | None]]:
    found = defaults(there, gpus).values()
    return {one.name: (one.cpu, one.memory / GIB, one.gpus, one.max_machines) for one in found}


def test_what_is_there_without_any_set_up() -> None:
    assert sizes(HERE, 2) == {
        "cpu": (4.0, 8.0, 0, None),
        "cpu-big": (2.0, 4.0, 0, 2),
        "cpu-huge": (4.0, 8.0, 0, 1),
        "gpu": (4.0, 8.0, 1, 2),
    }
    odd = sizes(Resources(5.0, 31 * GIB // 2, 5), 0)
    assert (odd["cpu-big"], "gpu" in odd) == ((2.0, 7.0, 0, 2), False)
    assert sizes(Resources(1.0, GIB, 1), 0)["cpu-big"] == (0.5, 0.5, 0, 2)


async def test_who_waits_for_many_is_passed_by_those_only_that_keep_none_from_it(
    types: MachineTypes,
) -> None:
    await types.set(SetMachineType("small", max_machines=4))

    def ask(run: int, count: int = 1, priority: int = 0) -> Turn:
        return types.ask(run, "small", count, priority)

    assert all(ask(run).done() for run in (1, 2))
    many = ask(3, 3)
    assert not many.done()
    assert ask(4).done()  # the fourth machine is none of the three that 3 waits for
    fifth, two = ask(5), ask(6, 2)
    assert [fifth.done(), two.done()] == [False, False]  # one is free, and 3 will need it
    types.queue.give_back(4)
    assert [fifth.done(), two.done()] == [True, False]
    types.queue.give_back(1)
    assert not many.done()
    urgent = ask(7, 2, priority=1)
    assert urgent.done()
    types.queue.give_back(2)
    types.queue.give_back(7)
    assert many.done()
    assert types.queue.in_use("small") == 4


async def test_who_waits_for_more_than_there_are_holds_nobody_up(types: MachineTypes) -> None:
    await types.set(SetMachineType("small", max_machines=2))
    assert types.ask(1, "small", 2).done()
    many = types.ask(2, "small", 2)
    await types.set(SetMachineType("small", max_machines=1))
    types.queue.give_back(1)
    assert not many.done()
    assert types.ask(3, "small").done()
    await types.set(SetMachineType("small", max_machines=3))
    assert many.done()


async def test_runs_wait_in_the_order_of_their_numbers_and_for_their_own_type_alone(
    types: MachineTypes,
) -> None:
    assert machine(types.ask(1, "cpu-big")) == Machine(1, "cpu-big")
    assert machine(types.ask(2, "CPU-Big")) is not None
    fourth, third, fifth = (types.ask(run, "cpu-big") for run in (4, 3, 5))
    assert types.words("cpu-big") == "waits for a machine of type cpu-big: 2 of 2 in use."
    assert [third.done(), fourth.done()] == [False, False]
    assert types.ask(4, "cpu-big") is fourth
    assert machine(types.ask(6, "cpu-huge")) is not None
    assert all(types.ask(run, "cpu").done() for run in range(100, 110))
    types.queue.leave(3)
    assert machine(third) is None
    types.queue.give_back(1)
    assert (machine(fourth), fifth.done()) == (Machine(4, "cpu-big"), False)
    info = types.info("cpu-big")
    assert (info.in_use, info.waiting) == (2, 1)
    for run in (5, 2, 4, 4):
        types.queue.give_back(run)
    assert types.info("cpu-big").in_use == 0


async def test_a_change_serves_those_who_wait_and_takes_nothing_from_those_who_run(
    types: MachineTypes,
) -> None:
    turns = [types.ask(run, "cpu-huge") for run in (1, 2, 3)]
    await types.set(SetMachineType("cpu-huge", max_machines=2))
    assert [turn.done() for turn in turns] == [True, True, False]
    await types.set(SetMachineType("cpu-huge", max_machines=1))
    types.queue.give_back(1)
    assert (types.info("cpu-huge").in_use, turns[2].done()) == (1, False)
    types.queue.give_back(2)
    assert turns[2].done()


async def test_gpus_are_shared_out_evenly_among_runs_and_replicas(database: Database) -> None:
    devices = Devices(2)
    types = MachineTypes(database, HERE, devices)
    groups = NodeGroups(database, HERE, devices)
    room = groups.take("default", Need(gpus=1))
    assert room.devices == (0,)
    assert machine(types.ask(1, "gpu")) == Machine(1, "gpu", (1,))
    groups.give_back(room)
    assert machine(types.ask(2, "gpu")) == Machine(2, "gpu", (0,))
    waits = types.ask(3, "gpu")
    types.queue.give_back(1)
    assert machine(waits) == Machine(3, "gpu", (1,))


async def test_the_next_engine_counts_what_runs_before_anybody_takes_a_machine(
    types: MachineTypes, database: Database, tmp_path: Path
) -> None:
    queued = [await stored(database, machine_type="gpu") for _ in range(2)]
    # The engine may have died before it noted that its process runs.
    began = [await stored(database, machine_type="gpu", state="requested") for _ in range(2)]
    for number, row in enumerate(began):
        folder = tmp_path / str(row.id)
        folder.mkdir()
        job = {"env": {"CUDA_VISIBLE_DEVICES": str(number)}}
        (folder / "job.json").write_text(json.dumps(job))
    await types.take_back([*queued, *began], lambda number: tmp_path / str(number))
    info = types.info("gpu")
    assert (info.in_use, info.waiting) == (2, 2)
    types.queue.give_back(began[1].id)
    later, first = (types.ask(row.id, "gpu") for row in reversed(queued))
    assert (machine(first), later.done()) == (Machine(queued[0].id, "gpu", (1,)), False)


async def test_what_never_fits_is_refused_with_the_reason(
    types: MachineTypes, database: Database
) -> None:
    for wrong, why in (
        (SetMachineType("x", cpu=4.5), "at most 4 cores"),
        (SetMachineType("x", memory=0), "more than 0"),
        (SetMachineType("x", gpus=3), "this machine has 2"),
        (SetMachineType("x", max_machines=0), "between 1 and"),
        (SetMachineType("x y"), "letters, digits"),
    ):
        with pytest.raises(InvalidRequest, match=why):
            await types.set(wrong)
    with pytest.raises(InvalidRequest, match="a machine of type cpu-big has 2 cores"):
        types.check("cpu-big", 3.0, None)
    with pytest.raises(NotFound, match="There are: cpu, cpu-big, cpu-huge, gpu"):
        types.check("none", None, None)
    # The whole machine asks for no limit of its runs, as it never did.
    assert types.check("CPU", 100.0, 2**50) == "cpu"
    await types.set(SetMachineType("wide", cpu=4.0))
    smaller = MachineTypes(database, Resources(2.0, 8 * GIB, 2), Devices(0))
    await smaller.open()
    with pytest.raises(InvalidRequest, match="would have 4 cores"):
        smaller.check("wide", None, None)
    with pytest.raises(InvalidRequest, match="would have 4 cores"):
        smaller.ask(1, "wide")


async def test_a_run_is_limited_by_its_type_or_by_less(
    types: MachineTypes, database: Database
) -> None:
    async def room(machine_type: str, **limits: float) -> tuple[float, int]:
        row = await stored(database, machine_type=machine_type, limits=limits)
        found = types.room(row)
        return found.cpu, found.memory_bytes

    assert await room("cpu") == (0.0, 0)
    assert await room("cpu", cpu=8.0, memory=5) == (8.0, 5)
    assert await room("cpu-huge") == (0.0, 0)
    assert await room("cpu-big") == (2.0, 4 * GIB)
    assert await room("cpu-big", cpu=0.5, memory=GIB) == (0.5, GIB)


async def test_types_are_kept_and_a_removed_default_is_as_it_was(
    types: MachineTypes, database: Database
) -> None:
    assert (await types.set(SetMachineType("V100x4", gpus=1, memory=GIB))).max_machines == 1
    await types.set(SetMachineType("cpu-big", cpu=1.0, max_machines=7))
    again = MachineTypes(database, HERE, Devices(2))
    await again.open()
    assert again.names() == ["cpu", "cpu-big", "cpu-huge", "gpu", "v100x4"]
    assert (again.info("CPU-BIG").cpu, again.info("cpu-big").max_machines) == (1.0, 7)
    again.ask(1, "v100X4")
    with pytest.raises(Conflict, match="is used by 1 runs"):
        await again.remove("v100x4")
    again.queue.give_back(1)
    await again.remove("v100x4")
    with pytest.raises(NotFound):
        again.ask(2, "v100x4")
    assert "default size" in await again.remove("cpu-big")
    assert (again.info("cpu-big").cpu, again.info("cpu-big").max_machines) == (2.0, 2)
    with pytest.raises(NotFound):
        await again.remove("none")


async def test_a_run_whose_waiting_was_cancelled_leaves_its_machine_to_the_next(
    types: MachineTypes,
) -> None:
    types.ask(1, "cpu-huge")
    given_up = asyncio.ensure_future(asyncio.wait_for(types.ask(2, "cpu-huge"), 60))
    await asyncio.sleep(0)
    waits = types.ask(3, "cpu-huge")
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    types.queue.give_back(1)
    types.queue.give_back(2)
    assert machine(waits) == Machine(3, "cpu-huge")
