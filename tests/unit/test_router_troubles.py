"""Deadlines, cancellation, bounds, deaths, drain and pause: what callers are answered then."""

from __future__ import annotations

import asyncio
import json

import pytest

from spice_engine.serving import deadlines, router, suspects
from spice_engine.serving.waiting import MAX_BYTES
from spice_runtime import wire
from tests.unit.fake_replica import Frame, Recorded, World, echo, keep, until


def _code(call: Recorded) -> str:
    return json.loads(call.text)["error"]["code"]


async def test_a_late_call_is_answered_504_and_cancelled_in_the_replica() -> None:
    async with World() as world:
        replica = await world.add(keep)
        held = world.call(within=0.05)
        waits = world.call(within=0.05)
        assert await held.wait() == 504
        assert await waits.wait() == 504
        assert _code(held) == "deadline_exceeded"
        await until(lambda: replica.told)
        assert [(f.kind, f.ident) for f in replica.told] == [(wire.CANCEL, held.ident)]
        # The lane is busy with it until the replica answers: only then comes the next.
        later = world.call()
        await asyncio.sleep(0.02)
        assert len(replica.received) == 1
        replica.handler = echo
        replica.answer(replica.received[0], status=499)
        assert await later.wait() == 200


async def test_calls_with_other_deadlines_are_not_answered_early() -> None:
    async with World() as world:
        await world.add(keep)
        calls = [world.call(within=within) for within in (0.05, 5.0, 0.1)]
        await calls[0].wait()
        await calls[2].wait()
        assert not calls[1].done


async def test_a_cancelled_call_gets_no_answer_and_frees_its_place() -> None:
    async with World(max_queue=2) as world:
        replica = await world.add(keep)
        held, waits = world.call(), world.call()
        await until(lambda: replica.received)
        world.router.cancel(waits)
        world.router.cancel(held)
        world.router.cancel(held)
        await until(lambda: replica.told)
        assert replica.told[0].ident == held.ident
        others = [world.call(), world.call()]
        replica.handler = echo
        replica.answer(replica.received[0], status=499)
        for call in others:
            assert await call.wait() == 200
        assert (held.status, waits.status) == (0, 0)
        assert len(replica.received) == 3
        assert world.figures.statuses == {499: 2, 200: 2}


async def test_many_cancelled_calls_do_not_pile_up() -> None:
    async with World() as world:
        await world.add(keep)
        world.call()
        for _ in range(5000):
            world.router.cancel(world.call(b"x" * 1000))
        assert len(world.router._waiting.calls) < 200
        assert world.router.level() == (1, 0)


async def test_a_full_queue_answers_429_with_the_seconds_to_wait() -> None:
    async with World(max_queue=3) as world:
        replica = await world.add(keep)
        calls = [world.call() for _ in range(5)]
        assert calls[4].status == 429
        assert _code(calls[4]) == "overloaded"
        assert int(calls[4].told.split(b":")[1]) >= 1
        replica.handler = echo
        await until(lambda: replica.received)
        replica.answer(replica.received[0])
        assert [await call.wait() for call in calls[:4]] == [200] * 4


async def test_a_call_whose_turn_would_come_too_late_is_refused_at_once() -> None:
    async with World() as world:
        replica = await world.add(lambda frame: echo(frame, micros=50_000))
        for _ in range(5):
            await world.call().wait()
        await asyncio.sleep(1.1)  # the rate counts whole seconds
        replica.handler = keep
        for _ in range(40):
            assert world.call(within=300).status == 0
        # At five a second or fewer, the 39th in the queue waits more than two seconds.
        refused = world.call(within=2)
        assert refused.status == 429
        assert int(refused.told.split(b":")[1]) >= 8
        assert world.call(within=300).status == 0


async def test_what_the_replica_does_not_read_waits_here() -> None:
    async with World() as world:
        replica = await world.add(concurrency=200)
        lane = replica.open[0].transport
        lane.pause_reading()
        calls = [world.call(b"x" * 50_000) for _ in range(50)]
        await asyncio.sleep(0.02)
        calls += [world.call(b"x" * 50_000) for _ in range(100)]
        await asyncio.sleep(0.02)
        held, waits = world.router.level()
        assert waits > 50
        assert held + waits == 150
        lane.resume_reading()
        assert [await call.wait() for call in calls] == [200] * 150


async def test_a_stream_that_rests_until_its_deadline_is_ended() -> None:
    async with World(deadline=1.0) as world:
        replica = await world.add(keep)
        call = world.call(within=1.0)
        await until(lambda: replica.received)
        replica.send(0, wire.frame(wire.STREAM, call.ident, status=200))
        # Longer than the deadline, but it never rests that long.
        for _ in range(13):
            await asyncio.sleep(0.1)
            replica.send(0, wire.frame(wire.CHUNK, call.ident, b"x"))
        await until(lambda: len(call.chunks) == 13)
        assert not call.done
        await call.wait()
        assert "rested" in (call.trouble or "")
        await until(lambda: any(frame.kind == wire.CANCEL for frame in replica.told))


