"""Feeds that send by themselves: real WebSocket servers, good and bad."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from spice_engine.api.tls import load_pair, make_tls_pair
from tests.integration.feed_worlds import POD, manifest, raw_server, serving, world

Talk = Callable[[web.WebSocketResponse, int], Awaitable[None]]


def datum(time: int, **more: object) -> str:
    return json.dumps({"time": time, "value": time, **more})


def talking(talk: Talk) -> Callable[[web.Request], Awaitable[web.WebSocketResponse]]:
    """A server that has this talk with each client, who is told its number."""
    count = 0

    async def handle(request: web.Request) -> web.WebSocketResponse:
        nonlocal count
        count += 1
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await talk(socket, count)
        return socket

    return handle


async def until_left(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


async def until_called(socket: web.WebSocketResponse, number: int) -> None:
    await until_left(socket)


def ws(url: str) -> str:
    return url.replace("http://", "ws://")


async def test_messages_arrive_in_batches_after_the_subscription(tmp_path: Path) -> None:
    said: list[str] = []

    async def talk(socket: web.WebSocketResponse, number: int) -> None:
        said.append(await socket.receive_str())
        said.append(await socket.receive_str())
        await socket.send_str('{"type": "welcome"}')
        for time in range(100):
            await socket.send_str(datum(time))
        await socket.send_str(f"[{datum(100)}, {datum(101)}]")
        await socket.send_bytes(datum(102).encode())
        await until_left(socket)

    async with serving(talking(talk)) as url, world(tmp_path) as there:
        params = {"url": ws(url), "subscribe": '[{"to": "a"}, {"to": "b"}]'}
        there.feeds.follow(POD, manifest("websocket", params, "json"))
        await there.until(lambda: there.status.rows == 103)
        assert [json.loads(text) for text in said] == [{"to": "a"}, {"to": "b"}]
        assert sorted(await there.rows()) == [(time, float(time)) for time in range(103)]
        assert there.store.stats()["bodies_total"] < 30
        assert (there.status.state, there.status.failures) == ("running", 0)
        assert there.status.last_error == ""


async def test_a_connection_that_ends_is_opened_again(tmp_path: Path) -> None:
    async def talk(socket: web.WebSocketResponse, number: int) -> None:
        await socket.send_str(datum(number))
        if number < 4:
            await socket.close(code=1012)
        await until_left(socket)

    async with serving(talking(talk)) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("websocket", {"url": ws(url)}, "json"))
        await there.until(lambda: there.status.rows == 4)
        assert await there.rows() == [(n, float(n)) for n in (1, 2, 3, 4)]
        assert there.status.last_error.startswith(f"{ws(url)} closed the connection (1012).")
        assert there.status.failures == 0


async def test_what_is_no_data_is_noted_and_passed_over(tmp_path: Path) -> None:
    async def talk(socket: web.WebSocketResponse, number: int) -> None:
        for text in ("{", "7", '["x"]', datum(1), '{"time": "rubbish", "value": 1}'):
            await socket.send_str(text)
        await socket.send_bytes(b"\xff\xfe")
        await asyncio.sleep(0.1)
        await socket.send_str(datum(2))
        await until_left(socket)

    async with serving(talking(talk)) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("websocket", {"url": ws(url)}, "json"))
        await there.until(lambda: there.status.rows >= 2 and there.status.last_error)
        assert there.status.bad_rows >= 4
        assert there.status.last_error
        assert there.status.state == "running"


async def test_a_message_that_is_too_large_ends_the_connection_only(tmp_path: Path) -> None:
    async def talk(socket: web.WebSocketResponse, number: int) -> None:
        if number == 1:
            await socket.send_str(datum(1, more="x" * 2**20))
        await socket.send_str(datum(2))
        await until_left(socket)

    async with serving(talking(talk)) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("websocket", {"url": ws(url)}, "json"))
        await there.until(lambda: there.status.rows == 1)
        assert await there.rows() == [(2, 2.0)]
        assert "a message of over 1 MiB" in there.status.last_error


async def test_coinbase_takes_the_tickers_only(tmp_path: Path) -> None:
    said: list[str] = []

    async def talk(socket: web.WebSocketResponse, number: int) -> None:
        said.append(await socket.receive_str())
        await socket.send_str('{"type": "subscriptions", "channels": []}')
        await socket.send_str(datum(1, type="heartbeat"))
        await socket.send_str(datum(2, type="ticker", product_id="BTC-USD"))
        await until_left(socket)

    async with serving(talking(talk)) as url, world(tmp_path) as there:
        params = {"product_ids": "BTC-USD,ETH-USD", "url": ws(url)}
        there.feeds.follow(POD, manifest("coinbase", params, "json"))
        await there.until(lambda: there.status.rows == 1)
        assert await there.rows() == [(2, 2.0)]
        assert json.loads(said[0])["product_ids"] == ["BTC-USD", "ETH-USD"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "answered 401 instead of opening a W"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "answered 200 instead of opening a W"),
        (b"", "cannot be reached: ServerDisconnectedError"),
        (b"rubbish\r\n\r\n", "cannot be reached"),
    ],
)
async def test_a_server_that_opens_no_websocket_is_told_apart(
    tmp_path: Path, answer: bytes, expected: str
) -> None:
    async with raw_server(answer) as url, world(tmp_path) as there:
        address = f"{ws(url)}?key=hunter2"
        there.feeds.follow(POD, manifest("websocket", {"url": address}, "json"))
        await there.until(lambda: there.status.failures >= 2)
        assert there.status.state == "failing"
        assert expected in there.status.last_error
        assert "hunter2" not in there.status.last_error


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    context = load_pair(*make_tls_pair(tmp_path))
    async with serving(talking(until_called), tls=context) as url, world(tmp_path) as there:
        params = {"url": url.replace("https://", "wss://")}
        there.feeds.follow(POD, manifest("websocket", params, "json"))
        await there.until(lambda: there.status.failures)
        assert "cannot be verified" in there.status.last_error


async def test_what_came_before_the_end_is_kept(tmp_path: Path) -> None:
    async def talk(socket: web.WebSocketResponse, number: int) -> None:
        if number == 1:
            for time in range(50):
                await socket.send_str(datum(time))
            await socket.close()
        await until_left(socket)

    async with serving(talking(talk)) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("websocket", {"url": ws(url)}, "json"))
        await there.until(lambda: there.status.rows == 50)


async def test_a_fast_server_is_slowed_down_and_loses_nothing(tmp_path: Path) -> None:
    """While the store is busy nothing is read, and nothing piles up here."""
    sent = 0

    async def talk(socket: web.WebSocketResponse, number: int) -> None:
        nonlocal sent
        for time in range(3000):
            await socket.send_str(datum(time, more="x" * 10_000))
            sent += 1
        await until_left(socket)

    async with serving(talking(talk)) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("websocket", {"url": ws(url)}, "json"))
        await there.until(lambda: there.status.rows)
        there.ingest.hold.clear()
        await asyncio.sleep(0.5)
        stuck = sent
        await asyncio.sleep(0.3)
        assert sent == stuck < 3000
        there.ingest.hold.set()
        await there.until(lambda: there.status.rows == 3000)
        assert sorted(time for time, _ in await there.rows()) == list(range(3000))


async def test_forgetting_closes_the_connection(tmp_path: Path) -> None:
    ends: list[object] = []

    async def talk(socket: web.WebSocketResponse, number: int) -> None:
        await socket.send_str(datum(1))
        message = await socket.receive()
        ends.append(message.type)

    async with serving(talking(talk)) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("websocket", {"url": ws(url)}, "json"))
        await there.until(lambda: there.status.rows)
        there.feeds.forget(POD)
        await there.until(lambda: ends)
        assert ends == [WSMsgType.CLOSE]
