"""Answers that take their time: generators, and Starlette responses that write themselves."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from spice_runtime.optional import loaded
from spice_runtime.predictors.answers import (
    Answer,
    defect,
    head_of,
    must_end,
    of_exception,
    text,
)
from spice_runtime.predictors.json_text import dump
from spice_runtime.predictors.requests import receiver, scope_of
from spice_runtime.wire import AS_BYTES, AS_GIVEN, AS_TEXT

if TYPE_CHECKING:
    from spice_runtime.predictors.calls import Outlet
    from spice_runtime.predictors.host import Call

NDJSON = b"content-type: application/x-ndjson\r\n"
CUT = "the predictor failed in the middle of its answer"
_END = object()


class Gone(OSError):
    """Nobody reads the answer any more."""


async def collect(pieces: Any) -> list[Any]:
    """All that an async generator gives."""
    return [piece async for piece in pieces]


def status_of_response(value: Any) -> int | None:
    """The status of a Starlette response; None for anything else."""
    responses = loaded("starlette.responses")
    if responses is not None and isinstance(value, responses.Response):
        response: Any = value
        return int(response.status_code)
    return None


async def send_pieces(ident: int, pieces: Any, begun: float, debug: bool, outlet: Outlet) -> None:
    """Streams a generator: text, bytes, or a line of JSON for each other value.

    What it gives first says which. One that raises before that is answered as usual.
    """
    try:
        piece = await _next(pieces, outlet)
    except BaseException as error:
        if must_end(error):
            raise
        outlet.answer(ident, of_exception(error, debug), begun)
        return
    if piece is _END:
        outlet.answer(ident, text(200, ""), begun)
        return
    codec = (
        AS_TEXT if isinstance(piece, str) else AS_BYTES if isinstance(piece, bytes) else AS_GIVEN
    )
    await outlet.stream(ident, 200, codec, NDJSON if codec == AS_GIVEN else b"")
    trouble = ""
    try:
        while piece is not _END:
            await outlet.chunk(ident, _bytes_of(piece, codec))
            piece = await _next(pieces, outlet)
    except Gone:
        trouble = "cancelled"
    except BaseException as error:
        if must_end(error):
            raise
        trouble = defect(error, debug).body.decode() if debug else CUT
        if not debug:
            defect(error, debug)
    finally:
        await _close(pieces, outlet)
    await outlet.end(ident, trouble)


async def send_response(
    call: Call, response: Any, begun: float, debug: bool, outlet: Outlet
) -> None:
    """Lets a Starlette response write itself; its background tasks run after it."""
    tasks, response.background = response.background, None
    writer = _Writer(call.ident, begun, outlet)
    try:
        await outlet.settle(response(scope_of(call.head), receiver(call.body), writer.send))
    except BaseException as error:
        if must_end(error):
            raise
        await writer.fail(error, debug)
    else:
        await writer.finish()
    if tasks is not None:
        outlet.background(tasks)


class _Writer:
    """ASGI's `send`: a body in one piece is a whole answer, anything else a stream."""

    def __init__(self, ident: int, begun: float, outlet: Outlet) -> None:
        self._ident = ident
        self._begun = begun
        self._outlet = outlet
        self._status = 200
        self._head = b""
        self._streams = False
        self._done = False

    async def send(self, message: Any) -> None:
        """Takes one ASGI message."""
        if message["type"] == "http.response.start":
            self._status = int(message["status"])
            self._head = head_of(message.get("headers", ()))
            return
        if message["type"] != "http.response.body" or self._done:
            return
        body = bytes(message.get("body", b""))
        more = bool(message.get("more_body", False))
        if not self._streams and not more:
            self._done = True
            answer = Answer(self._status, AS_GIVEN, self._head, body)
            self._outlet.answer(self._ident, answer, self._begun)
            return
        if not self._streams:
            await self._outlet.stream(self._ident, self._status, AS_GIVEN, self._head)
            self._streams = True
        if body:
            await self._outlet.chunk(self._ident, body)
        if not more:
            self._done = True
            await self._outlet.end(self._ident, "")

    async def finish(self) -> None:
        """Ends what a response left open."""
        if not self._done:
            await self.send({"type": "http.response.body"})

    async def fail(self, error: BaseException, debug: bool) -> None:
        """The response raised."""
        if self._done:
            defect(error, debug)
        elif not self._streams:
            self._outlet.answer(self._ident, of_exception(error, debug), self._begun)
        else:
            gone = isinstance(error, Gone) or isinstance(error.__context__, Gone)
            if not gone:
                defect(error, debug)
            await self._outlet.end(self._ident, "cancelled" if gone else CUT)
        self._done = True


async def _next(pieces: Any, outlet: Outlet) -> Any:
    if not inspect.isasyncgen(pieces):
        return next(pieces, _END)
    try:
        return await outlet.settle(pieces.__anext__())
    except StopAsyncIteration:
        return _END


async def _close(pieces: Any, outlet: Outlet) -> None:
    if inspect.isasyncgen(pieces):
        await outlet.settle(pieces.aclose())
    else:
        pieces.close()


def _bytes_of(piece: Any, codec: int) -> bytes:
    if codec == AS_GIVEN:
        return dump(piece) + b"\n"
    if isinstance(piece, str):
        return piece.encode("utf-8", "replace")
    if isinstance(piece, bytes):
        return piece
    raise TypeError(f"the pieces of an answer must be of one kind; got {type(piece)}")