async def test_bodies_that_wait_are_bounded_in_bytes() -> None:
    async with World() as world:
        await world.add(keep)
        world.call()
        big = b"x" * (MAX_BYTES // 2)
        fits = [world.call(big), world.call(big)]
        assert [call.status for call in fits] == [0, 0]
        assert world.call(b"x").status == 429
        world.router.cancel(fits[0])
        assert world.call(b"x").status == 0


async def test_without_a_replica_503_at_once_but_held_where_the_server_starts_from_zero() -> None:
    async with World() as world:
        call = world.call()
        assert call.status == 503
        assert _code(call) == "engine_unavailable"
        assert not world.router.is_ready()
    asked: list[int] = []
    async with World(hold=True) as world:
        world.router.on_wait = lambda: asked.append(1)
        held, late = world.call(), world.call(within=0.05)
        assert await late.wait() == 504
        assert held.status == 0
        assert len(asked) == 2
        await world.add()
        assert await held.wait() == 200
        assert world.router.is_ready()


async def test_a_begun_call_is_tried_once_more_alone_and_those_not_begun_lose_nothing() -> None:
    async with World() as world:
        replica = await world.add(keep, concurrency=1)
        world.links[0].lanes[0].window = 4
        calls = [world.call(b"%d" % n) for n in range(6)]
        await until(lambda: len(replica.received) == 4)
        # The worker had done the first (its answer is not sent) and begun the second.
        replica.started(calls[1].ident)
        replica.lose_lane(0)
        replica.handler = echo
        for call in calls:
            assert await call.wait() == 200
        assert [call.tries for call in calls] == [1, 1, 0, 0, 0, 0]
        again = [frame.body for frame in replica.received[4:]]
        assert again == [b"0", b"1", b"2", b"3", b"4", b"5"]
        assert world.figures.snapshot(0).retries == 2


async def test_poison_is_given_up_after_two_replicas_and_harms_nobody_else() -> None:
    async with World() as world:
        replicas = [await world.add(keep, lanes=3) for _ in range(3)]
        dead = []

        def handler_of(replica):  # type: ignore[no-untyped-def]
            def handle(frame: Frame) -> bytes | None:
                replica.started(frame.ident, frame.lane)
                if frame.body == b"poison":
                    dead.append(replica)
                    # All workers of this process die together.
                    for slot in list(replica.open):
                        replica.lose_lane(slot)
                    return None
                asyncio.get_running_loop().call_later(
                    0.005, lambda: frame.lane in replica.open and replica.answer(frame)
                )
                return None

            return handle

        for replica in replicas:
            replica.handler = handler_of(replica)
        calls = [world.call(b"fine") for _ in range(30)]
        poison = world.call(b"poison")
        calls += [world.call(b"fine") for _ in range(30)]
        assert await poison.wait() == 502
        assert _code(poison) == "replica_died"
        assert [await call.wait() for call in calls] == [200] * 60
        assert len(dead) == 2


async def test_retry_never_answers_502_at_once_but_loses_only_what_was_begun() -> None:
    async with World(retry="never") as world:
        replica = await world.add(keep)
        world.links[0].lanes[0].window = 2
        begun, not_begun = world.call(), world.call()
        await until(lambda: len(replica.received) == 2)
        replica.started(begun.ident)
        replica.lose_lane(0)
        replica.handler = echo
        assert await begun.wait() == 502
        assert await not_begun.wait() == 200


async def test_all_calls_of_an_async_worker_count_as_begun_and_are_tried_again() -> None:
    async with World() as world:
        replica = await world.add(keep, concurrency=50)
        calls = [world.call() for _ in range(50)]
        await until(lambda: len(replica.received) == 50)
        replica.handler = echo
        replica.lose_lane(0)
        assert [await call.wait() for call in calls] == [200] * 50
        assert {call.tries for call in calls} == {1}


async def test_slow_suspects_do_not_hold_up_an_async_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspects, "TRUSTED_AFTER_ASYNC", 0.001)
    async with World() as world:
        replica = await world.add(keep, concurrency=50)
        calls = [world.call() for _ in range(5)]
        await until(lambda: len(replica.received) == 5)
        replica.lose_lane(0)
        # None of the five is answered, yet all five are under way again, and others too.
        await until(lambda: len(replica.received) == 10)
        other = world.call(b"other")
        await until(lambda: len(replica.received) == 11)
        for frame in replica.received[5:]:
            replica.answer(frame)
        assert await other.wait() == 200
        assert [await call.wait() for call in calls] == [200] * 5


async def test_who_was_in_the_company_of_a_killer_is_not_blamed_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspects, "TRUSTED_AFTER_ASYNC", 0.001)
    async with World() as world:
        replica = await world.add(keep, concurrency=50)
        calls = [world.call(body) for body in (b"one", b"two", b"killer", b"three")]

        def handle(frame: Frame) -> bytes | None:
            if frame.body == b"killer":
                replica.lose_lane(frame.lane)
            return None

        await until(lambda: len(replica.received) == 4)
        replica.handler = handle
        replica.lose_lane(0)
        # "one" and "two" go on, and are still under way when the killer comes to them.
        assert await calls[2].wait() == 502
        replica.handler = echo
        await until(lambda: replica.open)
        assert await calls[0].wait() == 200
        assert await calls[1].wait() == 200
        assert await calls[3].wait() == 200


