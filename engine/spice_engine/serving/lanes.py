"""A lane: one connection to one worker of a replica; frames out, answers in.

This is the hot path. Frames that are sent in one turn of the loop leave with one write. Answers
are sliced out of what was received, without further copies, and given to their calls in place.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from typing import TYPE_CHECKING, Any, Protocol, cast

from spice_engine.serving.calls import Call
from spice_engine.serving.workers import Batch, Worker
from spice_runtime import wire

if TYPE_CHECKING:
    from spice_engine.serving.link import ReplicaLink

_log = logging.getLogger(__name__)

BUSY_US = 2000.0
"""A lane holds as many calls as its worker does in so many microseconds."""
MAX_WINDOW = 64
_BIG_BODY = 64 * 1024
_WRITE_HIGH = 2**20
_KERNEL_BYTES = 2**20
"""What the kernel takes at once, unless `net.core.wmem_max` is less: most batches whole."""
_MAX_MS = 0xFFFFFFFF

_Kept = tuple[Call, int, int, bytes, bytes]

_pack = wire.HEADER.pack
_unpack = wire.HEADER.unpack_from
_HEADER_SIZE = wire.HEADER.size


class LaneOwner(Protocol):
    """Who is told of a lane: the router. `patience`: seconds that a stream may rest."""

    patience: float

    def on_lane(self, lane: Lane) -> None:
        """It said HELLO: calls may be sent."""
        ...

    def on_room(self, lane: Lane, now: float) -> None:
        """Answers came, or its socket takes more again."""
        ...

    def on_choked(self, lane: Lane) -> None:
        """Its socket takes no more for now."""
        ...

    def on_lane_lost(self, lane: Lane) -> None:
        """It is gone, with the calls that it still holds."""
        ...

    def on_link_lost(self, link: ReplicaLink) -> None:
        """The replica's process is gone, or leaves control unanswered."""
        ...


