"""Node groups: what fits, what waits, what never fits, and which devices a replica gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from spice_engine.errors import Conflict, InvalidRequest, NotFound, Overloaded
from spice_engine.protocol.servers import Limits, SetNodeGroup
from spice_engine.serving.node_groups import Need, NodeGroups, need_of
from spice_engine.store.database import Database
from spice_engine.workers.devices import Devices
from spice_engine.workers.placement import Resources

GIB = 2**30


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = await Database.open(tmp_path / "engine.db", "engine")
    yield made
    await made.close()


@pytest_asyncio.fixture
async def groups(database: Database) -> NodeGroups:
    made = NodeGroups(database, Resources(4.0, 8 * GIB, 4), Devices(2))
    await made.open()
    return made


async def test_the_whole_machine_is_not_counted_until_its_size_is_set(groups: NodeGroups) -> None:
    for _ in range(10):
        groups.take("default", Need(2.0, GIB))
    await groups.set(SetNodeGroup("default", cpu=3.0))
    with pytest.raises(Overloaded):
        groups.take("default", Need(1.0))
    await groups.remove("default")
    groups.take("default", Need(1.0))


async def test_room_that_is_given_back_before_anybody_waits_for_it_wakes_them(
    groups: NodeGroups,
) -> None:
    await groups.set(SetNodeGroup("small", cpu=1.0, memory=GIB))
    room = groups.take("small", Need(0.7))
    with pytest.raises(Overloaded):
        groups.take("small", Need(0.7))
    freed = groups.freed()
    groups.give_back(room)
    await asyncio.wait_for(freed, 5)


async def test_what_does_not_fit_waits_and_what_never_will_is_refused(groups: NodeGroups) -> None:
    await groups.set(SetNodeGroup("small", cpu=1.0, memory=GIB))
    first = groups.take("small", Need(0.7, GIB // 2))
    with pytest.raises(Overloaded, match=r"0\.3 cores and 512 MiB"):
        groups.take("small", Need(0.5))
    with pytest.raises(InvalidRequest, match="in all"):
        groups.take("small", Need(1.5))
    waiting = asyncio.create_task(groups.freed())
    await asyncio.sleep(0)
    groups.give_back(first)
    groups.give_back(first)
    await asyncio.wait_for(waiting, 5)
    assert groups.take("small", Need(1.0, GIB)).devices == ()
    info = groups.info("small")
    assert (info.cpu_used, info.memory_used, info.replicas) == (1.0, GIB, 1)


async def test_devices_are_shared_out_evenly(groups: NodeGroups) -> None:
    await groups.set(SetNodeGroup("gpu", gpus=2))
    one = groups.take("gpu", Need(gpus=1))
    other = groups.take("gpu", Need(gpus=1))
    assert {*one.devices, *other.devices} == {0, 1}
    with pytest.raises(Overloaded):
        groups.take("gpu", Need(gpus=1))
    with pytest.raises(InvalidRequest, match="has 2"):
        groups.check("gpu", Need(gpus=3))
    # An uncounted group shares: a new version can start beside the old one.
    assert len(groups.take("default", Need(gpus=1)).devices) == 1


async def test_groups_are_kept_and_checked(groups: NodeGroups, database: Database) -> None:
    await groups.set(SetNodeGroup("a-1", cpu=2.0))
    again = NodeGroups(database, Resources(4.0, 8 * GIB, 4), Devices(0))
    await again.open()
    assert [(one.name, one.cpu) for one in again.list()] == [("a-1", 2.0), ("default", 4.0)]
    for wrong in (
        SetNodeGroup("x y"),
        SetNodeGroup("x", cpu=9.0),
        SetNodeGroup("x", cpu=-1.0),
        SetNodeGroup("x", gpus=3),
    ):
        with pytest.raises(InvalidRequest):
            await groups.set(wrong)
    with pytest.raises(NotFound, match="There are: a-1, default"):
        groups.check("nowhere", Need())
    groups.users = lambda group: ["demo"] if group == "a-1" else []
    with pytest.raises(Conflict, match="is used by demo"):
        await groups.remove("a-1")


def test_a_replica_reserves_no_more_than_it_may_use() -> None:
    assert need_of(Limits()) == Need(0.9, 0, 0)
    assert need_of(Limits(cpu_limit=0.5, memory_limit=GIB)) == Need(0.5, GIB, 0)
    assert need_of(Limits(memory_request=5, memory_limit=GIB)).memory == 5
