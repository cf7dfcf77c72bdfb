"""One connection of the fast lane, and its calls: from bytes to the router and back.

While a connection's requests are ordinary predictions (`fast_http`), each goes to its server's
endpoint at once, and its answer leaves in one write. At the first request that is anything else
the connection becomes aiohttp's, with the bytes that were read, and stays there. So do requests
that are not whole after a second, and those that would be refused: aiohttp tells why.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from spice_engine.api.fast_call import FastCall
from spice_engine.api.fast_http import MOST_HEAD, Head
from spice_engine.serving.calls import GONE
from spice_engine.serving.directory import Served

if TYPE_CHECKING:
    from spice_engine.api.fast_lane import FastLane

PERIOD = 0.5
"""Seconds between two looks at all connections."""
PATIENCE = 1.0
"""Seconds in which a request has to be whole."""
MOST_CALLS = 32
"""Calls of one connection under way at once; further pipelined requests wait in its buffer."""
MOST_HELD = 16 * 2**20
"""Bytes of requests that are not whole, of all connections together."""
_GREETINGS = frozenset(b"POST "[:length] for length in range(1, 6))


class FastConnection(asyncio.Protocol):
    """One connection, as long as nothing but ordinary predictions comes.

    `current` is the oldest call without a whole answer, `later` are those after it: answers
    leave in the order of the requests. `rest` are bytes read and not yet used; they are `partial`
    while more has to come, and otherwise wait for calls to end.
    """

    __slots__ = (
        "current",
        "gathered",
        "is_open",
        "is_paused",
        "lane",
        "later",
        "leaving",
        "own",
        "partial",
        "peer",
        "reading",
        "rest",
        "since",
        "stopped",
        "transport",
        "unsent",
        "wanted",
    )

    def __init__(self, lane: FastLane) -> None:
        self.lane = lane
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.current: FastCall | None = None
        self.later: deque[FastCall] = deque()
        self.rest = bytearray()
        self.wanted = 0
        self.partial = False
        self.since = lane.tick
        self.gathered: list[bytes] | None = None
        self.own = ""
        self.peer = ""
        self.is_open = False
        self.is_paused = False
        self.reading = True
        self.leaving = False
        self.stopped = False
        self.unsent = 0

    # -- what asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        own, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self.own = str(own[0]) if isinstance(own, tuple) else ""  # pyright: ignore[reportUnknownArgumentType]
        self.peer = str(peer[0]) if isinstance(peer, tuple) else ""  # pyright: ignore[reportUnknownArgumentType]
        self.is_open = self.lane.guard.is_open_to(self.peer, proxied=False)
        self.lane.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lane.remove(self)
        self._drop_rest()
        self.stopped = True
        for call in self.calls():
            self._abandon(call)
        self.current = None
        self.later.clear()

    def data_received(self, data: bytes) -> None:
        if self.rest or not self.reading:
            self.lane.held += len(data)
            self.rest += data
            if not self.partial or len(self.rest) < self.wanted:
                return
            data = self._drop_rest()
        else:
            self.since = self.lane.tick
        self._use(data)

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        if self.current is not None:
            self.pay(self.current)
        self._again()

    # -- requests in

    def _use(self, data: bytes) -> None:
        """Submit all whole requests; keep what is left."""
        lane = self.lane
        place, size = 0, len(data)
        while place < size:
            if self.stopped or self.is_paused or (self.later and len(self.later) >= MOST_CALLS):
                self._keep(data[place:], 0)
                return
            end = data.find(b"\r\n\r\n", place, place + MOST_HEAD)
            if end < 0:
                if data[place : place + 5] not in _GREETINGS or size - place >= MOST_HEAD:
                    self._leave(data[place:])
                else:
                    self._keep(data[place:], size - place + 1)
                return
            end += 4
            head = lane.reader.read(data[place:end])
            served = None if head is None else lane.directory.get(head.server)
            if head is None or served is None or not self._passes(head, served):
                self._leave(data[place:])
                return
            stop = end + head.length
            if stop > size:
                self._keep(data[place:], stop - place)
                return
            call = FastCall(self, served, head, data[end:stop], head.request_id or lane.next_id())
            place = stop
            self.since = lane.tick
            if self.current is None:
                self.current = call
            else:
                self.later.append(call)
            if place < size and self.gathered is None:
                self.gathered = []
            if head.is_last:
                self.stopped = True  # what comes after it is nobody's
            lane.in_flight += 1
            call.endpoint.submit(call)
            if head.is_last:
                self._flush()
                return
        if self.gathered is not None:
            self._flush()

    def _passes(self, head: Head, served: Served) -> bool:
        guard = self.lane.guard
        door = served.door
        if head.length > door.max_body or not guard.knows(head.host, self.own):
            return False
        is_open = door.auth == "none" and (
            self.is_open if not head.proxied else guard.is_open_to("", proxied=True)
        )
        return is_open or guard.may_call(served, head.authorization, is_open=False)

    def _keep(self, data: bytes, wanted: int) -> None:
        """Keep bytes for later: until so many are there, or (0) until calls have ended."""
        if self.gathered is not None:
            self._flush()
        lane = self.lane
        if wanted and lane.held + wanted > MOST_HELD:
            self._leave(data)
            return
        self.partial = wanted > 0
        self.wanted = wanted
        self.rest += data
        lane.held += len(data)
        if not wanted:
            self._pause()

    def _drop_rest(self) -> bytes:
        data = bytes(self.rest)
        self.lane.held -= len(data)
        self.rest.clear()
        self.partial = False
        return data

    def _pause(self) -> None:
        if self.reading:
            self.reading = False
            self.transport.pause_reading()

    def _again(self) -> None:
        """Calls have ended, or the client reads again: go on with what is kept."""
        if self.stopped or self.is_paused or self.partial or self.transport.is_closing():
            return
        if self.leaving:
            if self.current is None:
                self._leave(self._drop_rest())
            return
        if not self.reading:
            self.reading = True
            self.transport.resume_reading()
            if self.rest:
                self._use(self._drop_rest())

    def _leave(self, data: bytes) -> None:
        """Become a connection of aiohttp's, after the answers that are still to come."""
        if self.current is not None:
            self.leaving = True
            self._keep(data, 0)
            return
        if self.gathered is not None:
            self._flush()
        lane, transport = self.lane, self.transport
        lane.remove(self)
        self.stopped = True
        protocol = lane.successor()
        if not self.reading:
            transport.resume_reading()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self.is_paused:
            protocol.pause_writing()
        protocol.data_received(data)

    def look(self, tick: int) -> None:
        """See whether the client is too slow, or idle for too long."""
        if self.partial and (tick - self.since) * PERIOD > PATIENCE:
            self._leave(self._drop_rest())
        elif self.current is None and (tick - self.since) * PERIOD > self.lane.keepalive:
            unsent, before = self.transport.get_write_buffer_size(), self.unsent
            if not unsent:
                self.transport.close()
            elif unsent == before:
                self.transport.abort()  # to close would wait for ever for a client to read
            else:
                self.unsent, self.since = unsent, tick

    # -- answers out

    def send(self, call: FastCall, data: bytes) -> None:
        """Send what a call has to say, now or when its turn comes."""
        if call is not self.current:
            if call.held is None:
                call.held = []
            call.held.append(data)
            return
        if not call.over:
            self._write(data)
        elif not self.later and not call.is_cut and not self.ends_with(call):
            self.current = None
            self.since = self.lane.tick
            self._write(data)
            if not self.reading:
                self.lane.loop.call_soon(self._again)
        else:
            self._advance(call, data)

    def _advance(self, call: FastCall, data: bytes) -> None:
        """The current call is over: say what those after it have to say already."""
        pieces = [data]
        while True:
            is_end = call.is_cut or self.ends_with(call)
            following = self.later.popleft() if self.later else None
            self.current = following
            if is_end or following is None:
                break
            pieces += following.held or ()
            following.held = None
            call = following
            if not call.over:
                break
        self.since = self.lane.tick
        self._write(b"".join(pieces))
        if self.current is not None and not self.current.over:
            self.pay(self.current)
        if is_end:
            self._flush()
            self.transport.close()
        elif not self.reading:
            self.lane.loop.call_soon(self._again)

    def _write(self, data: bytes) -> None:
        if self.gathered is None:
            self.transport.write(data)
        else:
            self.gathered.append(data)

    def _flush(self) -> None:
        gathered, self.gathered = self.gathered, None
        if gathered and not self.transport.is_closing():
            self.transport.write(b"".join(gathered))

    def pay(self, call: FastCall) -> None:
        """Let a stream go on by what is on its way, unless the client does not read."""
        if call.owed and call is self.current and not self.is_paused:
            owed, call.owed = call.owed, 0
            call.endpoint.credit(call, owed)

    # -- the end

    def stop(self, *, withdraw: bool) -> None:
        """Read no more. Calls under way get their answers; with `withdraw` those that nobody
        has begun are taken back, and their bytes are among the unused ones again."""
        self._pause()
        self.stopped = True
        self.partial = False
        if withdraw:
            calls = list(self.calls())
            kept = len(calls)
            while kept and not (calls[kept - 1].is_begun() or calls[kept - 1].over):
                kept -= 1
            # Before they are cancelled: an endpoint lets go of a cancelled call's body.
            raw = b"".join(call.request.raw + call.body for call in calls[kept:])
            for call in calls[kept:]:
                call.connection = None
                self.lane.leave()
                call.endpoint.cancel(call)
            self.lane.held += len(raw)
            self.rest[:0] = raw
            self.current = calls[0] if kept else None
            self.later = deque(calls[1:kept])
        elif self.current is None:
            self.transport.close()

    def take(self) -> tuple[int, bytes] | None:
        """A copy of the socket and the bytes that were read and not used, where it can go on in
        another process: nothing is under way, and nothing encrypts it."""
        transport = self.transport
        sock = transport.get_extra_info("socket")
        if (
            self.current is not None
            or transport.is_closing()
            or transport.get_write_buffer_size()
            or transport.get_extra_info("sslcontext") is not None
            or sock is None
        ):
            return None
        return os.dup(sock.fileno()), self._drop_rest()

    def ends_with(self, call: FastCall) -> bool:
        """Whether the connection ends after this call's answer."""
        return call.request.is_last or (self.lane.closing and not self.later)

    def calls(self) -> Iterator[FastCall]:
        """Calls without a whole answer, and answers that wait for their turn."""
        if self.current is not None:
            yield self.current
        yield from self.later

    def _abandon(self, call: FastCall) -> None:
        if call.connection is None:
            return
        call.connection = None
        if not call.counted:
            self.lane.observe("POST", call.request.route, GONE, None)
        self.lane.leave()
        call.endpoint.cancel(call)
