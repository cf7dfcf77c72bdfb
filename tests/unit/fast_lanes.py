"""A fast lane over connections in memory, and endpoints that answer at once or when told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from spice_engine.api.fast_connection import FastConnection
from spice_engine.api.fast_lane import FastLane
from spice_engine.api.metrics import HttpFigures
from spice_engine.api.security import Guard
from spice_engine.protocol.servers import Door
from spice_engine.serving.calls import Call
from spice_engine.serving.directory import Directory, Served
from spice_engine.serving.figures import Figures
from spice_engine.settings import Settings
from spice_runtime import wire

TOKEN = "engine-" + "t" * 30
SERVER_TOKEN = "server-" + "s" * 30


class Echo:
    """Answers at once, with the body that came."""

    def __init__(self) -> None:
        self.seen: list[Call] = []

    def submit(self, call: Call) -> None:
        self.seen.append(call)
        self.reply(call)

    def reply(self, call: Call) -> None:
        call.done = True
        call.answer(200, wire.AS_JSON, b"", call.body)

    def cancel(self, call: Call) -> None:
        call.done = True

    def credit(self, call: Call, number: int) -> None:
        raise AssertionError("there are no streams")

    def is_ready(self) -> bool:
        return True


class Later(Echo):
    """Keeps calls until they are answered by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.cancelled: list[Call] = []
        self.bodies: list[bytes] = []
        self.credits: dict[int, int] = {}

    def submit(self, call: Call) -> None:
        self.seen.append(call)
        self.calls.append(call)

    def cancel(self, call: Call) -> None:
        call.done = True
        self.cancelled.append(call)
        self.bodies.append(call.body)
        self.calls.remove(call)
        call.body = b""  # as the router does

    def credit(self, call: Call, number: int) -> None:
        self.credits[id(call)] = self.credits.get(id(call), 0) + number

    def finish(self, place: int = 0) -> None:
        self.reply(self.calls.pop(place))


class Link(asyncio.Transport):
    """One connection: what is written to it is kept in `sent`."""

    def __init__(self, lane: FastLane, peer: str = "127.0.0.1") -> None:
        super().__init__({"sockname": ("127.0.0.1", 8000), "peername": (peer, 50_000)})
        self.sent = bytearray()
        self.writes = 0
        self.reading = True
        self.closed = False
        self.unsent = 0
        self.protocol: Any = FastConnection(lane)
        self.protocol.connection_made(self)

    def write(self, data: Any) -> None:
        assert not self.closed
        self.sent += data
        self.writes += 1

    def feed(self, data: bytes) -> None:
        """Bytes of the client's."""
        self.protocol.data_received(data)

    def hang_up(self) -> None:
        """The client goes."""
        self.closed = True
        self.protocol.connection_lost(None)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.hang_up()

    abort = close

    @property
    def handed(self) -> bytes | None:
        """What went to aiohttp; None while the connection is the fast lane's."""
        return bytes(self.protocol.got) if isinstance(self.protocol, Successor) else None


class Successor(asyncio.Protocol):
    """Stands where aiohttp's protocol does, and keeps what comes."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.transport: asyncio.BaseTransport | None = None
        self.is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.got += data

    def pause_writing(self) -> None:
        self.is_paused = True


def make_lane(
    endpoint: Any, door: Door | None = None, settings: Settings | None = None, **served: Any
) -> FastLane:
    """A lane with one server, `echo`; request ids count from r-1."""
    directory = Directory()
    directory.put(
        Served("echo", endpoint, door or Door(), SERVER_TOKEN, 3, ("m:v1",), Figures(), **served)
    )
    return FastLane(
        directory,
        Guard(settings or Settings(), TOKEN, directory),
        HttpFigures(),
        successor=Successor,
        next_id=(f"r-{number}" for number in itertools.count(1)).__next__,
        keepalive=75.0,
    )


def post(
    body: bytes = b"{}", *lines: str, path: str = "/servers/echo/predict", host: str = "localhost"
) -> bytes:
    """One prediction as bytes."""
    head = [f"POST {path} HTTP/1.1", f"Host: {host}", *lines, f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


def answers(data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Whole answers, one after another: status, header fields (lower case), body."""
    found: list[tuple[int, dict[str, str], bytes]] = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        fields = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size, _, data = data.partition(b"\r\n")
                if not size:
                    body += b"<cut>"
                    break
                length = int(size, 16)
                body, data = body + data[:length], data[length + 2 :]
                if not length:
                    break
        else:
            length = int(fields.get("content-length", "0"))
            body, data = data[:length], data[length:]
        found.append((int(first.split(" ")[1]), fields, body))
    return found


Make = Callable[..., FastLane]
