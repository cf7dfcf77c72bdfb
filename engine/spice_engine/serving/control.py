"""A replica's control connection: states in, questions and cancellations out. Not a hot path."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, cast

from spice_engine.errors import ChildFailed, DeadlineExceeded, Overloaded
from spice_runtime import wire

_log = logging.getLogger(__name__)

Answer = tuple[int, int, bytes, bytes]
"""HTTP status, answer codec, further header lines, body."""

_MAX_PENDING = 64
_MAX_FRAME = 16 * 2**20
_CANCEL_BUFFER = 2**20


class Control(asyncio.Protocol):
    """One connection. `state`, `message` and `predictor` are as the replica told them last.

    `told` is set at the first state (or the end), `changed` at each; `ended` once it is closed.
    """

    def __init__(
        self, name: str, on_state: Callable[[], None], on_lost: Callable[[], None]
    ) -> None:
        self.state = ""
        self.message = ""
        self.predictor: dict[str, Any] = {}
        self.told = asyncio.Event()
        self.changed = asyncio.Event()
        self.ended = False
        self._name = name
        self._on_state = on_state
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._pending: dict[int, asyncio.Future[Answer]] = {}
        self._next = 0

    async def ask(self, kind: int, within: float) -> Answer:
        """Send HEALTH or METRICS and wait for the answer.

        Raises:
            ChildFailed: the connection is, or gets, closed.
            DeadlineExceeded: no answer within so many seconds.
            Overloaded: too many questions are unanswered.
        """
        if self.ended:
            raise ChildFailed(f"replica {self._name} is gone", hint="Its log says why.")
        if len(self._pending) >= _MAX_PENDING:
            raise Overloaded(f"replica {self._name} leaves {_MAX_PENDING} questions unanswered")
        self._next += 1
        ident = self._next
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[ident] = answer
        self.send(wire.frame(kind, ident))
        try:
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"replica {self._name} did not answer within {within:g} s", hint="Is it hung?"
            ) from error
        finally:
            self._pending.pop(ident, None)

    def send(self, frame: bytes) -> None:
        """Send a frame; nothing happens where the connection is gone."""
        if self._transport is not None:
            self._transport.write(frame)

    def cancel(self, ident: int) -> None:
        """Send CANCEL; left out where the replica does not read: it is advice only."""
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size() < _CANCEL_BUFFER:
            transport.write(wire.frame(wire.CANCEL, ident))

    def close(self) -> None:
        """Close the connection, without telling anybody."""
        self._on_lost = _nothing
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.ended = True
        self.told.set()
        self.changed.set()
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(
                    ChildFailed(f"replica {self._name} is gone", hint="Its log says why.")
                )
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= wire.HEADER.size:
            length, kind, codec, head_size, status, _, _, ident = wire.HEADER.unpack_from(
                self._buffer
            )
            if length > _MAX_FRAME:
                _log.error("Replica %s sent %d bytes on control", self._name, length)
                if self._transport is not None:
                    self._transport.abort()
                return
            stop = wire.HEADER.size + length
            if len(self._buffer) < stop:
                return
            payload = bytes(self._buffer[wire.HEADER.size : stop])
            del self._buffer[:stop]
            if kind in {wire.HELLO, wire.STATE}:
                self._state(payload)
            elif kind == wire.ANSWER:
                answer = self._pending.get(ident)
                if answer is not None and not answer.done():
                    answer.set_result((status, codec, payload[:head_size], payload[head_size:]))

    def _state(self, payload: bytes) -> None:
        try:
            told = json.loads(payload)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            _log.error("Replica %s told a state that cannot be read", self._name)
            return
        said = cast("dict[str, Any]", told)
        self.state = str(said.get("state", self.state))
        self.message = str(said.get("message") or "")
        predictor: object = said.get("predictor")
        if isinstance(predictor, dict):
            self.predictor = cast("dict[str, Any]", predictor)
        self.told.set()
        self.changed.set()
        self._on_state()


def _nothing() -> None:
    pass
