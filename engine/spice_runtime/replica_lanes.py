"""Lanes of a sync predictor: a thread each, that reads calls, works on them and answers."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from spice_runtime.predictors.answers import (
    CANCELLED,
    Answer,
    defect,
    of_exception,
)
from spice_runtime.predictors.calls import deliver, run_batch, run_call, still_wanted, turned_away
from spice_runtime.predictors.current import CALL
from spice_runtime.predictors.host import Call, Host
from spice_runtime.predictors.streams import Gone
from spice_runtime.replica_frames import calls_of, hello, packed, read_on
from spice_runtime.wire import (
    BATCH,
    CHUNK,
    END,
    HEADER,
    INFER,
    STREAM,
    frame,
)
from spice_runtime.wire import CALL as CALL_FRAME

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from spice_runtime.replica_background import Background
    from spice_runtime.replica_page import Page
    from spice_runtime.replica_state import Shared
    from spice_runtime.replica_ticker import Ticker

_READ_BYTES = 262144
_MUCH_BYTES = 32768
_UNSENT_SECONDS = 0.001
_CHUNK_BYTES = 65536
_ACCEPT_TROUBLE_SECONDS = 0.1


class Kit(NamedTuple):
    """What all lanes of a process have in common."""

    host: Host
    listener: socket.socket
    page: Page
    shared: Shared
    background: Background
    ticker: Ticker


def accept(listener: socket.socket, drained: int) -> socket.socket | None:
    """The next connection; None at the drain. Other processes accept from the same listener."""
    waiter = select.poll()
    waiter.register(listener, select.POLLIN)
    waiter.register(drained, select.POLLIN)
    while True:
        ready = waiter.poll()
        if any(fd == drained for fd, _ in ready):
            return None
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue
        except OSError:
            # No descriptor left, or the other side went away: the predictor lives on.
            time.sleep(_ACCEPT_TROUBLE_SECONDS)
            continue
        connection.setblocking(True)
        return connection


class SyncLane:
    """One worker thread. Answers are kept back while more calls lie ready, for about a
    millisecond, and sent together; a call that takes longer meanwhile is what the ticker is for."""

    def __init__(self, kit: Kit, slot: int) -> None:
        self._kit = kit
        self._slot = slot
        self._connection: socket.socket | None = None
        self._sending = threading.Lock()  # for `_unsent` and the order of what is sent
        self._unsent: list[bytes] = []
        self._unsent_since = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._credit_changed = threading.Condition()
        self._credit: Any = None
        self._simple = kit.host.simple()

    def run(self) -> None:
        """Serves one connection after another until the drain."""
        self._kit.shared.on_drain.append(self._wake)
        self._kit.ticker.lanes.append(self)
        while not self._kit.shared.draining:
            connection = accept(self._kit.listener, self._kit.shared.drain_read)
            if connection is None:
                break
            self._connection = connection
            if self._kit.shared.draining:
                self._wake()
            try:
                self._serve(connection)
            except OSError:
                # The engine went away in the middle of it; the next one connects anew.
                pass
            finally:
                with self._sending:
                    self._unsent.clear()
                    self._connection = None
                self._kit.page.ids[self._slot] = 0
                connection.close()

    def _wake(self) -> None:
        """At the drain: calls that are here are worked on, none follow."""
        connection = self._connection
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                # It is closed already.
                return

    def _serve(self, connection: socket.socket) -> None:
        self._kit.page.ids[self._slot] = 0
        self._kit.shared.forget_cancellations()
        connection.sendall(hello(self._slot, 1))
        receive, rest = connection.recv, b""
        while True:
            data = receive(_READ_BYTES)
            if not data:
                return
            if rest:
                data = rest + data
            at, missing = self._work(data)
            self._flush()
            self._kit.page.ids[self._slot] = 0
            rest = data[at:] if at < len(data) else b""
            if missing > _MUCH_BYTES:
                # A large body: read to its end before it is joined, not piece by piece.
                frame_bytes = read_on(connection, rest, missing)
                if frame_bytes is None:
                    return
                self._work(frame_bytes)
                self._flush()
                self._kit.page.ids[self._slot] = 0
                rest = b""

    def _work(self, data: bytes) -> tuple[int, int]:
        """Works on the whole frames in `data`; gives where the rest begins and what it lacks."""
        unpack, head_bytes = HEADER.unpack_from, HEADER.size
        host, page, slot = self._kit.host, self._kit.page, self._slot
        ids, times, cancelled = page.ids, page.times, self._kit.shared.cancelled
        simple, clock, ticker = self._simple, time.perf_counter, self._kit.ticker
        came = now = clock()
        at, size = 0, len(data)
        while size - at >= head_bytes:
            length, kind, codec, head_length, _, _, number, ident = unpack(data, at)
            start = at + head_bytes
            end = start + length
            if end > size:
                return at, end - size
            at = end
            if self._unsent:
                if now - self._unsent_since > _UNSENT_SECONDS:
                    self._flush()
                elif not ticker.awake:
                    ticker.wake()
            if kind == CALL_FRAME and simple is not None and codec != INFER:
                deadline = came + number / 1000
                if now > deadline or (cancelled and ident in cancelled):
                    turned_away(Call(ident, codec, b"", b"", deadline), now, self)
                    continue
                head = data[start : start + head_length] if head_length else b""
                ids[slot] = ident
                times[slot] = begun = now
                CALL.set((ident, head))
                try:
                    answer = simple(codec, data[start + head_length : end])
                except BaseException as error:  # noqa: BLE001 - it is the client's answer
                    answer = of_exception(error, host.debug)
                if type(answer) is Answer:
                    now = self._keep(ident, answer, begun)
                    continue
                call = Call(ident, codec, head, data[start + head_length : end], deadline)
                self._drive(call, deliver(host, call, answer, begun, self))
            elif kind in (CALL_FRAME, BATCH):
                self._take(kind, ident, data, start, end, came)
            now = clock()
        return at, 0

    def _take(self, kind: int, ident: int, data: bytes, start: int, end: int, came: float) -> None:
        """A call or batch that is not of the simplest kind; its payload is from `start` to
        `end`."""
        host, now = self._kit.host, time.perf_counter()
        if kind == CALL_FRAME:
            calls = calls_of(data, start - HEADER.size, end, came)
        else:
            calls = calls_of(data, start, end, came, scan=host.reads)
        calls = still_wanted(calls, now, self)
        if not calls:
            return
        self._kit.page.ids[self._slot] = ident
        self._kit.page.times[self._slot] = now
        if host.batching:
            done = self._drive(calls[0], run_batch(host, calls, self))
            self._flush()
            del done
            return
        for call in calls:
            self._drive(call, run_call(host, call, self))

    def _drive(self, call: Call, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs work that never suspends, for this outlet blocks; gives what comes of it."""
        try:
            work.send(None)
        except StopIteration as end:
            return end.value
        except (Gone, ConnectionError):
            raise
        except BaseException as error:  # noqa: BLE001 - the lane lives on, and the client hears
            self.answer(call.ident, defect(error, self._kit.host.debug), time.perf_counter())
            return None
        work.close()
        raise RuntimeError("work of a sync lane suspended")

    def _keep(self, ident: int, answer: Answer, begun: float) -> float:
        """Keeps an answer to be sent with others; gives the time it is."""
        now = time.perf_counter()
        data = packed(ident, answer, now - begun)
        with self._sending:
            if not self._unsent:
                self._unsent_since = now
            self._unsent.append(data)
        return now

    def flush_late(self, now: float) -> bool:
        """Called by the ticker: sends what was kept too long; gives whether anything was kept."""
        if not self._unsent:
            return False
        if now - self._unsent_since > _UNSENT_SECONDS:
            with suppress(OSError):  # the worker sees it, too
                self._flush()
        return True

    def _flush(self) -> None:
        with self._sending:
            if self._unsent and self._connection is not None:
                data = b"".join(self._unsent)
                self._unsent.clear()
                self._connection.sendall(data)

    def _send(self, data: bytes) -> None:
        assert self._connection is not None
        with self._sending:
            self._connection.sendall(data)

    # --- the outlet of `predictors.calls`

    def answer(self, ident: int, answer: Answer, begun: float) -> None:
        """Keeps it for the next send."""
        self._keep(ident, answer, begun)
        if answer is CANCELLED:
            with self._kit.shared.lock:
                self._kit.shared.cancelled.pop(ident, None)

    async def stream(self, ident: int, status: int, codec: int, head: bytes) -> None:
        """Sends the beginning at once."""
        begin = frame(STREAM, ident, codec=codec, head=head, status=status)  # what raises, first
        self._flush()
        self._credit = self._kit.shared.open_credit(ident, self._credit_grew)
        self._send(begin)

    async def chunk(self, ident: int, data: bytes) -> None:
        """Blocks while there is no credit."""
        for at in range(0, len(data), _CHUNK_BYTES):
            part = data[at : at + _CHUNK_BYTES]
            self._wait_for_credit()
            self._kit.shared.take(self._credit, len(part))
            self._send(frame(CHUNK, ident, part))

    async def end(self, ident: int, trouble: str) -> None:
        """Ends the stream."""
        self._kit.shared.close_credit(ident)
        self._send(frame(END, ident, trouble.encode(), status=500 if trouble else 0))

    async def settle(self, awaitable: Any) -> Any:
        """Runs it on a loop of this thread's own."""
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(_awaited(awaitable))

    def background(self, tasks: Any) -> None:
        """After the answers so far."""
        self._flush()
        self._kit.background.run(tasks)

    def is_cancelled(self, ident: int) -> bool:
        """Whether nobody waits for it."""
        return ident in self._kit.shared.cancelled

    def _credit_grew(self) -> None:
        with self._credit_changed:
            self._credit_changed.notify_all()

    def _wait_for_credit(self) -> None:
        with self._credit_changed:
            while self._credit.left <= 0 and not self._credit.cancelled:
                if not self._credit_changed.wait(0.5) and self._hung_up():
                    raise Gone
        if self._credit.cancelled:
            raise Gone

    def _hung_up(self) -> bool:
        assert self._connection is not None
        waiter = select.poll()
        waiter.register(self._connection, 0)
        return bool(waiter.poll(0))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
