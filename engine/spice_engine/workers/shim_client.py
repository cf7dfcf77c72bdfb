"""The engine's end of one shim's socket: requests, events, and how the job ended."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from spice_engine.errors import ChildFailed, Conflict, Overloaded, SpiceError
from spice_engine.workers.jobs import Exit, Lost, NeverStarted, settle

_HEADER = struct.Struct(">I")
_MAX_MESSAGE_BYTES = 2**20
_MAX_PENDING = 64
_ANSWER_SECONDS = 10.0

Grew = Callable[[int], None]


class JobLost(ChildFailed):
    """A shim died without leaving an exit status."""

    code = "job_lost"


class ShimClient:
    """A connection to the shim of `folder`; made by `ShimHost`, on the running loop.

    If the connection breaks while the shim lives, it is made again, subscriptions included.
    """

    def __init__(self, folder: Path, sock: socket.socket, *, greeted: bool) -> None:
        self.folder = folder
        self.pid = 0
        """The shim's pid."""
        self.child = 0
        """The command's pid; it leads its own session and process group."""
        self.started = 0.0
        self.log_bytes = 0
        self._sock = sock
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._greeting = asyncio.Event()
        self._greeted = greeted
        self._ended = asyncio.Event()
        self._exit: Exit | None = None
        self._failure: ChildFailed | None = None
        self._refusal = ""
        self._on_grew: Grew | None = None
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self._on_end: list[Callable[[ShimClient], object]] = []
        self._task = asyncio.create_task(self._run(), name=f"shim {folder.name}")

    @property
    def exit(self) -> Exit | None:
        """How the job ended, if it did."""
        return self._exit

    async def greeting(self) -> bool:
        """Waits until the shim said that it started the job, or ended; False if it said nothing.

        Raises:
            ChildFailed: no process could be started.
        """
        await self._greeting.wait()
        if self._refusal:
            raise ChildFailed(
                self._refusal, hint="Close something, or raise the limit (ulimit -u)."
            )
        return self._greeted

    async def status(self) -> dict[str, Any]:
        """What the shim says about itself: `running_s`, `log_bytes`, `stopping` and so on."""
        return await self._request("status")

    async def signal(self, number: int) -> None:
        """Sends a signal to the command's whole process group."""
        await self._request("signal", number=number)

    async def stop(self, grace_s: float | None = None) -> None:
        """SIGTERM, and after the grace (default: the job's) SIGKILL. Returns at once."""
        await self._request("stop", **({} if grace_s is None else {"grace_s": grace_s}))

    async def kill(self) -> None:
        """SIGKILL to the command and all it started."""
        await self._request("kill")

    async def subscribe(self, on_grew: Grew) -> None:
        """Calls `on_grew(bytes of the log)` on the loop when the log grows; at most 10 a second."""
        self._on_grew = on_grew
        await self._request("subscribe")

    async def wait(self) -> Exit:
        """The job's end.

        Raises:
            JobLost: the shim died without an exit status.
            ChildFailed: this client was closed, or the shim stopped answering.
        """
        await self._ended.wait()
        if self._exit is None:
            raise self._failure or ChildFailed(f"the connection to {self.folder} was closed")
        return self._exit

    async def ended(self) -> None:
        """Waits until the job's end is known, or that it never will be."""
        await self._ended.wait()

    def on_end(self, callback: Callable[[ShimClient], object]) -> None:
        """Calls back on the loop when `ended` returns; at once if it would."""
        if self._ended.is_set():
            callback(self)
        else:
            self._on_end.append(callback)

    async def close(self) -> None:
        """Ends the connection; the job goes on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._ended.set()
        self._connected.set()
        if self._writer is None:
            # From then on the transport owns it.
            self._sock.close()

    async def _request(self, verb: str, **more: Any) -> dict[str, Any]:
        if len(self._pending) >= _MAX_PENDING:
            raise Overloaded(f"too many requests wait for the shim of {self.folder}")
        # A signal that may have been sent is not sent twice; everything else may be asked again
        # over the next connection.
        attempts = 1 if verb == "signal" else 3
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                while True:
                    attempts -= 1
                    try:
                        message = await self._ask({"do": verb, **more})
                        break
                    except ConnectionError as error:
                        if not attempts:
                            raise ChildFailed(
                                f"the shim of {self.folder} ended the connection"
                            ) from error
        except TimeoutError:
            raise ChildFailed(
                f"the shim of {self.folder} (process {self.pid}) does not answer",
                hint="If it is stopped, continue it (kill -CONT).",
            ) from None
        if not message.get("ok"):
            raise Conflict(f"the shim of {self.folder} refused: {message.get('message')}")
        self._note(message)
        return message

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        await self._connected.wait()
        if self._ended.is_set():
            raise Conflict(f"the job in {self.folder} has ended")
        self._next += 1
        ident = self._next
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[ident] = answer
        try:
            await self._send({"id": ident, **request})
            return await answer
        finally:
            self._pending.pop(ident, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, also when the sending failed first

    async def _send(self, message: dict[str, Any]) -> None:
        if self._writer is None or self._writer.is_closing():
            # The reading side is about to see it, and to connect again.
            self._connected.clear()
            raise ConnectionResetError("the shim ended the connection")
        body = json.dumps(message).encode()
        self._writer.write(_HEADER.pack(len(body)) + body)
        await self._writer.drain()

    async def _run(self) -> None:
        """Reads until the job's end is known, over as many connections as that takes."""
        try:
            while True:
                await self._read_connection()
                if self._exit is not None or not self._greeted:
                    break
                found = await settle(self.folder)
                if isinstance(found, socket.socket):
                    self._sock = found
                elif isinstance(found, Exit):
                    self._exit = found
                    break
                else:
                    self._failure = JobLost(_why(found))
                    break
        except SpiceError as error:
            failed = isinstance(error, ChildFailed)
            self._failure = error if failed else JobLost(error.message, hint=error.hint)
        except OSError as error:
            self._failure = ChildFailed(f"what became of {self.folder} cannot be read: {error}")
        finally:
            self._greeting.set()
            self._ended.set()
            # Who waits for the next connection learns that there will be none.
            self._connected.set()
            self._fail_pending()
            for callback in self._on_end:
                callback(self)

    async def _read_connection(self) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=self._sock)
        self._writer = writer
        self._connected.set()
        try:
            if self._on_grew is not None:
                await self._send({"id": 0, "do": "subscribe"})
            while self._exit is None:
                (length,) = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                if length > _MAX_MESSAGE_BYTES:
                    raise ChildFailed(f"the shim of {self.folder} sent {length} bytes at once")
                self._take(json.loads(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except ValueError as error:
            raise ChildFailed(f"the shim of {self.folder} sent what is not JSON") from error
        finally:
            self._connected.clear()
            self._fail_pending()
            writer.close()

    def _take(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        fields = cast("dict[str, Any]", message)
        match fields.get("event"):
            case "grew":
                self.log_bytes = int(fields["offset"])
                if self._on_grew is not None:
                    self._on_grew(self.log_bytes)
            case "started":
                self._note(fields)
                self._greeted = True
                self._greeting.set()
            case "exit":
                self._exit = Exit.from_dict(fields["exit"])
                self._greeted = True
            case "refused":
                self._refusal = str(fields.get("message"))
            case _:
                answer = self._pending.get(int(fields.get("id") or 0))
                if answer is not None and not answer.done():
                    answer.set_result(fields)

    def _note(self, status: dict[str, Any]) -> None:
        self.pid, self.child = int(status["pid"]), int(status["child"])
        self.started = float(status["started"])
        self.log_bytes = int(status["log_bytes"])

    def _fail_pending(self) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the shim ended the connection"))


def _why(found: Lost | NeverStarted) -> str:
    return found.message if isinstance(found, Lost) else "the job was never started"
