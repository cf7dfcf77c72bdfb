"""Servers that are down, slow, lie or hang up: told, asked again, and what they brought is kept."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime

import psutil
import pytest
from aiohttp import WSMsgType, web

from spice_engine.errors import SpiceError
from tests.conftest import EngineFixture, wait_for
from tests.e2e.two_pods import (
    DATA,
    FROM_FILE,
    MEBIBYTE,
    answer,
    bomb,
    check,
    errors,
    folder,
    learned,
    line_of,
    pod,
    pods,
    rows_of,
    sample,
    save,
)

pytestmark = pytest.mark.e2e

HEADER, *ROWS = DATA.splitlines()
TRUTH = "\n".join([HEADER, *ROWS[:900]]) + "\n"
MORE = "\n".join([HEADER, *ROWS[:1000]]) + "\n"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class World:
    """A real server in a thread of its own; what a path answers may change at any time."""

    def __init__(self) -> None:
        self.paths: dict[str, Handler] = {}
        self.asked: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        self.base = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    async def _open(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"127.0.0.1:{port}" if host else ""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.split("/")[1]
        self.asked[name] = self.asked.get(name, 0) + 1
        handler = self.paths.get(name)
        return await handler(request) if handler else web.Response(status=404)

    async def _close(self) -> None:
        await self._runner.cleanup()
        # What still sleeps in a handler.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    one = World()
    yield one
    one.close()


def feed_of(engine: EngineFixture, name: str) -> dict[str, object]:
    (feed,) = engine.call("pods.feeds", pod=name)["feeds"]
    return feed


def warnings(engine: EngineFixture, name: str) -> list[dict[str, object]]:
    return [item for item in pod(engine, name)["problems"] if item["code"] == "feed_failing"]


def fed(name: str, connector: str, params: dict[str, str], processor: str = "csv") -> str:
    lines = "".join(f"          {key}: {value!r}\n" for key, value in params.items())
    block = (
        f"      connector:\n        name: {connector}\n        params:\n{lines}"
        f"      processor:\n        name: {processor}\n"
    )
    text = sample(name)
    assert FROM_FILE in text
    return text.replace(FROM_FILE, block)


def plain(body: str | bytes, **more: object) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        data = body.encode() if isinstance(body, str) else body
        return web.Response(body=data, content_type="text/csv", **more)  # type: ignore[arg-type]

    return handle


def status(code: int, text: str = "<html>Oh no</html>") -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=code, text=text, content_type="text/html")

    return handle


async def silent(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    raise web.HTTPGatewayTimeout


async def drips(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse()
    await reply.prepare(request)
    await reply.write(b"time,cpu,memory\n")
    await asyncio.sleep(60)
    return reply


async def endless(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse()
    await reply.prepare(request)
    try:
        while True:
            await reply.write(b"1767225600,1,2\n" * 10_000)
    except ConnectionError:
        return reply


async def hangs_up(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Length": "100000"})
    await reply.prepare(request)
    await reply.write(TRUTH[:1000].encode())
    assert request.transport is not None
    request.transport.abort()
    return reply


async def in_circles(request: web.Request) -> web.Response:
    raise web.HTTPFound(request.path)


async def to_a_file(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "file:///etc/passwd"})


def packed(data: bytes) -> Handler:
    return plain(data, headers={"Content-Encoding": "gzip"})


HTTP_LIES: dict[str, tuple[Handler, str]] = {
    "error": (status(500), "answered 500"),
    "page": (status(200), "time"),
    "missing": (status(404), "answered 404"),
    "signin": (status(401), "sign-in"),
    "silent": (silent, "did not answer within"),
    "drips": (drips, "did not answer within"),
    "endless": (endless, "more than 64 MiB"),
    "hangs-up": (hangs_up, ""),
    "circles": (in_circles, "redirects more than"),
    "to-a-file": (to_a_file, "no http address"),
    "bad-gzip": (packed(b"\x1f\x8b" + b"x" * 100), ""),
    "bomb": (packed(bomb(100)), "more than 64 MiB"),
    "binary": (plain(bytes(range(256)) * 40), ""),
    "other": (plain("moment,x\n1,2\n"), "time"),
}


def test_http_feeds_that_lie_are_told_and_learned_from_once_they_do_not(
    shared: EngineFixture, world: World
):
    text = ""
    for name, (handler, _) in HTTP_LIES.items():
        world.paths[name] = handler
        url = f"http://user:secret@{world.base}/{name}?token=secret"
        text = fed(name, "http", {"url": url, "timeout": "1s", "polling_interval": "1h"})
        save(folder(shared) / f"{name}.yaml", text)
    # One that nobody listens for, until somebody does.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    save(folder(shared) / "down.yaml", fed("down", "http", {"url": f"http://127.0.0.1:{port}/x"}))
    for name, says in [*((name, says) for name, (_, says) in HTTP_LIES.items()), ("down", "")]:
        wait_for(lambda name=name: name in pods(shared), name)
        wait_for(lambda name=name: warnings(shared, name), f"what {name} does to be told")
        (problem,) = warnings(shared, name)
        check(problem)
        assert says in problem["message"], problem
        assert "secret" not in problem["message"]
        assert problem["line"] == line_of(text, "name: http"), problem
        assert not errors(pod(shared, name))
        with pytest.raises(SpiceError) as caught:
            shared.call("pods.recommend", pod=name)
        assert caught.value.code in {"training_not_complete", "not_enough_data"}
        assert feed_of(shared, name)["failures"] >= 1
    assert psutil.Process(shared.pid).memory_info().rss < 300 * MEBIBYTE
    for name in HTTP_LIES:
        world.paths[name] = plain(TRUTH)
    known = set()
    for name in HTTP_LIES:
        learned(shared, name)
        assert not warnings(shared, name)
        known.add(json.dumps({**answer(shared, name), "pod": ""}))
    assert len(known) == 1


def test_an_http_feed_that_begins_to_lie_keeps_what_it_brought(shared: EngineFixture, world: World):
    world.paths["turns"] = plain(TRUTH)
    params = {"url": f"http://{world.base}/turns", "polling_interval": "100ms"}
    save(folder(shared) / "turns.yaml", fed("turns", "http", params))
    learned(shared, "turns")
    before = answer(shared, "turns")
    for handler in (
        status(200),
        status(503),
        packed(b"nonsense"),
        plain("time,cpu,memory\nx,y,z\n"),
    ):
        world.paths["turns"] = handler
        asked = world.asked["turns"]
        wait_for(lambda asked=asked: world.asked["turns"] > asked + 1, "it to be asked")
        assert answer(shared, "turns") == before
        world.paths["turns"] = plain(TRUTH)
        wait_for(lambda: not warnings(shared, "turns"), "it to recover")
    world.paths["turns"] = plain(MORE)
    wait_for(lambda: answer(shared, "turns")["end"] > before["end"], "the newest rows")
    assert rows_of(shared, "turns") == 1000


# -- InfluxDB


def flux(rows: list[str]) -> str:
    """Rows as InfluxDB answers them: a table for each field."""
    tables: list[str] = []
    for number, name in enumerate(("cpu", "memory")):
        tables.append("#datatype,string,long,dateTime:RFC3339,double,string")
        tables.append("#group,false,false,false,false,true")
        tables.append("#default,_result,,,,")
        tables.append(",result,table,_time,_value,_field")
        for row in rows:
            cells = row.split(",")
            moment = datetime.fromtimestamp(int(cells[0]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            tables.append(f",,{number},{moment},{cells[1 + number]},{name}")
        tables.append("")
    return "\r\n".join(tables) + "\r\n"


FAILED = "#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,it broke,897\n"
REFUSED = json.dumps({"code": "not found", "message": 'bucket "b" not found'})
INFLUX_LIES: dict[str, tuple[Handler, str]] = {
    "unauthorized": (status(401, '{"code": "unauthorized", "message": "no"}'), ""),
    "no-bucket": (status(404, REFUSED), "bucket"),
    "overloaded": (status(429), ""),
    "fails-late": (plain(FAILED), "it broke"),
    "a-page": (status(200), ""),
    "plain-csv": (plain(TRUTH), ""),
    "i-silent": (silent, "did not answer within"),
    "i-hangs-up": (hangs_up, ""),
    "i-binary": (plain(b"\0\xff" * 5000), ""),
}


def test_an_influxdb_that_lies_is_told_and_learned_from_once_it_does_not(
    shared: EngineFixture, world: World
):
    text = ""
    for name, (handler, _) in INFLUX_LIES.items():
        world.paths[name] = handler
        params = {"url": f"http://{world.base}/{name}", "token": "secret", "bucket": "b"}
        params |= {"timeout": "1s", "org": "o"}
        text = fed(name, "influxdb", params, "flux-csv")
        save(folder(shared) / f"{name}.yaml", text)
    for name, (_, says) in INFLUX_LIES.items():
        wait_for(lambda name=name: name in pods(shared), name)
        wait_for(lambda name=name: warnings(shared, name), f"what {name} does to be told")
        (problem,) = warnings(shared, name)
        check(problem)
        assert says in problem["message"], problem
        assert "secret" not in problem["message"]
        assert problem["line"] == line_of(text, "name: influxdb")
    for name in INFLUX_LIES:
        world.paths[name] = plain(flux(ROWS[:900]))
    for name in INFLUX_LIES:
        learned(shared, name)
        assert not warnings(shared, name)


# -- WebSockets

MESSAGES = [
    json.dumps(dict(zip(HEADER.split(","), map(float, row.split(",")), strict=True)))
    for row in ROWS[:200]
]


def sending(*parts: str | bytes, code: int = 1000) -> Handler:
    """Opens, sends these messages, closes."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        reply = web.WebSocketResponse()
        await reply.prepare(request)
        for part in parts:
            await (reply.send_str(part) if isinstance(part, str) else reply.send_bytes(part))
        await reply.close(code=code)
        return reply

    return handle


