"""The spawner: a small process that forks shims for the engine, so that the engine never forks.

`python -I -S spawner.py FD`, with FD the end of a stream socket pair. A request is a length (4
bytes, big-endian) and JSON `{"folder": ...}`, sent together with one file descriptor: a socket
that becomes the shim's first connection. The spawner itself answers nothing; if it cannot fork it
says so on that socket. It leaves when the engine's end closes. The shims stay.
"""

from __future__ import annotations

import array
import gc
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

if not __package__:
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from spice_runtime import process, shim
from spice_runtime.shim_command import reset_signals

HEADER = struct.Struct(">I")
_MAX_FDS = 64
_READ_BYTES = 65536


def serve(sock: socket.socket) -> None:
    """Forks a shim for each request, until the other end of the socket closes."""
    reset_signals()
    # The kernel reaps what was forked here: no zombies, and no need to wait for anyone.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # What this loads, no shim has to.
    process.identity(os.getpid())
    # A collection in a shim would otherwise copy every page that it shares with this process.
    gc.collect()
    gc.freeze()
    inbox = bytearray()
    # Bytes and descriptors come in the same order, if not always in the same read.
    starters: deque[int] = deque()
    while True:
        data = _receive(sock, starters)
        if not data:
            return
        inbox += data
        while len(inbox) >= HEADER.size:
            (length,) = HEADER.unpack_from(inbox)
            if len(inbox) < HEADER.size + length:
                break
            request = json.loads(bytes(inbox[HEADER.size : HEADER.size + length]))
            del inbox[: HEADER.size + length]
            with socket.socket(fileno=starters.popleft()) as starter:
                _start(request["folder"], starter, [sock.fileno(), *starters])


def _receive(sock: socket.socket, starters: deque[int]) -> bytes:
    space = socket.CMSG_LEN(_MAX_FDS * array.array("i").itemsize)
    data, ancillary, _, _ = sock.recvmsg(_READ_BYTES, space)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds = array.array("i")
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
            for fd in fds:
                os.set_inheritable(fd, False)
                starters.append(fd)
    return data


def _start(folder: str, starter: socket.socket, others: list[int]) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        with suppress(OSError):
            shim.refuse(starter, f"no process can be started: {error.strerror}")
        return
    if pid == 0:
        # A descriptor kept here would hide the end of another shim, or of the engine.
        for fd in others:
            os.close(fd)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        shim.run_forked(folder, starter)


def main(arguments: list[str]) -> Any:
    """The spawner's process."""
    if len(arguments) != 1 or not arguments[0].isdecimal():
        return "usage: python -I -S spawner.py FD"
    # The engine raised its limit of open files for itself; commands get back what it was given.
    given = os.environ.get(process.SOFT_FILES, "")
    if given.isdecimal():
        with suppress(OSError, ValueError):
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(given), hard))
    sock = socket.socket(fileno=int(arguments[0]))
    sock.set_inheritable(False)
    serve(sock)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
