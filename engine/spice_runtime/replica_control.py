"""The control side of a replica: a thread that answers while every worker is busy.

It listens on a socket (the replica itself), or talks over one connection (a forked worker with
the process that forked it). Health is asked in a thread of its own, for it is the user's code.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from spice_runtime import user_metrics
from spice_runtime.predictors.answers import Answer, defect, text
from spice_runtime.replica_metrics import Gathering
from spice_runtime.wire import (
    ANSWER,
    AS_JSON,
    CANCEL,
    CREDIT,
    DRAIN,
    HEADER,
    HEALTH,
    HELLO,
    MAX_PAYLOAD,
    METRICS,
    STATE,
    frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from spice_runtime.replica_page import Page
    from spice_runtime.replica_state import Shared

_MAX_UNSENT = 2**22


class Connection:
    """One peer; frames in, frames out, without blocking."""

    def __init__(self, sock: socket.socket, *, worker: bool) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.worker = worker
        self.inbox = b""
        self.outbox = bytearray()


class Control:
    """The thread. `health` is asked for answers; `busy` and metrics are told by itself."""

    def __init__(self, shared: Shared, page: Page) -> None:
        self._shared = shared
        self._page = page
        self._selector = selectors.DefaultSelector()
        self._connections: list[Connection] = []
        self._listener: socket.socket | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._todo: list[Callable[[], None]] = []
        self._asking: list[tuple[Connection, int]] = []
        self._gathering: dict[int, Gathering] = {}
        self._state: dict[str, Any] = {"state": "loading", "message": "", "predictor": {}}
        self._said = self._state
        self._told = threading.Event()
        self.health: Callable[[], Answer] | None = None
        self.lanes = 0
        self.with_pid = False
        self.on_orphaned: Callable[[], None] | None = None
        # Held while the user's code runs in a thread of ours, so that no fork happens then: his
        # health, his collectors of metrics.
        self.users_code = threading.Lock()
        self.collecting = threading.Lock()

    def listen(self, listener: socket.socket) -> None:
        """Takes connections from a socket that listens."""
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def start(self) -> None:
        """Begins the thread."""
        threading.Thread(target=self._run, name="control", daemon=True).start()

    def abandon(self) -> None:
        """In a forked worker: lets go of what the process that forked it talks through."""
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._listener is not None:
            self._listener.close()
        for connection in self._connections:
            connection.sock.close()

    # --- called by other threads

    def later(self, do: Callable[[], None]) -> None:
        """Has the control thread do something."""
        self._todo.append(do)
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"w")

    def say(self, state: str, message: str = "", predictor: dict[str, Any] | None = None) -> None:
        """Tells the router the replica's state."""
        note = {"state": state, "message": message, "predictor": predictor or {}}

        def tell() -> None:
            self._state = note
            for connection in list(self._connections):
                if not connection.worker:
                    self._send(connection, frame(STATE, 0, json.dumps(note).encode()))
                    self._told.set()

        self._said = note
        self._told.clear()
        self.later(tell)

    def wait_told(self, seconds: float) -> None:
        """Returns when somebody was told the last state, or after so long."""
        self._told.wait(seconds)

    def drain_workers(self) -> None:
        """Has the forked workers end, too; may be called from a signal handler."""
        self.later(lambda: self._forward(frame(DRAIN, 0)))

    def add_worker(self, sock: socket.socket) -> None:
        """Takes the connection to a forked worker."""

        def take() -> None:
            self._adopt(sock, worker=True)

        self.later(take)

    def add_parent(self, sock: socket.socket) -> None:
        """Takes the connection to the process that forked this one."""
        self._adopt(sock, worker=False)

    # --- the thread

    def _run(self) -> None:
        while True:
            wait = 0.1 if self._gathering else None
            for key, events in self._selector.select(wait):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == self._wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                elif key.data in self._connections:
                    self._serve(key.data, events)
            while self._todo:
                self._todo.pop(0)()
            self._end_gatherings()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        connection = self._adopt(sock, worker=False)
        self._send(connection, frame(HELLO, 0, json.dumps(self._state).encode()))
        if self._state is self._said:
            self._told.set()

    def _adopt(self, sock: socket.socket, *, worker: bool) -> Connection:
        connection = Connection(sock, worker=worker)
        self._connections.append(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._selector.unregister(connection.sock)
        connection.sock.close()
        for gathering in self._gathering.values():
            gathering.forget(connection)
        if not connection.worker and self.on_orphaned is not None:
            self.on_orphaned()

    def _serve(self, connection: Connection, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._push(connection)
        if not events & selectors.EVENT_READ or connection not in self._connections:
            return
        try:
            data = connection.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        data = connection.inbox + data
        at = 0
        while len(data) - at >= HEADER.size and connection in self._connections:
            length, kind, _, head, _, _, number, ident = HEADER.unpack_from(data, at)
            if length > MAX_PAYLOAD:
                self._drop(connection)
                return
            end = at + HEADER.size + length
            if len(data) < end:
                break
            body = data[at + HEADER.size + head : end]
            at = end
            self._take(connection, kind, ident, number, body)
        connection.inbox = data[at:]

    def _take(
        self, connection: Connection, kind: int, ident: int, number: int, body: bytes
    ) -> None:
        if kind == CANCEL:
            self._shared.cancel(ident)
            self._forward(frame(CANCEL, ident))
        elif kind == CREDIT:
            self._shared.give(ident, number)
            self._forward(frame(CREDIT, ident, number=number))
        elif kind == HEALTH:
            self._ask_health(connection, ident)
        elif kind == METRICS:
            self._ask_metrics(connection, ident)
        elif kind == DRAIN:
            self._shared.drain()
        elif kind == ANSWER and connection.worker:
            gathering = self._gathering.get(ident)
            if gathering is not None:
                gathering.add(connection, body)

    def _forward(self, data: bytes) -> None:
        for connection in list(self._connections):
            if connection.worker:
                self._send(connection, data)

    # --- health

    def _ask_health(self, connection: Connection, ident: int) -> None:
        if self.health is None:
            self._answer(connection, ident, text(503, str(self._state["state"])))
            return
        # Those that ask while an answer is being made get the same one.
        self._asking.append((connection, ident))
        if len(self._asking) == 1:
            threading.Thread(target=self._make_health, name="health", daemon=True).start()

    def _make_health(self) -> None:
        assert self.health is not None
        with self.users_code:
            try:
                answer = self.health()
            except BaseException as error:  # noqa: BLE001 - those who asked wait for an answer
                answer = defect(error, False)

        def tell() -> None:
            asking, self._asking = self._asking, []
            for connection, ident in asking:
                self._answer(connection, ident, answer)

        self.later(tell)

    # --- metrics

    def _ask_metrics(self, connection: Connection, ident: int) -> None:
        workers = [each for each in self._connections if each.worker]
        gathering = Gathering(connection, ident, workers, time.monotonic())
        self._gathering[gathering.number] = gathering
        for worker in workers:
            self._send(worker, frame(METRICS, gathering.number))

    def _end_gatherings(self) -> None:
        for number, gathering in list(self._gathering.items()):
            if gathering.is_over(time.monotonic()):
                del self._gathering[number]
                self._answer(gathering.asker, gathering.ident, self._metrics(gathering))

    def _metrics(self, gathering: Gathering) -> Answer:
        with self.collecting:
            text = user_metrics.prometheus_text(with_pid=self.with_pid)
        note = gathering.merged(text, user_metrics.values())
        note["busy"] = self._page.busy(self.lanes)
        return Answer(200, AS_JSON, b"", json.dumps(note).encode())

    # --- sending

    def _answer(self, connection: Connection, ident: int, answer: Answer) -> None:
        self._send(
            connection,
            frame(
                ANSWER,
                ident,
                answer.body,
                codec=answer.codec,
                head=answer.head,
                status=answer.status,
            ),
        )

    def _send(self, connection: Connection, data: bytes) -> None:
        if connection not in self._connections:
            return
        connection.outbox += data
        self._push(connection)
        if len(connection.outbox) > _MAX_UNSENT:
            self._drop(connection)

    def _push(self, connection: Connection) -> None:
        try:
            while connection.outbox:
                del connection.outbox[: connection.sock.send(connection.outbox)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(connection)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.outbox else 0)
        if self._selector.get_key(connection.sock).events != wanted:
            self._selector.modify(connection.sock, wanted, connection)
