"""One prediction that came through aiohttp: its answer, or its stream, for who awaits it."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from aiohttp import web
from multidict import CIMultiDict

from spice_engine.api.answer_heads import BODILESS, fields_of, status_of
from spice_engine.api.replies import REQUEST_ID, ClientGone
from spice_engine.serving.calls import Call
from spice_engine.serving.directory import Answer, Served

_REPLACED = frozenset(
    {b"content-length", b"content-encoding", b"transfer-encoding", b"x-request-id"}
)
LOOK = 0.25
"""Seconds between two looks whether the client is still there."""


class WebCall(Call):
    """A prediction; `perform` sends it and gives the response."""

    __slots__ = ("_answer", "_chunks", "_client", "_endpoint", "_is_over", "_more", "_trouble")

    def __init__(
        self,
        served: Served,
        body: bytes,
        *,
        codec: int,
        head: bytes,
        request_id: str,
        deadline: float,
        client: str,
    ) -> None:
        now = time.monotonic()
        super().__init__(
            body,
            arrived=now,
            deadline=now + deadline,
            codec=codec,
            head=head,
            request_id=request_id,
        )
        self._client = client
        self._endpoint = served.endpoint
        self._answer: Answer | None = None
        self._chunks: deque[bytes] = deque()
        self._more = asyncio.Event()
        self._is_over = False
        self._trouble = ""

    def client(self) -> str:
        return self._client

    def answer(self, status: int, codec: int, head: bytes, body: bytes) -> None:
        self._answer = (status, codec, head, body)
        self._is_over = True
        self._more.set()

    def stream(self, status: int, codec: int, head: bytes) -> None:
        self._answer = (status, codec, head, b"")
        self._more.set()

    def chunk(self, data: bytes) -> None:
        if data:
            self._chunks.append(data)  # as many as the endpoint has credit for
            self._more.set()

    def end(self, trouble: str) -> None:
        self._trouble = trouble
        self._is_over = True
        self._more.set()

    async def perform(self, request: web.Request) -> web.StreamResponse:
        """Send it, and answer the request.

        Raises:
            ClientGone: the client hung up; the call is cancelled.
        """
        try:
            self._endpoint.submit(self)
            while self._answer is None:
                await self._wait(request)
            if self._is_over and not self._chunks and not self._trouble:
                return respond(self._answer)
            return await self._pass_on(request, self._answer)
        finally:
            if not self._is_over:
                self._endpoint.cancel(self)

    async def _pass_on(self, request: web.Request, begin: Answer) -> web.StreamResponse:
        status, codec, head, _ = begin
        response = web.StreamResponse(
            status=status_of(status), headers=CIMultiDict(fields_of(codec, head))
        )
        await response.prepare(request)
        while True:
            while self._chunks:
                data = self._chunks.popleft()
                # What follows the head of a bodiless answer would be read as the next answer.
                if response.status not in BODILESS:
                    try:
                        await response.write(data)
                    except ConnectionError:
                        raise ClientGone from None
                self._endpoint.credit(self, len(data))
            if self._is_over:
                break
            await self._wait(request)
        if self._trouble and request.transport is not None:
            # Without its last chunk nobody takes it for a whole one.
            request.transport.abort()
        return response

    async def _wait(self, request: web.Request) -> None:
        """Until there is news of the call.

        Raises:
            ClientGone: the client hung up.
        """
        while not self._more.is_set():
            try:
                async with asyncio.timeout(LOOK):
                    await self._more.wait()
            except TimeoutError:
                transport = request.transport
                if transport is None or transport.is_closing():
                    raise ClientGone from None
        self._more.clear()


def respond(answer: Answer) -> web.Response:
    """A whole answer of a replica's as a response."""
    status, codec, head, body = answer
    status = status_of(status)
    return web.Response(
        status=status,
        body=None if status in BODILESS else body,
        headers=CIMultiDict(fields_of(codec, head)),
    )


def raw_head(request: web.Request, body: bytes) -> bytes:
    """The request's head as bytes, for the body as it was read (of known length, decompressed),
    and with the id that the request has."""
    lines = [f"{request.method} {request.raw_path} HTTP/1.1".encode("utf-8", "surrogateescape")]
    for name, value in request.raw_headers:
        if name.lower() not in _REPLACED:
            lines.append(name + b": " + value)
    lines.append(b"Content-Length: %d" % len(body))
    lines.append(b"X-Request-Id: " + request_id_of(request).encode())
    return b"\r\n".join(lines) + b"\r\n\r\n"


def request_id_of(request: web.Request) -> str:
    """The id that the door gave the request, or took over."""
    return request[REQUEST_ID]