async def staying(request: web.Request) -> web.WebSocketResponse:
    """Opens, sends what is good, and stays."""
    reply = web.WebSocketResponse()
    await reply.prepare(request)
    for part in MESSAGES:
        await reply.send_str(part)
    async for message in reply:
        assert message.type is WSMsgType.TEXT
    return reply


async def no_frame(request: web.Request) -> web.WebSocketResponse:
    reply = web.WebSocketResponse()
    await reply.prepare(request)
    assert request.transport is not None
    request.transport.write(b"\xff\xff\xff\xff garbage")
    await asyncio.sleep(0.2)
    return reply


SOCKET_LIES: dict[str, tuple[Handler, str]] = {
    "closes": (sending(code=1011), "closed the connection"),
    "no-socket": (status(200), "instead of opening a WebSocket"),
    "forbidden": (status(403), "403"),
    "huge": (sending("x" * (2 * MEBIBYTE)), "1 MiB"),
    "no-frame": (no_frame, ""),
    "no-json": (sending("hello", "{", "5", "[" * 50_000, b"\xff\xfe"), ""),
    "no-rows": (sending(*['{"time": "never", "cpu": "x"}'] * 50), ""),
    "cut": (sending(*MESSAGES[:3], MESSAGES[3][:20]), ""),
}


def test_websockets_that_close_or_send_rubbish_are_opened_again(
    shared: EngineFixture, world: World
):
    for name, (handler, _) in SOCKET_LIES.items():
        world.paths[name] = handler
        text = fed(name, "websocket", {"url": f"ws://{world.base}/{name}"}, "json")
        save(folder(shared) / f"{name}.yaml", text)
    for name, (_, says) in SOCKET_LIES.items():
        wait_for(lambda name=name: name in pods(shared), name)
        wait_for(lambda name=name: warnings(shared, name), f"what {name} does to be told")
        assert feed_of(shared, name)["last_error"]
        wait_for(lambda name=name, says=says: said(shared, name, says), f"{name} to say {says}")
    for name in SOCKET_LIES:
        world.paths[name] = staying
    for name in SOCKET_LIES:
        learned(shared, name)
        wait_for(lambda name=name: rows_of(shared, name) >= 200, f"all rows of {name}")
        assert not warnings(shared, name)


def said(engine: EngineFixture, name: str, says: str) -> bool:
    return says in str(feed_of(engine, name)["last_error"])
