"""The child's side of a warm worker: serves calls that come over a socket, one at a time.

A worker's module ends with `if __name__ == "__main__": serve({"train": train}, warm=warm)` and is
started by `spice_engine.workers.pool` as `python -I -m <module>`. The main thread runs the
handlers; a second thread reads the socket, so that a cancellation is seen, and the end of the
engine is, while a handler computes.

The engine sends `["call", id, method, params]` and `["cancel", id]`; the child answers
`["ready", {...}]` once, then `["progress", id, data]` and one `["result", id, value]` or
`["error", id, wire]` (see `failures`) or `["cancelled", id]` per call.
"""

from __future__ import annotations

import os
import queue
import resource
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol, cast

from spice_engine.errors import ProtocolError
from spice_engine.protocol.frames import FrameParser, encode
from spice_engine.workers.failures import to_wire

FD_VARIABLE = "SPICE_CHILD_FD"
MEMORY_VARIABLE = "SPICE_CHILD_MEMORY"
NICE_VARIABLE = "SPICE_CHILD_NICE"
MAX_LOG_BYTES = 2**20
"""A child's log is emptied when it grows over this."""
_LOG_CHECK_SECONDS = 1.0
_READ_BYTES = 2**16
_MAX_WAITING_CALLS = 16


class Cancelled(Exception):
    """The engine no longer wants the answer; raised by `Report.check`."""


class Report(Protocol):
    """What a handler is given to talk to its caller while it works."""

    @property
    def cancelled(self) -> bool:
        """Whether the caller no longer wants the answer."""
        ...

    def report(self, data: Any) -> None:
        """Sends progress: what msgpack has a form for, which NumPy's scalars are not."""
        ...

    def check(self) -> None:
        """Raises `Cancelled` if the caller no longer wants the answer; cheap in any loop."""
        ...


Handler = Callable[[dict[str, Any], Report], Any]


class LocalReport:
    """A `Report` for calling a handler in this very process (benches, tests)."""

    def __init__(self, on_progress: Callable[[Any], None] | None = None) -> None:
        self._on_progress = on_progress
        self.cancelled = False

    def report(self, data: Any) -> None:
        if self._on_progress is not None:
            self._on_progress(data)

    def check(self) -> None:
        if self.cancelled:
            raise Cancelled


class _Call:
    """One call in hand: its `Report`."""

    def __init__(self, door: _Door, ident: int, method: str, params: dict[str, Any]) -> None:
        self._door = door
        self.ident = ident
        self.method = method
        self.params = params
        self.cancelled = False

    def report(self, data: Any) -> None:
        self._door.send(["progress", self.ident, data])

    def check(self) -> None:
        if self.cancelled:
            raise Cancelled


class _Door:
    """The socket to the engine: a reading thread, and sending from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._waiting: queue.Queue[_Call] = queue.Queue(_MAX_WAITING_CALLS)

    def start(self) -> None:
        threading.Thread(target=self._read_until_end, name="socket", daemon=True).start()

    def next_call(self) -> _Call:
        return self._waiting.get()

    def answered(self, call: _Call) -> None:
        self._calls.pop(call.ident, None)

    def send(self, message: list[Any]) -> None:
        """Sends one message; blocks while the engine does not read.

        Raises:
            ProtocolError: the message has no form, or is too large for a frame.
        """
        frame = encode(message)
        with self._sending:
            try:
                self._sock.sendall(frame)
            except OSError:
                # Nobody is left who could want the rest of the work.
                os._exit(0)

    def _read_until_end(self) -> None:
        parser = FrameParser()
        try:
            while data := self._receive():
                for message in parser.feed(data):
                    self._take(message)
        except OSError:
            os._exit(0)
        except (ProtocolError, queue.Full) as error:
            sys.stderr.write(f"the engine sent what is not the protocol: {error!r}\n")
            _flush_output()
            os._exit(2)
        # The engine is gone. A handler may be deep in a computation that nobody waits for.
        os._exit(0)

    def _receive(self) -> bytes:
        while self._calls:
            if select.select([self._sock], [], [], _LOG_CHECK_SECONDS)[0]:
                break
            trim_log()
        return self._sock.recv(_READ_BYTES)

    def _take(self, message: Any) -> None:
        match message:
            case ["call", int(ident), str(method), dict()]:
                params = cast("list[Any]", message)[3]
                call = _Call(self, ident, method, cast("dict[str, Any]", params))
                self._calls[ident] = call
                self._waiting.put_nowait(call)
            case ["cancel", int(ident)]:
                if call := self._calls.get(ident):
                    call.cancelled = True
            case _:
                raise ProtocolError(f"an unknown message: {message!r:.200}")


def serve(handlers: Mapping[str, Handler], *, warm: Callable[[], None] | None = None) -> None:
    """Serves calls until the engine closes the socket; never returns.

    `warm` runs before the child says that it is ready: imports and compilation belong there.
    A handler gets the parameters and a `Report`. A `SpiceError` that it raises is raised again in
    the engine as the same class; any other exception becomes a `ChildFailed`, and the child stays.
    """
    sock = _socket_from_environment()
    _settle_in()
    began = time.perf_counter()
    if warm is not None:
        warm()
    door = _Door(sock)
    door.start()
    seconds = time.perf_counter() - began
    door.send(["ready", {"pid": os.getpid(), "methods": sorted(handlers), "warm_s": seconds}])
    while True:
        call = door.next_call()
        answer = _answer(call, handlers)
        door.answered(call)
        _flush_output()
        try:
            door.send(answer)
        except ProtocolError as error:
            door.send(["error", call.ident, to_wire(error, doing=call.method)])
        # A result may be large; it is not kept until the next call.
        del call, answer
        trim_log()


def trim_log(limit: int = MAX_LOG_BYTES) -> None:
    """Empties this child's log if it grew over `limit` bytes; its file is opened for appending."""
    with suppress(OSError):
        if os.fstat(2).st_size > limit:
            os.ftruncate(2, 0)
            os.write(2, b"(this log grew over its limit and was emptied)\n")


def _answer(call: _Call, handlers: Mapping[str, Handler]) -> list[Any]:
    handler = handlers.get(call.method)
    try:
        if handler is None:
            raise ProtocolError(f"this child has no method {call.method!r}")
        call.check()
        return ["result", call.ident, handler(call.params, call)]
    except Cancelled:
        return ["cancelled", call.ident]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a handler's fault must reach its caller, whatever it is
        # On a full disk there is no log to write to; the caller is answered all the same.
        with suppress(OSError, ValueError):
            traceback.print_exc()
        return ["error", call.ident, to_wire(error, doing=call.method)]


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def _socket_from_environment() -> socket.socket:
    text = os.environ.pop(FD_VARIABLE, "")
    if not text.isdecimal():
        raise SystemExit(
            f"This is a worker of the engine, not a command: {FD_VARIABLE} is not set."
        )
    sock = socket.socket(fileno=int(text))
    sock.set_inheritable(False)
    return sock


def _settle_in() -> None:
    """Low priority, no signals of the terminal, bounded memory, and no life without the engine."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(int(os.environ.pop(NICE_VARIABLE, "10")))
    if limit := os.environ.pop(MEMORY_VARIABLE, ""):
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
    # Nothing of a crash may fill the disk.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        # PR_SET_PDEATHSIG: the closing socket is the usual sign, but a handler that holds the GIL
        # in a long call keeps the reading thread from seeing it.
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)
