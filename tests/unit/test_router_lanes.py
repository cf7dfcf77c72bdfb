"""Calls through a router to a replica over real sockets: answers, windows, streams, frames."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.errors import ChildFailed, DeadlineExceeded
from spice_engine.serving.lanes import MAX_WINDOW
from spice_runtime import wire
from tests.examples import examples
from tests.unit.fake_replica import FakeReplica, Frame, Recorded, World, echo, keep, until


async def test_a_call_is_answered_with_status_head_and_body() -> None:
    def teapot(frame: Frame) -> bytes:
        return wire.frame(
            wire.ANSWER, frame.ident, b"short", status=418, head=b"x-a: 1\r\n", number=5
        )

    async with World() as world:
        replica = await world.add(teapot)
        call = world.call(b'{"a": 1}', head=b"POST / HTTP/1.1\r\n\r\n", within=30)
        assert await call.wait() == 418
        assert (call.told, call.text) == (b"x-a: 1\r\n", b"short")
        frame = replica.received[0]
        assert (frame.body, frame.head) == (b'{"a": 1}', b"POST / HTTP/1.1\r\n\r\n")
        # The milliseconds that are left travel with the call.
        assert 29_000 < frame.number <= 30_000


async def test_bodies_of_any_size_arrive_whole_and_in_order() -> None:
    async with World() as world:
        replica = await world.add()
        calls = [
            world.call(bytes([n]) * size) for n, size in enumerate((0, 1, 70_000, 3, 5_000_000))
        ]
        for n, call in enumerate(calls):
            assert await call.wait() == 200
            assert call.text == bytes([n]) * len(call.text)
            assert len(call.text) == (0, 1, 70_000, 3, 5_000_000)[n]
        assert [frame.ident for frame in replica.received] == [call.ident for call in calls]


async def test_a_slow_predictor_is_given_one_call_at_a_time_and_a_quick_one_many() -> None:
    async with World() as world:
        replica = await world.add(lambda frame: echo(frame, micros=20_000))
        await world.call().wait()
        replica.handler = keep
        replica.received.clear()
        slow = [world.call() for _ in range(5)]
        await until(lambda: replica.received)
        await asyncio.sleep(0.02)
        assert len(replica.received) == 1
        # It becomes quick: the window grows with each answer, to its bound.
        replica.handler = lambda frame: echo(frame, micros=10)
        replica.answer(replica.received[0], micros=10)
        for call in slow:
            await call.wait()
        for _ in range(80):
            await world.call().wait()
        replica.handler = keep
        replica.received.clear()
        many = [world.call() for _ in range(MAX_WINDOW + 10)]
        await until(lambda: len(replica.received) >= MAX_WINDOW)
        await asyncio.sleep(0.02)
        assert len(replica.received) == MAX_WINDOW
        assert world.router.level() == (MAX_WINDOW, 10)
        for frame in list(replica.received):
            replica.answer(frame)
        await until(lambda: len(replica.received) == MAX_WINDOW + 10)
        for frame in replica.received[MAX_WINDOW:]:
            replica.answer(frame)
        for call in many:
            assert await call.wait() == 200


async def test_an_async_predictor_is_given_as_many_as_it_can_do_at_once() -> None:
    async with World() as world:
        replica = await world.add(keep, concurrency=7)
        calls = [world.call() for _ in range(10)]
        await until(lambda: len(replica.received) == 7)
        replica.handler = echo
        for frame in list(replica.received):
            replica.answer(frame)
        for call in calls:
            await call.wait()


async def test_calls_spread_over_idle_lanes_of_all_replicas() -> None:
    async with World() as world:
        first = await world.add(keep, lanes=2)
        second = await world.add(keep, lanes=1)
        calls = [world.call() for _ in range(4)]
        await until(lambda: len(first.received) + len(second.received) == 3)
        assert (len(first.received), len(second.received)) == (2, 1)
        assert {frame.lane for frame in first.received} == {0, 1}
        for replica in (first, second):
            replica.handler = echo
            for frame in list(replica.received):
                replica.answer(frame)
        for call in calls:
            await call.wait()


async def test_waiting_calls_leave_in_the_order_in_which_they_came() -> None:
    async with World() as world:
        replica = await world.add(lambda frame: echo(frame, micros=50_000))
        calls = [world.call(b"%d" % n) for n in range(20)]
        for call in calls:
            await call.wait()
        assert [frame.body for frame in replica.received] == [b"%d" % n for n in range(20)]


async def test_a_stream_comes_in_chunks_and_credit_goes_back() -> None:
    async with World() as world:
        replica = await world.add(keep)
        call = world.call()
        await until(lambda: replica.received)
        ident = call.ident
        replica.send(0, wire.frame(wire.STREAM, ident, status=200, head=b"x: y\r\n"))
        replica.send(0, wire.frame(wire.CHUNK, ident, b"one") + wire.frame(wire.CHUNK, ident, b"2"))
        await until(lambda: len(call.chunks) == 2)
        world.router.credit(call, 1234)
        replica.send(0, wire.frame(wire.END, ident))
        await call.wait()
        assert (call.status, call.told, call.chunks, call.trouble) == (
            200,
            b"x: y\r\n",
            [b"one", b"2"],
            "",
        )
        await until(lambda: replica.told)
        assert [(f.kind, f.ident, f.number) for f in replica.told] == [(wire.CREDIT, ident, 1234)]
        assert world.router.level() == (0, 0)


async def test_a_stream_that_is_cut_short_says_why_and_is_not_begun_again() -> None:
    async with World() as world:
        replica = await world.add(keep)
        cut, dead = world.call(), None
        await until(lambda: replica.received)
        replica.send(0, wire.frame(wire.STREAM, cut.ident, status=200))
        replica.send(0, wire.frame(wire.END, cut.ident, b"ValueError", status=500))
        await cut.wait()
        assert cut.trouble == "ValueError"
        dead = world.call()
        await until(lambda: len(replica.received) == 2)
        replica.send(0, wire.frame(wire.STREAM, dead.ident, status=200))
        await until(lambda: dead.streaming)
        replica.lose_lane(0)
        await dead.wait()
        assert "died" in (dead.trouble or "")
        await asyncio.sleep(0.05)
        assert len(replica.received) == 2


async def test_garbage_on_a_lane_costs_that_lane_only() -> None:
    async with World() as world:
        replica = await world.add(keep)
        call = world.call()
        await until(lambda: replica.received)
        replica.send(0, wire.HEADER.pack(2**31, wire.ANSWER, 0, 0, 200, 0, 0, call.ident))
        # The call was not begun by the page, so it is sent again on the next lane.
        await until(lambda: len(replica.received) == 2)
        replica.answer(replica.received[1], b"ok")
        assert await call.wait() == 200


async def test_a_door_that_raises_does_not_harm_the_other_calls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Recorded):
        __slots__ = ()

        def answer(self, status: int, codec: int, head: bytes, body: bytes) -> None:
            raise ZeroDivisionError

    async with World() as world:
        await world.add()
        world.router.submit(Broken())
        good = world.call()
        assert await good.wait() == 200
        assert "could not take the answer" in caplog.text


@settings(max_examples=examples(60), deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=40),
)
def test_answers_are_the_same_however_the_bytes_are_cut(sizes: list[int], cuts: list[int]) -> None:
    async def run() -> None:
        async with World() as world:
            replica = await world.add(keep, concurrency=64)
            calls = [world.call() for _ in sizes]
            await until(lambda: len(replica.received) == len(sizes))
            data = b"".join(
                wire.frame(
                    wire.ANSWER, call.ident, b"b" * size, head=b"h" * (size % 5), status=200 + n
                )
                for n, (call, size) in enumerate(zip(calls, sizes, strict=True))
            )
            # Straight into the lane: a socket would join the pieces.
            lane = world.links[0].lanes[0]
            at, step = 0, 0
            while at < len(data):
                size = cuts[step % len(cuts)]
                lane.data_received(data[at : at + size])
                at, step = at + size, step + 1
            for n, (call, size) in enumerate(zip(calls, sizes, strict=True)):
                assert (call.status, call.told, call.text) == (
                    200 + n,
                    b"h" * (size % 5),
                    b"b" * size,
                )

    asyncio.run(run())


async def test_control_tells_states_health_and_metrics() -> None:
    replica = FakeReplica()
    replica.state = {"state": "loading"}
    await replica.start()
    link = replica.link()
    states: list[str] = []
    link.on_state = lambda link: states.append(link.state)
    await link.connect()
    with pytest.raises(DeadlineExceeded):
        await link.loaded(0.05)
    replica.tell(state="ready", predictor={"lanes": 1, "class": "P"})
    assert (await link.loaded(5))["class"] == "P"
    assert await link.health() == (200, 0, b"", b'{"status":"ok"}')
    assert await link.metrics() == {"values": []}
    replica.healthy = False
    with pytest.raises(DeadlineExceeded):
        await link.health(0.05)
    assert states == ["loading", "ready"]
    lost: list[object] = []
    link.on_lost = lost.append
    await replica.die()
    await until(lambda: lost)
    with pytest.raises(ChildFailed):
        await link.health()
    await link.close()
    await replica.close()


async def test_a_replica_that_failed_to_load_says_why() -> None:
    replica = FakeReplica()
    replica.state = {"state": "failed", "message": "ImportError: no module named numpyy"}
    await replica.start()
    link = replica.link()
    await link.connect()
    with pytest.raises(ChildFailed, match="numpyy"):
        await link.loaded(5)
    await link.close()
    await replica.close()


async def test_nobody_listening_is_told_within_the_time() -> None:
    replica = FakeReplica()
    link = replica.link()
    with pytest.raises(ChildFailed, match="does not answer"):
        await link.connect(0.1)
    await link.close()
    replica._folder.cleanup()
