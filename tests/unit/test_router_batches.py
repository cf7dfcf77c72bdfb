"""When batches leave, what is in them, and what a batch's death does to its items."""

from __future__ import annotations

import asyncio

from spice_engine.protocol.servers import Batching, Door
from spice_runtime import wire
from tests.unit.fake_replica import World, echo, keep, until


def _on(**options: object) -> Batching:
    return Batching(enabled=True, **options)  # type: ignore[arg-type]


async def test_an_idle_lane_takes_what_came_in_one_turn_as_one_batch() -> None:
    async with World(batching=_on(wait_ms=60_000)) as world:
        replica = await world.add(batch=True)
        calls = [world.call(b"%d" % n) for n in range(5)]
        for n, call in enumerate(calls):
            assert await call.wait() == 200
            assert call.text == b"%d" % n
        (frame,) = replica.received
        assert (frame.kind, frame.number, len(frame.calls)) == (wire.BATCH, 5, 5)
        # One alone does not wait, either.
        await world.call().wait()
        assert [f.number for f in replica.received] == [5, 1]
        assert world.figures.batch_sizes().count == 2


async def test_while_the_lane_works_calls_gather_until_it_is_idle_again() -> None:
    async with World(batching=_on(wait_ms=60_000)) as world:
        replica = await world.add(keep, batch=True)
        world.call()
        await until(lambda: replica.received)
        more = [world.call() for _ in range(7)]
        await asyncio.sleep(0.02)
        assert len(replica.received) == 1
        for call in replica.received[0].calls:
            replica.answer(call)
        await until(lambda: len(replica.received) == 2)
        assert replica.received[1].number == 7
        for call in replica.received[1].calls:
            replica.answer(call)
        for call in more:
            assert await call.wait() == 200


async def test_a_full_batch_leaves_beside_the_one_under_way_but_no_third() -> None:
    async with World(batching=_on(max_size=4, wait_ms=60_000)) as world:
        replica = await world.add(keep, batch=True)
        world.call()
        await until(lambda: replica.received)
        calls = [world.call() for _ in range(9)]
        await until(lambda: len(replica.received) == 2)
        await asyncio.sleep(0.02)
        assert [f.number for f in replica.received] == [1, 4]
        replica.handler = echo
        for frame in list(replica.received):
            replica.send(0, echo(frame))
        for call in calls:
            await call.wait()
        assert [f.number for f in replica.received] == [1, 4, 4, 1]


async def test_a_batch_larger_than_the_socket_takes_arrives_whole() -> None:
    async with World(batching=_on(wait_ms=60_000, max_size=64)) as world:
        replica = await world.add(batch=True)
        bodies = [b"%d " % n + b"x" * 60_000 + b"e" * (n % 3) * 20_000 for n in range(64)]
        calls = [world.call(body) for body in bodies]
        for call, body in zip(calls, bodies, strict=True):
            assert await call.wait() == 200
            assert call.text == body
        (frame,) = replica.received
        assert [inner.body for inner in frame.calls] == bodies


async def test_items_that_waited_their_time_leave_beside_the_one_under_way() -> None:
    async with World(batching=_on(wait_ms=30)) as world:
        replica = await world.add(keep, batch=True)
        world.call()
        await until(lambda: replica.received)
        for _ in range(3):
            world.call()
        await until(lambda: len(replica.received) == 2)
        assert replica.received[1].number == 3
        assert world.router.level() == (4, 0)


async def test_idle_lanes_share_what_waits() -> None:
    async with World(batching=_on()) as world:
        one = await world.add(batch=True)
        two = await world.add(batch=True)
        calls = [world.call() for _ in range(10)]
        for call in calls:
            await call.wait()
        assert ([f.number for f in one.received], [f.number for f in two.received]) == ([5], [5])


async def test_a_batch_that_killed_its_worker_is_done_again_one_by_one() -> None:
    async with World(batching=_on(wait_ms=60_000)) as world:
        replica = await world.add(keep, batch=True)
        calls = [world.call(b"%d" % n) for n in range(4)]
        await until(lambda: replica.received)
        batch = replica.received[0]
        later = [world.call(b"later") for _ in range(3)]
        replica.started(batch.ident)
        replica.lose_lane(0)
        # Each comes alone, as a batch of one; the one that kills again is given up.
        for n in range(4):
            await until(lambda n=n: len(replica.received) == n + 2)
            frame = replica.received[-1]
            assert (frame.kind, frame.number) == (wire.BATCH, 1)
            item = frame.calls[0]
            if item.body == b"2":
                replica.started(frame.ident)
                replica.lose_lane(0)
            else:
                if n == 3:
                    replica.handler = echo
                replica.answer(item, b"fine")
        assert [await call.wait() for call in calls] == [200, 200, 502, 200]
        for call in later:
            assert await call.wait() == 200
        assert replica.received[-1].number == 3


async def test_a_batch_that_was_not_begun_goes_back_whole() -> None:
    async with World(batching=_on(max_size=2, wait_ms=60_000)) as world:
        replica = await world.add(keep, batch=True)
        calls = [world.call(b"%d" % n) for n in range(4)]
        await until(lambda: len(replica.received) == 2)
        replica.started(replica.received[0].ident)
        replica.handler = echo
        replica.lose_lane(0)
        for call in calls:
            assert await call.wait() == 200
        assert [f.number for f in replica.received] == [2, 2, 1, 1, 2]
        assert [call.tries for call in calls] == [1, 1, 0, 0]


async def test_settings_change_without_loss() -> None:
    async with World(batching=_on(max_size=50, wait_ms=60_000)) as world:
        replica = await world.add(keep, batch=True)
        world.call()
        await until(lambda: replica.received)
        calls = [world.call() for _ in range(6)]
        await asyncio.sleep(0.01)
        assert len(replica.received) == 1
        world.router.reconfigure(Door(), _on(max_size=3, wait_ms=60_000))
        await until(lambda: len(replica.received) == 2)
        replica.handler = echo
        for frame in list(replica.received):
            replica.send(0, echo(frame))
        for call in calls:
            assert await call.wait() == 200
