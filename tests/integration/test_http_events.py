"""The events WebSocket: tokens, snapshot then deltas, bounds, the end."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import WSMsgType
from http_doors import TOKEN, Served, serve, until

from spice_engine.events import QUEUE_BYTES, Topic

PATH = "/api/v1/events"


async def connect(served: Served, **more: Any) -> aiohttp.ClientWebSocketResponse:
    """An authorized socket whose welcome was read."""
    socket = await served.client.ws_connect(
        served.door.url + PATH, headers=served.auth, max_msg_size=0, **more
    )
    welcome = await socket.receive_json(timeout=5)
    assert welcome["kind"] == "welcome"
    return socket


def counters(served: Served) -> tuple[dict[str, Any], Topic]:
    state: dict[str, Any] = {"a": 1}
    return state, served.bus.topic("counters", "state", lambda: dict(state))


async def test_snapshot_then_deltas_then_nothing_after_unsubscribing() -> None:
    async with serve() as served:
        state, topic = counters(served)
        socket = await connect(served)
        await socket.send_json({"subscribe": "counters", "id": 7})
        assert await socket.receive_json() == {
            "id": 7,
            "kind": "snapshot",
            "seq": 1,
            "data": {"a": 1},
        }
        state["b"] = 2
        topic.set("b", 2)
        topic.remove("a")
        first, second = await socket.receive_json(), await socket.receive_json()
        assert first == {"id": 7, "kind": "delta", "seq": 2, "data": {"set": {"b": 2}}}
        assert (second["seq"], second["data"]) == (3, {"del": ["a"]})
        await socket.send_json({"unsubscribe": 7})
        await socket.send_json({"subscribe": "counters", "id": 8})
        assert (await socket.receive_json())["id"] == 8
        assert served.bus.subscription_count == 1
        await socket.close()
        await until(lambda: not served.bus.subscription_count)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"subscribe": "nothing", "id": 1}, "not_found"),
        ({"subscribe": "counters", "id": 0}, "protocol_error"),
        ({"subscribe": "counters", "id": True}, "protocol_error"),
        ({"subscribe": "counters", "id": 2**63}, "protocol_error"),
        ({"subscribe": "counters"}, "protocol_error"),
        ({"subscribe": 5, "id": 1}, "protocol_error"),
        ({"hello": 1}, "protocol_error"),
        ([1], "invalid_request"),
        ("text", "invalid_request"),
    ],
)
async def test_a_wrong_message_is_answered_and_the_socket_lives_on(message: Any, code: str) -> None:
    async with serve() as served:
        counters(served)
        socket = await connect(served)
        await socket.send_json(message)
        answer = await socket.receive_json()
        assert (answer["kind"], answer["error"]["code"]) == ("error", code)
        await socket.send_json({"subscribe": "counters", "id": 3})
        assert (await socket.receive_json())["kind"] == "snapshot"


async def test_the_token_by_subprotocol_by_message_or_not_at_all() -> None:
    async with serve() as served:
        url = served.door.url + PATH
        for offered, taken in (
            (["spice.events.v1", f"bearer.{TOKEN}"], "spice.events.v1"),
            ([f"bearer.{TOKEN}"], f"bearer.{TOKEN}"),
        ):
            socket = await served.client.ws_connect(url, protocols=offered)
            assert socket.protocol == taken
            assert (await socket.receive_json())["kind"] == "welcome"
        socket = await served.client.ws_connect(url)
        await socket.send_json({"token": TOKEN})
        assert (await socket.receive_json())["kind"] == "welcome"
        for first in ({"token": "wrong"}, {"subscribe": "x", "id": 1}, [], {"token": None}):
            socket = await served.client.ws_connect(url)
            await socket.send_json(first)
            assert (await socket.receive_json())["error"]["code"] == "unauthorized"
            await socket.receive()
            assert socket.close_code == 4401
        for refused in (
            {"protocols": ["bearer.wrong"]},
            {"headers": {"Authorization": "Bearer wrong"}},
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await served.client.ws_connect(url, **refused)
            assert caught.value.status == 401


async def test_plain_http_on_the_events_path_is_400() -> None:
    async with serve() as served:
        status, answer = await served.get(PATH)
        assert (status, answer["error"]["code"]) == (400, "invalid_request")


async def test_messages_and_subscriptions_are_bounded() -> None:
    async with serve() as served:
        counters(served)
        socket = await connect(served)
        for number in range(1, 66):
            await socket.send_json({"subscribe": "counters", "id": number})
        kinds = [(await socket.receive_json())["kind"] for _ in range(65)]
        assert (kinds.count("snapshot"), kinds.count("error")) == (64, 1)
        await socket.send_str("x" * 70_000)
        async with asyncio.timeout(5):
            while (await socket.receive()).type not in {WSMsgType.CLOSE, WSMsgType.CLOSED}:
                pass
        assert socket.close_code == 1009


async def stalled(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that subscribes by hand and then does not read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    body = b'{"subscribe": "rows", "id": 1}'
    # A masked text frame whose mask is zero.
    writer.write(bytes([0x81, 0x80 | len(body)]) + bytes(4) + body)
    await writer.drain()
    return reader, writer


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_client_that_does_not_read_stays_bounded_and_is_cut_at_last(run: Run) -> None:
    async def scenario() -> None:
        async with serve() as served:
            served.door.events.patience = 0.5
            topic = served.bus.topic("rows", "rows", list)
            other = await connect(served)
            await other.send_json({"subscribe": "rows", "id": 1})
            await other.receive_json()
            _, writer = await stalled(served)
            await until(lambda: served.bus.subscription_count == 2)
            seen = 0
            for number in range(1, 400):
                topic.rows([{"id": number, "text": "x" * 20_000}], number, number)
                message = await other.receive_json(timeout=5)
                seen += message["kind"] == "delta"
                assert served.bus.queued_bytes <= 2 * QUEUE_BYTES + 50_000
            # The one that reads got everything, while the other one held up nobody.
            assert seen == 399
            assert served.bus.overflows > 0
            await until(lambda: served.bus.subscription_count == 1)
            writer.transport.abort()
            await other.close()

    run(scenario())


async def test_a_reader_that_was_behind_is_told_the_gap() -> None:
    async with serve() as served:
        topic = served.bus.topic("rows", "rows", list)
        socket = await connect(served)
        await socket.send_json({"subscribe": "rows", "id": 1})
        await socket.receive_json()
        for number in range(1, 101):  # within one turn of the loop: more than a queue may hold
            topic.rows([{"id": number, "text": "x" * 10_000}], number, number)
        covered: set[int] = set()
        gaps = 0
        while len(covered) < 100:
            message = await socket.receive_json(timeout=5)
            if message["kind"] == "gap":
                gaps += 1
                covered |= set(range(message["first"], message["last"] + 1))
            else:
                covered |= {row["id"] for row in message["data"]["rows"]}
        assert gaps >= 1


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_closing_the_door_ends_subscriptions_and_sockets_with_1001(run: Run) -> None:
    async def scenario() -> None:
        async with serve() as served:
            counters(served)
            socket = await connect(served)
            await socket.send_json({"subscribe": "counters", "id": 4})
            await socket.receive_json()
            closing = asyncio.create_task(served.door.close(grace=2, reason="upgrade"))
            assert await socket.receive_json() == {"id": 4, "kind": "end", "reason": "upgrade"}
            assert (await socket.receive()).type in {WSMsgType.CLOSE, WSMsgType.CLOSING}
            assert socket.close_code == 1001
            await closing
            assert served.bus.subscription_count == 0
            assert not served.door.events.sockets

    run(scenario())


async def test_a_dead_peer_is_noticed_by_its_missing_pong() -> None:
    async with serve() as served:
        served.door.events.heartbeat = 0.2
        served.bus.topic("rows", "rows", list)
        _, writer = await stalled(served)
        await until(lambda: served.door.events.sockets)
        await until(lambda: not served.door.events.sockets)
        writer.close()