async def test_the_death_of_one_replica_moves_its_calls_to_the_other() -> None:
    async with World() as world:
        one = await world.add(keep)
        two = await world.add(keep)
        calls = [world.call() for _ in range(8)]
        await until(lambda: one.received and two.received)
        one.started(one.received[0].ident)
        two.handler = echo
        two.answer(two.received[0])
        await one.die()
        assert [await call.wait() for call in calls] == [200] * 8
        assert world.router.is_ready()


async def test_calls_wait_for_a_successor_of_the_only_replica_then_get_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(router, "GRACE", 0.3)
    async with World() as world:
        replica = await world.add(keep)
        call = world.call()
        await until(lambda: replica.received)
        await replica.die()
        await until(lambda: not world.router.is_ready())
        world.router.detach(world.links[0])
        await world.add()
        assert await call.wait() == 200
        await world.replicas[1].die()
        await until(lambda: not world.router.is_ready())
        world.router.detach(world.links[1])
        waits = world.call()
        assert waits.status == 0
        assert await waits.wait() == 503
        assert world.call().status == 503


async def test_calls_of_a_replica_given_up_unannounced_wait_for_its_successor() -> None:
    async with World() as world:
        orphan = await world.add(keep)  # its shim was killed: it lives, and is forgotten
        begun = world.call()
        await until(lambda: orphan.received)
        orphan.started(begun.ident)
        world.router.detach(world.links[0])
        new = world.call()
        await asyncio.sleep(0.1)
        assert (begun.status, new.status) == (0, 0)
        await world.add()
        assert [await begun.wait(), await new.wait()] == [200, 200]


async def test_drain_lets_calls_end_and_sends_no_more() -> None:
    async with World() as world:
        old = await world.add(keep)
        first = world.call()
        await until(lambda: old.received)
        new = await world.add()
        draining = asyncio.create_task(world.router.drain(world.links[0], 10))
        await asyncio.sleep(0)
        assert await world.call().wait() == 200
        assert (len(old.received), len(new.received)) == (1, 1)
        assert not draining.done()
        old.answer(old.received[0], b"old")
        assert await draining is True
        assert await first.wait() == 200
        world.links[0].drain()
        await until(lambda: old.told)
        assert old.told[0].kind == wire.DRAIN
        world.router.detach(world.links[0])
        assert world.figures.snapshot(0).count == 2


async def test_drain_that_takes_too_long_gives_up_and_the_call_goes_elsewhere() -> None:
    async with World() as world:
        old = await world.add(keep)
        call = world.call()
        await until(lambda: old.received)
        old.started(call.ident)
        await world.add()
        assert await world.router.drain(world.links[0], 0.02) is False
        world.router.detach(world.links[0])
        assert await call.wait() == 200
        assert call.tries == 1


async def test_a_server_whose_last_replica_leaves_answers_503_at_once() -> None:
    async with World() as world:
        await world.add()
        assert await world.router.drain(world.links[0], 5) is True
        assert world.call().status == 503
        world.router.detach(world.links[0])
        assert world.call().status == 503


async def test_a_worker_that_hangs_after_its_deadline_is_reported_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadlines, "HUNG_AFTER", 0.05)
    async with World() as world:
        replica = await world.add(keep)
        call = world.call(within=0.05)
        await until(lambda: replica.received)
        assert await call.wait() == 504
        await asyncio.sleep(0.2)
        assert world.hung == []
        replica.started(call.ident)
        await until(lambda: world.hung)
        await asyncio.sleep(0.1)
        assert world.hung == [world.links[0]]


async def test_a_head_that_does_not_fit_a_frame_is_refused() -> None:
    async with World() as world:
        await world.add()
        assert world.call(head=b"x" * 70_000).status == 431
        assert await world.call().wait() == 200


async def test_close_answers_what_waits() -> None:
    async with World() as world:
        replica = await world.add(keep)
        calls = [world.call(), world.call()]
        await until(lambda: replica.received)
        world.router.close()
        assert [call.status for call in calls] == [503, 503]


async def test_signals_tell_what_the_autoscaler_needs() -> None:
    async with World() as world:
        replica = await world.add(keep)
        first = world.call()
        world.call()
        await until(lambda: replica.received)
        signals = world.router.signals(first.arrived + 2)
        assert (signals.in_flight, signals.queued, signals.lanes, signals.busy) == (1, 1, 1, 1)
        assert 1.9 < signals.oldest_wait <= 2.0
        assert world.router.arrived == 2


async def test_a_call_that_comes_after_the_end_is_answered_at_once() -> None:
    """Its body was still coming when the server was removed."""
    async with World() as world:
        await world.add(echo)
        world.router.close()
        late = world.call()
        assert late.status == 503
