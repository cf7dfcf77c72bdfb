"""The private door: frames over the app folder's Unix socket.

One `Connection` a client. Requests of plain operations are answered within the read that
brought them; those that wait get a task each, at most `MAX_IN_FLIGHT`. Answers written in one
turn of the loop leave in one `write`. A client that does not read is not read from either, and
its subscriptions overflow on their own (see `spice_engine.events`): nothing here grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

from spice_engine import __version__
from spice_engine.errors import (
    Conflict,
    IncompatibleVersion,
    Overloaded,
    ProtocolError,
    SpiceError,
)
from spice_engine.events import Bus, Delta, Gap, Snapshot, Subscription
from spice_engine.operations import Dispatcher, Operation, internal_error
from spice_engine.protocol import frames
from spice_engine.protocol.messages import (
    PROTOCOL_VERSION,
    Hello,
    Kind,
    Request,
    Subscribe,
    Unsubscribe,
    parse_client_message,
)
from spice_engine.store.disk import storage_error

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 512
BACKLOG = 1024
"""Clients that may wait to be taken in; beyond it `connect` fails with EAGAIN."""
MAX_IN_FLIGHT = 256
"""Requests of one connection that may be under way before it is no longer read."""
MAX_SUBSCRIPTIONS_PER_CONNECTION = 64
PATIENCE = 30.0
"""Seconds a frame may take to arrive whole, and a new client to say hello."""
OLDEST_PROTOCOL = 1


class PrivateDoor:
    """Listens on the socket and keeps the connections."""

    def __init__(self, dispatcher: Dispatcher, bus: Bus, *, started: float | None = None) -> None:
        self.dispatcher = dispatcher
        self.bus = bus
        self.connections: set[Connection] = set()
        self.requests = 0
        self.started = time.time() if started is None else started
        self.draining = False
        self._server: asyncio.AbstractServer | None = None
        self._path: Path | None = None
        self._file: os.stat_result | None = None

    async def listen(self, path: Path) -> None:
        """Open the socket at `path`, mode 0600; a stale one of a dead engine is replaced.

        The caller holds the folder's lock, so nobody else can be listening there.

        Raises:
            StorageError: there can be no socket at `path`.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        previous = os.umask(0o177)  # the file must never be open to others, not for an instant
        try:
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            self._file = path.stat()
        except OSError as error:
            listener.close()
            raise storage_error(error, "open the engine's socket", path) from error
        finally:
            os.umask(previous)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: Connection(self), sock=listener, backlog=BACKLOG
        )
        self._path = path

    async def close(self, *, reason: str, grace: float) -> None:
        """Take no more connections, let requests in flight end, then hang up."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        self._remove_file()
        tasks = [task for connection in self.connections for task in connection.tasks]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in tuple(self.connections):
            connection.hang_up(reason)

    def _remove_file(self) -> None:
        """Remove the socket's file, unless another engine's is there (the folder was removed)."""
        if self._path is None or self._file is None:
            return
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), self._file):
                self._path.unlink()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, door: PrivateDoor) -> None:
        self._door = door
        self._parser = frames.FrameParser()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flush_due = False
        self._paused = False
        self._greeted = False
        self._reading = True
        self._deadline: asyncio.TimerHandle | None = None
        self._subscriptions: dict[int, Subscription] = {}
        self._sequence: dict[int, int] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self.client = ""

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._loop = asyncio.get_running_loop()
        door = self._door
        if len(door.connections) >= MAX_CONNECTIONS:
            self._fail(Overloaded("too many clients are connected.", hint="Close some."))
            return
        door.connections.add(self)
        self._arm("no hello came")

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._door.connections.discard(self)
        for subscription in self._subscriptions.values():
            self._door.bus.unsubscribe(subscription)
        self._subscriptions.clear()
        self._transport = None
        self._out.clear()
        for task in self.tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._parser.feed(data)
            for message in messages:
                self._take(message)
        except ProtocolError as error:
            self._fail(error)
            return
        if messages and self._greeted:
            self._disarm()
        if self._parser.pending and self._deadline is None and self._reading:
            self._arm("a frame did not arrive whole")
        self._mind_reading()

    def pause_writing(self) -> None:
        self._paused = True
        self._mind_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()
        self._mind_reading()

    # -- deadlines and flow

    def _arm(self, why: str) -> None:
        self._deadline = self._loop.call_later(PATIENCE, self._too_late, why)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self, why: str) -> None:
        self._fail(ProtocolError(f"{why} within {PATIENCE:.0f} s."))

    def _mind_reading(self) -> None:
        """Read only while answers can leave and not too much is under way."""
        wanted = not self._paused and len(self.tasks) < MAX_IN_FLIGHT
        if self._transport is None or wanted == self._reading or self._transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
            if self._parser.pending and self._deadline is None:
                self._arm("a frame did not arrive whole")
        else:
            self._transport.pause_reading()
            self._disarm()  # that its rest does not come is our doing

    def _send(self, message: Any) -> None:
        if self._transport is None:
            return
        try:
            data = frames.encode(message)
        except ProtocolError as error:
            log.error("an answer could not be sent: %s", error)
            data = frames.encode([Kind.ERROR, message[1], internal_error(error).as_dict()])
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes > 64 * 1024:
            self._flush()
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._out and self._transport is not None:
            data = b"".join(self._out)
            self._out.clear()
            self._out_bytes = 0
            self._transport.write(data)

    def _fail(self, error: SpiceError) -> None:
        """Say why on id 0 and hang up."""
        if self._transport is not None and not self._transport.is_closing():
            self._send([Kind.ERROR, 0, error.as_dict()])
            self._flush()
            self._transport.close()

    def hang_up(self, reason: str) -> None:
        """End every subscription with the reason, then the connection."""
        for id_ in tuple(self._subscriptions):
            self._send([Kind.END, id_, reason])
        self._flush()
        if self._transport is not None:
            self._transport.close()

    # -- messages

    def _take(self, raw: Any) -> None:
        message = parse_client_message(raw)
        if not self._greeted:
            if not isinstance(message, Hello):
                raise ProtocolError("the first message must be a hello.")
            self._greet(message)
            return
        match message:
            case Request():
                self._request(message)
            case Subscribe():
                self._subscribe(message)
            case Unsubscribe():
                subscription = self._subscriptions.pop(message.id, None)
                self._sequence.pop(message.id, None)
                if subscription is not None:
                    self._door.bus.unsubscribe(subscription)
                elif (task := self._under_way.pop(message.id, None)) is not None:
                    task.cancel()
            case Hello():
                raise ProtocolError("hello was said already.")

    def _greet(self, hello: Hello) -> None:
        if hello.protocol < OLDEST_PROTOCOL:
            self._fail(
                IncompatibleVersion(
                    f"the client speaks protocol {hello.protocol}, this engine "
                    f"{OLDEST_PROTOCOL} to {PROTOCOL_VERSION}.",
                    hint="Update the client.",
                )
            )
            return
        self._greeted = True
        self.client = hello.client
        welcome = {
            "protocol": PROTOCOL_VERSION,
            "engine": __version__,
            "pid": os.getpid(),
            "started": self._door.started,
            "operations": [operation.name for operation in self._door.dispatcher.table],
            "topics": self._door.bus.names,
        }
        self._send([Kind.WELCOME, welcome])

    def _request(self, request: Request) -> None:
        door = self._door
        door.requests += 1
        if door.draining:
            error = Conflict("the engine is stopping.", hint="Try again with the next one.")
            self._send([Kind.ERROR, request.id, error.as_dict()])
            return
        try:
            operation, outcome = door.dispatcher.begin(request.operation, request.params)
        except SpiceError as error:
            self._send([Kind.ERROR, request.id, error.as_dict()])
            return
        except Exception as error:  # noqa: BLE001 - a defect of ours must not end the connection
            self._defect(request, error)
            return
        if not operation.is_async:
            self._send([Kind.RESPONSE, request.id, outcome])
            return
        task = self._loop.create_task(self._finish(request, operation, outcome))
        self.tasks.add(task)
        self._under_way[request.id] = task
        task.add_done_callback(lambda task: self._task_done(request.id, task))
        # Given up before its first step, it would never be begun.
        task.add_done_callback(lambda _: outcome.close())

    def _task_done(self, id_: int, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if self._under_way.get(id_) is task:
            del self._under_way[id_]
        self._mind_reading()

    async def _finish(
        self, request: Request, operation: Operation, outcome: Coroutine[Any, Any, Any]
    ) -> None:
        try:
            result = operation.dump(await outcome)
        except SpiceError as error:
            self._send([Kind.ERROR, request.id, error.as_dict()])
        except asyncio.CancelledError:
            if request.id in self._under_way:  # else the client has given it up
                error = Conflict("the engine is stopping.", hint="Try again with the next one.")
                self._send([Kind.ERROR, request.id, error.as_dict()])
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours must not end the connection
            self._defect(request, error)
        else:
            self._send([Kind.RESPONSE, request.id, result])

    def _defect(self, request: Request, error: Exception) -> None:
        log.error("operation %s failed", request.operation, exc_info=error)
        self._send([Kind.ERROR, request.id, internal_error(error).as_dict()])

    # -- subscriptions

    def _subscribe(self, message: Subscribe) -> None:
        try:
            if message.id in self._subscriptions:
                raise ProtocolError(f"subscription {message.id} is open already.")
            if len(self._subscriptions) >= MAX_SUBSCRIPTIONS_PER_CONNECTION:
                raise Overloaded("too many subscriptions on one connection.")
            subscription = self._door.bus.subscribe(message.topic, self._pump_soon)
        except SpiceError as error:
            self._send([Kind.ERROR, message.id, error.as_dict()])
            return
        self._subscriptions[message.id] = subscription
        self._sequence[message.id] = 0
        self._pump_soon()

    _pump_due = False

    def _pump_soon(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Send what subscriptions hold, until they are empty or the client is behind."""
        self._pump_due = False
        for id_, subscription in tuple(self._subscriptions.items()):
            while not self._paused and self._transport is not None:
                event = subscription.take()
                if event is None:
                    break
                if not isinstance(event, Gap):
                    self._sequence[id_] += 1
                number = self._sequence[id_]
                match event:
                    case Snapshot(data):
                        self._send([Kind.SNAPSHOT, id_, number, data])
                    case Delta(data):
                        self._send([Kind.DELTA, id_, number, data])
                    case Gap(first, last):
                        self._send([Kind.GAP, id_, first, last])
