"""A line of JSON for each request of a server, where its definition asks for it.

The loop only notes what happened; a thread makes the lines and writes them in batches.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from spice_engine.serving.calls import GONE, Call, Endpoint
from spice_engine.serving.lanes import Lane

log = logging.getLogger(__name__)

WRITE_SECONDS = 0.25
ROTATE_BYTES = 64 * 2**20
"""A log of that size becomes `requests.log.1`; the one before it goes."""
MOST_WAITING = 100_000
"""Lines that wait for the disk; more are counted and lost."""


class Noted(NamedTuple):
    """What is known of a request when it is over. Times in seconds, sizes in bytes."""

    time: float
    ident: str
    replica: str
    status: int
    seconds: float
    queue: float
    received: int
    sent: int
    client: str
    tries: int


class RequestLog:
    """The log of one server; made by `RequestLogs`."""

    def __init__(self, path: Path, begin: Callable[[], None]) -> None:
        self.path = path
        self.begin = begin
        """Has it written from now on."""
        self.waiting: list[Noted] = []
        self.lost = 0

    def note(self, noted: Noted) -> None:
        """Take in what happened; on the loop."""
        if len(self.waiting) < MOST_WAITING:
            self.waiting.append(noted)
        else:
            self.lost += 1

    def write(self) -> None:
        """Write what waits. Blocks."""
        lines, self.waiting = self.waiting, []
        lost, self.lost = self.lost, 0
        if not lines and not lost:
            return
        text = "".join(_line(noted) for noted in lines)
        if lost:
            text += json.dumps({"time": time.time(), "lost": lost}) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
                full = file.tell() > ROTATE_BYTES
            if full:
                self.path.rename(self.path.with_name(self.path.name + ".1"))
        except OSError as error:
            # The server is gone with its folder, or the disk is full: requests go on.
            log.debug("%s cannot be written: %s", self.path, error)


class RequestLogs:
    """All request logs; `close` writes what waits."""

    def __init__(self) -> None:
        self._logs: dict[Path, RequestLog] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def of(self, path: Path) -> RequestLog:
        """The log that is kept at a path."""
        found = self._logs.get(path)
        if found is None:
            found = self._logs[path] = RequestLog(path, self._begin)
        return found

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="request logs", daemon=True)
            self._thread.start()

    def forget(self, folder: Path) -> None:
        """The server whose folder it is has gone."""
        for path in [path for path in self._logs if path.parent == folder]:
            del self._logs[path]

    def close(self) -> None:
        """End the thread. Blocks for as long as a write takes."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._closing.wait(WRITE_SECONDS):
            self._write()
        self._write()

    def _write(self) -> None:
        for one in list(self._logs.values()):
            one.write()


class LoggedCall(Call):
    """Stands in for a door's call, and notes how it ends."""

    __slots__ = ("inner", "log", "size", "status")

    def __init__(self, inner: Call, request_log: RequestLog) -> None:
        super().__init__(
            inner.body,
            arrived=inner.arrived,
            deadline=inner.deadline,
            codec=inner.codec,
            head=inner.head,
            request_id=inner.request_id,
        )
        self.inner = inner
        self.log = request_log
        self.size = 0
        self.status = 0

    def client(self) -> str:
        """See `Call`."""
        return self.inner.client()

    def answer(self, status: int, codec: int, head: bytes, body: bytes) -> None:
        """See `Call`."""
        self.size = len(body)
        self.note(status)
        self.inner.done = True
        self.inner.answer(status, codec, head, body)

    def stream(self, status: int, codec: int, head: bytes) -> None:
        """See `Call`."""
        self.status = status
        self.inner.streaming = True
        self.inner.stream(status, codec, head)

    def chunk(self, data: bytes) -> None:
        """See `Call`."""
        self.size += len(data)
        self.inner.chunk(data)

    def end(self, trouble: str) -> None:
        """See `Call`."""
        self.note(self.status)
        self.inner.done = True
        self.inner.end(trouble)

    def note(self, status: int) -> None:
        """It is over."""
        now = time.monotonic()
        lane = self.lane
        replica = lane.link.name.rpartition("/")[2] if isinstance(lane, Lane) else ""
        self.log.note(
            Noted(
                time.time(),
                self.request_id,
                replica,
                status,
                now - self.arrived,
                self.sent - self.arrived if self.sent else now - self.arrived,
                len(self.body),
                self.size,
                self.client(),
                self.tries,
            )
        )


class LoggedEndpoint:
    """An endpoint before another one, which notes every call."""

    __slots__ = ("_inner", "_log")

    def __init__(self, inner: Endpoint, request_log: RequestLog) -> None:
        self._inner = inner
        self._log = request_log
        request_log.begin()

    def submit(self, call: Call) -> None:
        """See `Endpoint`."""
        logged = LoggedCall(call, self._log)
        call.lane = logged
        self._inner.submit(logged)

    def cancel(self, call: Call) -> None:
        """See `Endpoint`."""
        logged = call.lane
        if call.done or not isinstance(logged, LoggedCall):
            return
        call.done = True
        logged.note(GONE)
        self._inner.cancel(logged)

    def credit(self, call: Call, number: int) -> None:
        """See `Endpoint`."""
        if isinstance(call.lane, LoggedCall):
            self._inner.credit(call.lane, number)

    def is_ready(self) -> bool:
        """See `Endpoint`."""
        return self._inner.is_ready()


def _line(noted: Noted) -> str:
    values: dict[str, object] = {
        "time": round(noted.time, 6),
        "id": noted.ident,
        "status": noted.status,
        "ms": round(1000 * noted.seconds, 3),
        "queue_ms": round(1000 * noted.queue, 3),
        "in": noted.received,
        "out": noted.sent,
    }
    if noted.replica:
        values["replica"] = int(noted.replica) if noted.replica.isdecimal() else noted.replica
    if noted.client:
        values["client"] = noted.client
    if noted.tries:
        values["tries"] = noted.tries
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"
