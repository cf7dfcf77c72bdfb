"""The asyncio client over an in-memory pair: pipelining, feeds, and engines that break."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_engine import Shelf, make_door, small_engine
from test_client_blocking import MESSAGES, WELCOME

from spice_engine.api.door import Connection, PrivateDoor
from spice_engine.errors import EngineUnavailable, IncompatibleVersion, NotFound, SpiceError
from spice_engine.protocol import frames, memory
from spice_engine.protocol.location import locate
from spice_engine.protocol.messages import Kind
from spice_tui.async_client import MAX_FEED_EVENTS, AsyncClient
from tests.examples import examples


async def pair(tmp_path: Path) -> tuple[AsyncClient, PrivateDoor, Shelf]:
    """A greeted client and the door it talks to."""
    door, shelf = make_door(locate(tmp_path))
    client = AsyncClient()
    memory.connect(client, Connection(door))
    await client.ready()
    return client, door, shelf


class Babbler(asyncio.Protocol):
    """Sends what it is told as soon as somebody connects."""

    def __init__(self, data: bytes, *, close: bool = False) -> None:
        self._data = data
        self._close = close
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._data)
        if self._close:
            transport.close()

    def data_received(self, data: bytes) -> None:
        self.received += data


async def test_a_thousand_calls_at_once_each_get_their_own_answer(tmp_path: Path) -> None:
    client, door, shelf = await pair(tmp_path)
    for _ in range(1000):
        shelf.add_run()
    calls = [client.call("runs.get", {"id": number}) for number in range(1, 1001)]
    answers = await asyncio.gather(*calls)
    assert [answer["id"] for answer in answers] == list(range(1, 1001))
    assert door.requests == 1000
    await client.close()


async def test_an_engine_that_goes_fails_every_call_and_feed(tmp_path: Path) -> None:
    client, door, _ = await pair(tmp_path)
    feed = client.subscribe("runs")
    assert (await anext(feed)).kind == "snapshot"
    calls = [asyncio.ensure_future(client.call("test.slow")) for _ in range(20)]
    await asyncio.sleep(0)
    for connection in tuple(door.connections):
        assert connection._transport is not None
        connection._transport.abort()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {EngineUnavailable}
    with pytest.raises(EngineUnavailable):
        await anext(feed)
    with pytest.raises(EngineUnavailable):
        await client.call("engine.ping")
    feed.close()  # harmless
    await client.close()
    for task in [task for connection in door.connections for task in connection.tasks]:
        task.cancel()


async def test_a_call_that_nobody_waits_for_is_given_up(tmp_path: Path) -> None:
    client, door, _ = await pair(tmp_path)
    (connection,) = door.connections
    call = asyncio.ensure_future(client.call("test.slow"))
    assert await client.call("engine.ping")
    (work,) = connection.tasks
    call.cancel()
    await asyncio.wait_for(asyncio.wait({work}), 10)
    assert work.cancelled()
    # Also one that the engine gets together with its end.
    call = asyncio.ensure_future(client.call("test.slow"))
    await asyncio.sleep(0)
    call.cancel()
    assert await client.call("engine.ping")
    await asyncio.gather(*connection.tasks, return_exceptions=True)
    await client.close()


async def test_a_feed_nobody_reads_stops_the_socket_and_not_the_memory(tmp_path: Path) -> None:
    client, _, shelf = await pair(tmp_path)
    shelf.add_run()
    feed = client.subscribe("runs")
    await asyncio.sleep(0)
    for number in range(40_000):
        shelf.change(1, name=f"name {number}")
        if number % 100 == 0:
            await asyncio.sleep(0)
    # At most the limit, and what had been read from the socket before it was reached.
    assert MAX_FEED_EVENTS <= len(feed) < 3 * MAX_FEED_EVENTS
    assert shelf.bus.queued_bytes <= 512 * 1024
    assert shelf.bus.overflows > 0
    name = ""
    while name != "name 39999":
        event = await asyncio.wait_for(anext(feed), 10)
        data = event.data if event.kind == "snapshot" else event.data["set"]
        name = data["1"]["name"]
    assert await client.call("engine.ping")
    await client.close()


async def test_closing_a_feed_ends_it_for_both_sides(tmp_path: Path) -> None:
    client, _, shelf = await pair(tmp_path)
    feed = client.subscribe("runs")
    assert (await anext(feed)).kind == "snapshot"
    feed.close()
    assert [event.kind async for event in feed] == ["end"]
    await client.call("engine.ping")
    assert shelf.bus.subscription_count == 0
    missing = client.subscribe("log/9")
    with pytest.raises(NotFound):
        await anext(missing)
    await client.close()


async def test_an_engine_of_another_version_is_told_plainly() -> None:
    old = frames.encode([Kind.WELCOME, {**WELCOME, "protocol": 0}])
    client = AsyncClient()
    memory.connect(client, Babbler(old))
    with pytest.raises(IncompatibleVersion, match="older than this program"):
        await asyncio.wait_for(client.ready(), 5)
    await client.lost()


async def test_over_a_real_socket(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable):
        await AsyncClient.connect(locate(tmp_path))
    with small_engine(tmp_path) as engine:
        client = await AsyncClient.connect(engine.location)
        assert (await client.call("engine.status"))["pid"] == 4242
        await client.close()


@settings(max_examples=examples(100), deadline=None)
@given(messages=MESSAGES, greeted=st.booleans(), tail=st.binary(max_size=20))
def test_garbage_from_the_engine_ends_the_connection_and_nothing_else(
    messages: list[Any], greeted: bool, tail: bytes
) -> None:
    first = [[int(Kind.WELCOME), WELCOME]] if greeted else []
    data = b"".join(frames.encode(message) for message in [*first, *messages]) + tail
    surprises: list[dict[str, Any]] = []

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: surprises.append(context)
        )
        client = AsyncClient()
        memory.connect(client, Babbler(data, close=True))
        try:
            await client.ready()
            feed = client.subscribe("runs")
            await client.call("engine.ping")
            await anext(feed)
        except SpiceError:
            pass
        await asyncio.wait_for(client.lost(), 5)

    asyncio.run(scene())
    assert surprises == []
