"""One prediction of a connection of the fast lane: how its answer is put into bytes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from spice_engine.api.answer_heads import BODILESS
from spice_engine.api.fast_http import Head
from spice_engine.serving.calls import Call
from spice_engine.serving.directory import Served
from spice_runtime import wire

if TYPE_CHECKING:
    from spice_engine.api.fast_connection import FastConnection


class FastCall(Call):
    """A prediction of one connection. What it has to say before its turn is kept in `held`."""

    __slots__ = (
        "connection",
        "counted",
        "endpoint",
        "held",
        "is_cut",
        "mute",
        "over",
        "owed",
        "request",
        "varied",
    )

    def __init__(
        self, connection: FastConnection, served: Served, head: Head, body: bytes, request_id: str
    ) -> None:
        now = time.monotonic()
        limit = served.door.deadline
        raw = b""
        if served.wants_head or head.codec == wire.INFER:
            raw = head.raw if head.request_id else _with_id(head.raw, request_id)
        Call.__init__(
            self,
            body,
            arrived=now,
            deadline=now + (min(head.deadline, limit) if head.deadline else limit),
            codec=head.codec,
            head=raw,
            request_id=request_id,
        )
        self.connection: FastConnection | None = connection
        self.endpoint = served.endpoint
        self.request = head
        self.varied = bool(served.door.cors)
        self.held: list[bytes] | None = None
        self.owed = 0
        self.over = False
        self.counted = False
        self.is_cut = False
        self.mute = False

    def client(self) -> str:
        return self.connection.peer if self.connection is not None else ""

    def answer(self, status: int, codec: int, head: bytes, body: bytes) -> None:
        connection = self.connection
        if connection is None:
            return
        lane = connection.lane
        start = lane.heads.get(status, codec, head, varied=self.varied)
        close = b"Connection: close\r\n" if connection.ends_with(self) else b""
        if status in BODILESS:
            data = b"%bX-Request-Id: %b\r\n%b\r\n" % (start, self.request_id.encode(), close)
        else:
            data = b"%bX-Request-Id: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
                start,
                self.request_id.encode(),
                len(body),
                close,
                body,
            )
        self.over = True
        self.connection = None
        lane.observe("POST", self.request.route, status, time.monotonic() - self.arrived)
        lane.leave()
        connection.send(self, data)

    def stream(self, status: int, codec: int, head: bytes) -> None:
        connection = self.connection
        if connection is None:
            return
        lane = connection.lane
        start = lane.heads.get(status, codec, head, varied=self.varied)
        close = b"Connection: close\r\n" if connection.ends_with(self) else b""
        self.mute = status in BODILESS
        chunked = b"" if self.mute else b"Transfer-Encoding: chunked\r\n"
        request_id = self.request_id.encode()
        lane.observe("POST", self.request.route, status, time.monotonic() - self.arrived)
        self.counted = True
        connection.send(
            self, b"%bX-Request-Id: %b\r\n%b%b\r\n" % (start, request_id, chunked, close)
        )

    def chunk(self, data: bytes) -> None:
        connection = self.connection
        if connection is None or not data:
            return
        self.owed += len(data)
        if not self.mute:
            connection.send(self, b"%x\r\n%b\r\n" % (len(data), data))
        connection.pay(self)

    def end(self, trouble: str) -> None:
        connection = self.connection
        if connection is None:
            return
        self.over = True
        self.connection = None
        self.is_cut = bool(trouble)
        connection.lane.leave()
        # A stream that is cut short ends without its last chunk: nobody takes it for a whole one.
        connection.send(self, b"" if trouble or self.mute else b"0\r\n\r\n")


def _with_id(raw: bytes, request_id: str) -> bytes:
    """The head with the id that this door gave, before one that it did not take over."""
    line, _, rest = raw.partition(b"\r\n")
    return b"%b\r\nX-Request-Id: %b\r\n%b" % (line, request_id.encode(), rest)
