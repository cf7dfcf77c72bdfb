"""The engine's end of the spawner: starts it, asks it for shims, replaces it when it died."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import spice_runtime
from spice_engine.errors import ChildFailed
from spice_runtime.process import SOFT_FILES

_HEADER = struct.Struct(">I")
_SCRIPT = Path(spice_runtime.__file__).with_name("spawner.py")
_LEAVE_SECONDS = 5.0


class Spawner:
    """One spawner process at a time, started with the first request, or when it is made ready."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._broken = False
        self.starts = 0

    @property
    def pid(self) -> int:
        """The process now at work, 0 if there is none."""
        return self._process.pid if self._process else 0

    async def request(self, folder: Path, starter: socket.socket) -> None:
        """Asks for a shim of `folder`, whose first connection `starter` becomes.

        The answer comes over that connection; it closes if the spawner dies before the shim is
        forked.

        Raises:
            ChildFailed: no spawner can be started.
        """
        body = json.dumps({"folder": str(folder.absolute())}).encode()
        frame = _HEADER.pack(len(body)) + body
        async with self._lock:
            for _ in range(3):
                sock = await self._working()
                try:
                    await _send(sock, frame, starter)
                    return
                except OSError:
                    self._broken = True
        raise ChildFailed("the spawner of runs dies as soon as it is asked for one")

    async def make_ready(self) -> None:
        """Starts the process, if none is at work.

        Raises:
            ChildFailed: it cannot be started.
        """
        async with self._lock:
            await self._working()

    async def close(self) -> None:
        """Ends the spawner; the shims live on, and the next request starts another one."""
        async with self._lock:
            await self._end()

    async def _working(self) -> socket.socket:
        if self._process is not None and (self._broken or self._process.poll() is not None):
            await self._end()
        if self._sock is None:
            self._sock = await self._start()
        return self._sock

    async def _start(self) -> socket.socket:
        mine, theirs = socket.socketpair()
        mine.setblocking(False)
        start = asyncio.ensure_future(asyncio.to_thread(_start, theirs))
        try:
            # A cancelled caller waits these few milliseconds, too: a process that nobody
            # remembers would be worse.
            await asyncio.shield(start)
        except BaseException as error:
            mine.close()
            await asyncio.wait({start})
            if isinstance(error, OSError):
                raise ChildFailed(f"the spawner of runs cannot be started: {error}") from error
            if start.exception() is None:
                self._process = start.result()
                self._broken = True
            raise
        self._process, self._broken = start.result(), False
        self.starts += 1
        return mine

    async def _end(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self._process is not None:
            await asyncio.to_thread(_collect, self._process)
            self._process = None


def _start(theirs: socket.socket) -> subprocess.Popen[bytes]:
    given = os.environ.get(SOFT_FILES)
    soft_files = {SOFT_FILES: given} if given else {}
    with theirs:
        fd = theirs.fileno()
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SCRIPT), str(fd)],
            pass_fds=(fd,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, **soft_files},
            cwd="/",
            start_new_session=True,
        )


def _collect(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _send(sock: socket.socket, frame: bytes, starter: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            sent = socket.send_fds(sock, [frame], [starter.fileno()])
            break
        except BlockingIOError:
            writable: asyncio.Future[None] = loop.create_future()
            loop.add_writer(sock, _resolve, writable)
            try:
                await writable
            finally:
                loop.remove_writer(sock)
    if sent < len(frame):
        await loop.sock_sendall(sock, frame[sent:])


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