class Lane(asyncio.Protocol):
    """One connection; made by `ReplicaLink`, used by the router once it is `greeted`.

    `calls` are those it holds in the order in which they were sent, by id; `window` how many it
    may hold; `batches` the batches under way; `estimate` the microseconds one call takes.
    """

    __slots__ = (
        "_have",
        "_need",
        "_parts",
        "_scheduled",
        "_transport",
        "batches",
        "batching",
        "calls",
        "choked",
        "closed",
        "concurrency",
        "estimate",
        "greeted",
        "link",
        "listed",
        "loop",
        "out",
        "owner",
        "slot",
        "window",
        "worker",
    )

    def __init__(self, link: ReplicaLink, owner: LaneOwner, loop: asyncio.AbstractEventLoop):
        self.link = link
        self.owner = owner
        self.loop = loop
        self.worker: Worker | None = None
        self.slot = 0
        self.concurrency = 1
        self.window = 1
        self.batching = False
        self.greeted = False
        self.choked = False
        self.closed = False
        self.listed = False
        """Whether the router has it in its list of lanes with room."""
        self.estimate = 0.0
        self.calls: dict[int, Call] = {}
        self.batches: dict[int, Batch] = {}
        self.out: list[bytes] = []
        self._scheduled = False
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._have = 0
        self._need = _HEADER_SIZE

    def usable(self) -> bool:
        """Whether calls may be sent, as far as the replica goes."""
        link, worker = self.link, self.worker
        return not (
            self.choked
            or self.closed
            or link.draining
            or link.lost
            or (worker is not None and worker.reserved)
        )

    # Out.

    def send(self, call: Call, now: float) -> None:
        """Put a call on its way; it leaves at the end of this turn of the loop."""
        ident = call.ident
        self.calls[ident] = call
        call.lane = self
        call.sent = now
        self._put(call, now)

    def send_batch(self, batch: Batch, calls: list[Call], now: float) -> None:
        """Put calls on their way as one batch, at once: it is what this turn gathered."""
        size = 0
        for call in calls:
            self.calls[call.ident] = call
            call.lane = self
            call.batch = batch
            call.sent = now
            size += _HEADER_SIZE + len(call.head) + len(call.body)
        self.batches[batch.ident] = batch
        self.out.append(_pack(size, wire.BATCH, 0, 0, 0, 0, len(calls), batch.ident))
        scheduled, self._scheduled = self._scheduled, True
        for call in calls:
            self._put(call, now)
        self._scheduled = scheduled
        if not scheduled:
            self._write()

    def _put(self, call: Call, now: float) -> None:
        left = int((call.deadline - now) * 1000.0)
        if left > _MAX_MS:
            left = _MAX_MS
        elif left < 1:
            left = 1
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self.flush)
        body = call.body
        head = call.head
        if head:
            size = len(head)
            self.out.append(
                _pack(size + len(body), wire.CALL, call.codec, size, 0, 0, left, call.ident)
            )
            self.out.append(head)
        else:
            self.out.append(_pack(len(body), wire.CALL, call.codec, 0, 0, 0, left, call.ident))
        if len(body) < _BIG_BODY:
            self.out.append(body)
        else:
            # Joining would copy it; the transport keeps a reference.
            self._write()
            if self._transport is not None:
                self._transport.write(body)

    def flush(self) -> None:
        """Write what this turn of the loop sent."""
        self._scheduled = False
        self._write()

    def _write(self) -> None:
        out = self.out
        if out:
            if self._transport is not None:
                if self.batching and sum(map(len, out)) > _BIG_BODY:
                    self._transport.writelines(out)  # to join them would copy a batch
                else:
                    self._transport.write(b"".join(out))
            out.clear()

    def abort(self) -> None:
        """Break the connection; `connection_lost` follows."""
        if self._transport is not None:
            self._transport.abort()

    # In.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)

    def pause_writing(self) -> None:
        self.choked = True
        self.owner.on_choked(self)

    def resume_writing(self) -> None:
        self.choked = False
        self.owner.on_room(self, time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.closed = True
        self.out.clear()
        self._parts.clear()
        self.link.lane_lost(self)

    def data_received(self, data: bytes) -> None:
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._parts)
            self._parts.clear()
        now = time.monotonic()
        scheduled, self._scheduled = self._scheduled, True
        # The answers of a batch come all at once. The next batch leaves before they are
        # delivered, so that the worker need not wait for that.
        kept: list[_Kept] | None = [] if self.batching else None
        try:
            if self._read(data, now, kept):
                self.owner.on_room(self, now)
                self._write()
        finally:
            self._scheduled = scheduled
            for call, status, codec, head, body in kept or ():
                _deliver(call, status, codec, head, body)

    def _read(self, data: bytes, now: float, kept: list[_Kept] | None) -> bool:
        """Take every whole frame, keep the rest; False where the connection is broken."""
        calls = self.calls
        observe = self.link.figures.observe
        estimate = self.estimate
        position, end = 0, len(data)
        while True:
            body = position + _HEADER_SIZE
            if body > end:
                self._need = _HEADER_SIZE
                break
            length, kind, codec, head_size, status, _, number, ident = _unpack(data, position)
            stop = body + length
            if stop > end:
                if length > wire.MAX_PAYLOAD:
                    return self._broken(f"a frame of {length} bytes")
                self._need = _HEADER_SIZE + length
                break
            position = stop
            if kind != wire.ANSWER:
                if not self._other(kind, codec, head_size, status, ident, data[body:stop], now):
                    return False
                continue
            call = calls.pop(ident, None)
            if call is None:
                continue
            if call.batch is not None:
                self._counted(call)
            # Quickly up, slowly down: one slow call in many makes the lane careful.
            estimate += (number - estimate) * (0.5 if number > estimate else 0.125)
            if call.done:
                continue
            call.done = True
            observe(status, now - call.arrived, call.sent - call.arrived, number * 1e-6, now)
            rest = body + head_size
            if kept is None:
                _deliver(call, status, codec, data[body:rest], data[rest:stop])
            else:
                kept.append((call, status, codec, data[body:rest], data[rest:stop]))
        if position < end:
            self._have = end - position
            self._parts.append(data[position:] if position else data)
        if estimate != self.estimate:
            self._measured(estimate)
        return True

    def _measured(self, estimate: float) -> None:
        """So many microseconds a call takes: the window follows."""
        self.estimate = estimate
        if self.concurrency == 1:
            self.window = min(MAX_WINDOW, int(BUSY_US / max(estimate, 1.0))) or 1

    def _counted(self, call: Call) -> None:
        batch = cast("Batch", call.batch)
        call.batch = None
        batch.left -= 1
        if not batch.left:
            self.batches.pop(batch.ident, None)

    def _other(
        self,
        kind: int,
        codec: int,
        head_size: int,
        status: int,
        ident: int,
        data: bytes,
        now: float,
    ) -> bool:
        """A frame that is no ANSWER; False where the lane is broken."""
        if kind == wire.HELLO and not self.greeted:
            return self._greet(data)
        call = self.calls.get(ident)
        if kind not in {wire.STREAM, wire.CHUNK, wire.END}:
            return self._broken(f"a frame of kind {kind}")
        if call is None:
            return True
        try:
            if kind == wire.CHUNK:
                call.deadline = now + self.owner.patience
                if not call.done:
                    call.chunk(data)
            elif kind == wire.STREAM:
                call.streaming = True
                call.deadline = now + self.owner.patience
                if not call.done:
                    call.stream(status, codec, data[:head_size])
            else:
                self._end(call, status, data, now)
        except Exception:  # noqa: BLE001 - one door's defect is not the other calls'
            _defect(call)
        return True

    def _end(self, call: Call, status: int, data: bytes, now: float) -> None:
        del self.calls[call.ident]
        if call.batch is not None:
            self._counted(call)
        if call.done:
            return
        call.done = True
        spent = now - call.sent
        queue = call.sent - call.arrived
        self.link.figures.observe(status or 200, now - call.arrived, queue, spent, now)
        trouble = data.decode("utf-8", "replace") or "the stream was cut short" if status else ""
        call.end(trouble)

    def _greet(self, data: bytes) -> bool:
        try:
            hello = cast("dict[str, Any]", json.loads(data))
            pid = int(hello["pid"])
            self.slot = int(hello["lane"])
            self.concurrency = max(1, int(hello.get("concurrency", 1)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._broken(f"a HELLO that cannot be read ({error!r})")
        self.window = self.concurrency
        self.greeted = True
        self.batching = self.link.batching
        if self.batching and self._transport is not None:
            sock: socket.socket = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        self.link.lane_greeted(self, pid)
        return True

    def _broken(self, what: str) -> bool:
        _log.error("Replica %s sent %s; its lane is closed", self.link.name, what)
        self.abort()
        return False


def _deliver(call: Call, status: int, codec: int, head: bytes, body: bytes) -> None:
    try:
        call.answer(status, codec, head, body)
    except Exception:  # noqa: BLE001 - one door's defect is not the other calls'
        _defect(call)


def _defect(call: Call) -> None:
    """A door raised when it was given an answer."""
    _log.exception("A door could not take the answer of call %d", call.ident)
