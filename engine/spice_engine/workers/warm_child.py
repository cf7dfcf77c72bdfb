"""One warm child as the engine sees it: its process, its socket, and the one call it has."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spice_engine.errors import ChildFailed, ProtocolError, StorageError
from spice_engine.protocol.frames import FrameParser, encode
from spice_engine.workers.child import FD_VARIABLE, MEMORY_VARIABLE, NICE_VARIABLE
from spice_engine.workers.failures import from_wire

_READ_BYTES = 2**18
_END_SECONDS = 5.0
_TAIL_BYTES = 2048
_TAIL_LINES = 3
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
_PASSED_VARIABLES = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_PASSED_PREFIXES = ("LC_", "XDG_", "NUMBA_", "CUDA", "NVIDIA_", "POLARS_")

# Starting a process takes a few milliseconds, so it is done off the loop. By one thread that
# lives as long as the engine: PR_SET_PDEATHSIG, which the children set, means this thread.
_starter = ThreadPoolExecutor(1, "child-starter")


@dataclass(slots=True)
class _Call:
    ident: int
    method: str
    answer: asyncio.Future[Any]
    on_progress: Callable[[Any], None] | None
    fault: Exception | None = None


class WarmChild:
    """A child, from its start to its end. `alive` says that it can be given a call."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.pid = 0
        self.alive = False
        self.retired = False
        self.about: dict[str, Any] = {}
        """What the child said when it got ready: `pid`, `methods`, `warm_s`."""
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._killed = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._call: _Call | None = None
        self._calls = 0

    async def call(
        self, method: str, params: dict[str, Any], on_progress: Callable[[Any], None] | None
    ) -> Any:
        """Gives the child a call and waits for its answer.

        If the caller is cancelled the call goes on in the child: see `cancel`.

        Raises:
            ProtocolError: the parameters have no form, or are too large for a frame.
            ChildFailed: the child died.
            SpiceError: what the child raised.
        """
        self._calls += 1
        frame = encode(["call", self._calls, method, params])
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._call = _Call(self._calls, method, answer, on_progress)
        self._free.clear()
        if not self.alive:
            self._end_call(ChildFailed(f"the {self.name} died before it was asked for {method!r}"))
        self._send(frame)
        return await answer

    async def cancel(self, seconds: float) -> bool:
        """Tells the child to stop its call; whether it did within `seconds`."""
        if self._call is not None:
            self._send(encode(["cancel", self._call.ident]))
        try:
            async with asyncio.timeout(seconds):
                await self._free.wait()
        except TimeoutError:
            return False
        return self.alive

    def kill(self) -> None:
        """SIGKILL, at once."""
        self.alive = False
        self._killed = True
        if self._process is not None:
            self._process.kill()

    def retire(self) -> None:
        """Closes the socket; a child with nothing to do leaves then."""
        self.retired = True
        self.alive = False
        if self._writer is not None:
            self._writer.close()

    async def gone(self) -> None:
        """Waits for the child's end."""
        await self._gone.wait()

    async def started(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        """Takes over a process just started, and waits until it is ready."""
        self._process, self.pid = process, process.pid
        if self._killed:
            process.kill()
        reader, self._writer = await asyncio.open_unix_connection(sock=sock)
        self._reading = asyncio.create_task(self._read(process, reader, self._writer))
        await self._ready

    def not_started(self) -> None:
        """There is no process, so the child is gone."""
        self._gone.set()

    async def _read(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        parser = FrameParser()
        fault = ""
        try:
            while data := await reader.read(_READ_BYTES):
                for message in parser.feed(data):
                    self._take(message)
        except ProtocolError as error:
            fault = f" It sent what is not the protocol: {error}"
            process.kill()
        except ConnectionError:
            # It died with something of ours unread.
            pass
        finally:
            self.alive = False
            writer.close()
            status, words = await asyncio.to_thread(_collect, process, self.log)
            error = ChildFailed(self._epitaph(status) + fault, hint=_last_words(words, self.log))
            if not self._ready.done():
                self._ready.set_exception(error)
            self._end_call(error)
            self._gone.set()

    def _send(self, frame: bytes) -> None:
        # Not drained: one call at a time bounds what is buffered. What cannot be sent any more
        # needs no error of its own, for the reading side is about to see the child's end.
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame)

    def _take(self, message: Any) -> None:
        call = self._call
        match message:
            case ["ready", dict()]:
                self.about = message[1]
                self.alive = not self._killed
                if not self._ready.done():
                    self._ready.set_result(None)
            case ["progress", int(ident), data] if call is not None and call.ident == ident:
                self._progress(call, data)
            case ["result", int(ident), value] if call is not None and call.ident == ident:
                self._end_call(None, value)
            case ["error", int(ident), wire] if call is not None and call.ident == ident:
                self._end_call(from_wire(wire))
            case ["cancelled", int(ident)] if call is not None and call.ident == ident:
                self._end_call(ChildFailed(f"the {self.name} was told to stop {call.method!r}"))
            case _:
                raise ProtocolError(f"an unknown message: {message!r:.200}")

    def _progress(self, call: _Call, data: Any) -> None:
        if call.on_progress is None or call.answer.done() or call.fault is not None:
            return
        try:
            call.on_progress(data)
        except Exception as error:  # noqa: BLE001 - the caller's own fault goes back to the caller
            call.fault = error
            self._send(encode(["cancel", call.ident]))

    def _end_call(self, error: Exception | None, value: Any = None) -> None:
        call, self._call = self._call, None
        self._free.set()
        if call is None or call.answer.done():
            return
        if call.fault is not None or error is not None:
            call.answer.set_exception(call.fault or error or ChildFailed("no answer"))
        else:
            call.answer.set_result(value)

    def _epitaph(self, status: int) -> str:
        if status < 0:
            with suppress(ValueError):
                status_text = f"was ended by {signal.Signals(-status).name}"
                return f"the {self.name} (process {self.pid}) {status_text}{self._while()}."
        return f"the {self.name} (process {self.pid}) left with exit code {status}{self._while()}."

    def _while(self) -> str:
        if self._call is not None:
            return f" while it did {self._call.method!r}"
        return "" if self._ready.done() else " before it was ready"


async def start_child(
    child: WarmChild,
    module: str,
    *,
    env: Mapping[str, str],
    threads: int,
    memory_bytes: int,
    nice: int,
) -> None:
    """Starts the process of `child` and waits until it is ready.

    Raises:
        ChildFailed: it cannot be started, or died before it was ready.
        StorageError: its log cannot be written.
    """
    mine, theirs = socket.socketpair()
    mine.setblocking(False)
    variables = _environment(threads)
    variables |= env
    variables[NICE_VARIABLE] = str(nice)
    if memory_bytes:
        variables[MEMORY_VARIABLE] = str(memory_bytes)
    loop = asyncio.get_running_loop()
    start = loop.run_in_executor(_starter, _popen, module, theirs, child.log, variables)
    try:
        await asyncio.shield(start)
    except asyncio.CancelledError:
        # A process that nobody remembers would be worse than the few milliseconds.
        await asyncio.wait({start})
        mine.close()
        if start.exception() is None:
            process = start.result()
            process.kill()
            await asyncio.to_thread(process.wait)
        child.not_started()
        raise
    except OSError as error:
        mine.close()
        child.not_started()
        if error.filename == str(child.log.parent) or error.filename == str(child.log):
            raise StorageError(f"the log {child.log} cannot be written: {error}") from error
        raise ChildFailed(f"a {child.name} cannot be started: {error}") from error
    await child.started(start.result(), mine)


def _popen(
    module: str, theirs: socket.socket, log: Path, variables: dict[str, str]
) -> subprocess.Popen[bytes]:
    with theirs:
        log.parent.mkdir(parents=True, exist_ok=True)
        fd = theirs.fileno()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        output = os.open(log, flags, 0o600)
        try:
            return subprocess.Popen(
                [sys.executable, "-I", "-u", "-m", module],
                pass_fds=(fd,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**variables, FD_VARIABLE: str(fd)},
                # The terminal's signals are the engine's business.
                start_new_session=True,
            )
        finally:
            os.close(output)


def _environment(threads: int) -> dict[str, str]:
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_VARIABLES or name.startswith(_PASSED_PREFIXES)
    }
    return {**passed, **dict.fromkeys(_THREAD_VARIABLES, str(threads))}


def _collect(process: subprocess.Popen[bytes], log: Path) -> tuple[int, str]:
    try:
        status = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        lines = []
    return status, " | ".join([line.strip() for line in lines if line.strip()][-_TAIL_LINES:])


def _last_words(words: str, log: Path) -> str:
    return f"Its last lines: {words}" if words else f"Its log is {log}."
