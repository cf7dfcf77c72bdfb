"""The lane of an async predictor: one a process, many calls at once on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from spice_runtime.optional import have
from spice_runtime.predictors.answers import CANCELLED, Answer, defect
from spice_runtime.predictors.calls import run_batch, run_call, still_wanted
from spice_runtime.predictors.streams import Gone
from spice_runtime.replica_frames import calls_of, hello, packed
from spice_runtime.replica_lanes import Kit
from spice_runtime.wire import BATCH, CALL, CHUNK, END, HEADER, STREAM, frame

if TYPE_CHECKING:
    import socket

    from spice_runtime.predictors.host import Call
    from spice_runtime.replica_state import Credit

_CHUNK_BYTES = 65536
_ACCEPT_TROUBLE_SECONDS = 0.1
_AFTER_SECONDS = 10.0


class AsyncLane:
    """Accepts one connection at a time and serves it; `run` blocks until the drain."""

    def __init__(self, kit: Kit, slot: int, concurrency: int) -> None:
        self.kit = kit
        self.slot = slot
        self.concurrency = concurrency
        self.after: set[asyncio.Task[None]] = set()  # background tasks
        self.loop: asyncio.AbstractEventLoop = _new_loop()

    def run(self) -> None:
        """Serves until the drain, then until the last call has ended."""
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())
        if self.after:
            self.loop.run_until_complete(asyncio.wait(self.after, timeout=_AFTER_SECONDS))

    async def _serve(self) -> None:
        drained = asyncio.Event()

        def drain() -> None:
            self.loop.call_soon_threadsafe(drained.set)

        self.kit.shared.on_drain.append(drain)
        if self.kit.shared.draining:
            drained.set()
        over = self.loop.create_task(drained.wait())
        while not drained.is_set():
            accepting = self.loop.create_task(self._accept())
            await asyncio.wait({accepting, over}, return_when=asyncio.FIRST_COMPLETED)
            if not accepting.done():
                accepting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await accepting
                return
            connection = accepting.result()
            if connection is None:
                continue
            protocol = _Protocol(self)
            await self.loop.connect_accepted_socket(lambda made=protocol: made, connection)
            await asyncio.wait({protocol.closed, over}, return_when=asyncio.FIRST_COMPLETED)
            await protocol.finish()

    async def _accept(self) -> socket.socket | None:
        try:
            connection, _ = await self.loop.sock_accept(self.kit.listener)
        except OSError:
            # No descriptor left, or the other side went away: the predictor lives on.
            await asyncio.sleep(_ACCEPT_TROUBLE_SECONDS)
            return None
        return connection


class _Protocol(asyncio.Protocol):
    """One connection; the outlet of `predictors.calls` for all calls on it."""

    def __init__(self, lane: AsyncLane) -> None:
        self._lane = lane
        self._kit = lane.kit
        self._loop = lane.loop
        self._transport: Any = None
        self.closed: asyncio.Future[None] = lane.loop.create_future()
        self._rest: bytes = b""
        self._missing = 0
        self._parts: list[bytes] = []
        self._unsent: list[bytes] = []
        self._working: set[asyncio.Task[None]] = set()
        self._after = lane.after
        self._credits: dict[int, tuple[Credit, asyncio.Event]] = {}
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: Any) -> None:
        """The router is there."""
        self._transport = transport
        self._kit.page.ids[self._lane.slot] = 0
        self._kit.shared.forget_cancellations()
        transport.write(hello(self._lane.slot, self._lane.concurrency))

    def connection_lost(self, exc: Exception | None) -> None:
        """The router went away: nobody waits for what is under way."""
        for task in self._working:
            task.cancel()
        self._writable.set()
        if not self.closed.done():
            self.closed.set_result(None)

    async def finish(self) -> None:
        """Waits for what is under way, then closes."""
        while self._working:
            await asyncio.wait(set(self._working))
        self._flush()
        self._transport.close()
        await asyncio.wait({self.closed})
        self._kit.page.ids[self._lane.slot] = 0

    def pause_writing(self) -> None:
        """The router does not read fast enough."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    def data_received(self, data: Any) -> None:
        """Begins the calls that came."""
        if self._missing > len(data):
            # A large body: joined when it is whole.
            self._parts.append(data)
            self._missing -= len(data)
            return
        if self._parts or self._rest:
            data = b"".join([self._rest, *self._parts, data])
            self._parts.clear()
        self._missing = 0
        came, at = time.perf_counter(), 0
        while len(data) - at >= HEADER.size:
            length, kind, _, _, _, _, _, ident = HEADER.unpack_from(data, at)
            end = at + HEADER.size + length
            if end > len(data):
                self._missing = end - len(data)
                break
            if kind == CALL:
                self._begin(ident, calls_of(data, at, end, came), came)
            elif kind == BATCH:
                scan = self._kit.host.reads
                self._begin(ident, calls_of(data, at + HEADER.size, end, came, scan=scan), came)
            at = end
        self._rest = data[at:]

    def _begin(self, ident: int, calls: list[Call], now: float) -> None:
        calls = still_wanted(calls, now, self)
        if not calls:
            return
        page, slot = self._kit.page, self._lane.slot
        page.ids[slot] = ident
        page.times[slot] = now
        task = self._loop.create_task(self._work(calls))
        self._working.add(task)
        task.add_done_callback(self._worked)
        if len(calls) == 1:
            stop = task.cancel
            self._kit.shared.on_cancel[calls[0].ident] = lambda: self._stop(stop)

    def _stop(self, stop: Any) -> None:
        # Called by the control thread.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(stop)

    async def _work(self, calls: list[Call]) -> None:
        host = self._kit.host
        try:
            if host.batching:
                await run_batch(host, calls, self)
            else:
                await run_call(host, calls[0], self)
        except asyncio.CancelledError as error:
            for call in calls:
                if call.ident in self._credits:
                    await self.end(call.ident, "cancelled")
                elif self.is_cancelled(call.ident) or self._transport.is_closing():
                    self.answer(call.ident, CANCELLED, time.perf_counter())
                else:
                    # A task of the predictor's own was cancelled; its client still waits.
                    self.answer(call.ident, defect(error, host.debug), time.perf_counter())
        except BaseException as error:  # noqa: BLE001 - the lane lives on, and the clients hear
            answer = defect(error, host.debug)
            for call in calls:
                self.answer(call.ident, answer, time.perf_counter())
        finally:
            if len(calls) == 1:
                self._kit.shared.on_cancel.pop(calls[0].ident, None)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._clear_page()

    def _clear_page(self) -> None:
        if not (self._working or self._unsent):
            self._kit.page.ids[self._lane.slot] = 0

    def _write(self, data: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        if self._unsent:
            data = b"".join(self._unsent)
            self._unsent.clear()
            if not self._transport.is_closing():
                self._transport.write(data)
        self._clear_page()

    # --- the outlet of `predictors.calls`

    def answer(self, ident: int, answer: Answer, begun: float) -> None:
        """Sent at the end of the loop's turn."""
        self._write(packed(ident, answer, time.perf_counter() - begun))
        if answer is CANCELLED:
            with self._kit.shared.lock:
                self._kit.shared.cancelled.pop(ident, None)

    async def stream(self, ident: int, status: int, codec: int, head: bytes) -> None:
        """Begins a streamed answer."""
        begin = frame(STREAM, ident, codec=codec, head=head, status=status)  # what raises, first
        grew = asyncio.Event()

        def changed() -> None:
            # Called by the control thread.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(grew.set)

        self._credits[ident] = (self._kit.shared.open_credit(ident, changed), grew)
        self._write(begin)

    async def chunk(self, ident: int, data: bytes) -> None:
        """Waits while there is no credit, or the router does not read."""
        credit, grew = self._credits[ident]
        for at in range(0, len(data), _CHUNK_BYTES):
            part = data[at : at + _CHUNK_BYTES]
            while credit.left <= 0 and not credit.cancelled:
                grew.clear()
                if credit.left <= 0 and not credit.cancelled:
                    await grew.wait()
            await self._writable.wait()
            if credit.cancelled or self._transport.is_closing():
                raise Gone
            self._kit.shared.take(credit, len(part))
            self._write(frame(CHUNK, ident, part))
        # A generator that never waits must not keep the others from the loop.
        await asyncio.sleep(0)

    async def end(self, ident: int, trouble: str) -> None:
        """Ends a streamed answer."""
        self._credits.pop(ident, None)
        self._kit.shared.close_credit(ident)
        self._write(frame(END, ident, trouble.encode(), status=500 if trouble else 0))

    async def settle(self, awaitable: Any) -> Any:
        """Awaits it."""
        return await awaitable

    def background(self, tasks: Any) -> None:
        """On this loop, so that what the predictor keeps for it can be used."""
        task = self._loop.create_task(_told(tasks))
        self._after.add(task)
        task.add_done_callback(self._after.discard)

    def is_cancelled(self, ident: int) -> bool:
        """Whether nobody waits for it."""
        return ident in self._kit.shared.cancelled


async def _told(tasks: Any) -> None:
    try:
        await tasks()
    except Exception as error:  # noqa: BLE001 - it changes no answer; it is in the log
        defect(error, False)


def _new_loop() -> asyncio.AbstractEventLoop:
    uvloop = have("uvloop")
    return uvloop.new_event_loop() if uvloop is not None else asyncio.new_event_loop()
