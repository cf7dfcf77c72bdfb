"""A job folder as the engine sees it: what is to run, what came of it, how to reach its shim."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, cast

from spice_engine.errors import ChildFailed, Conflict, InvalidRequest, NotFound, StorageError
from spice_engine.records import record
from spice_engine.workers import orphans
from spice_runtime import process

_SOCKET_PATH_BYTES = 100
"""A Unix socket's address holds 104 bytes on macOS and 108 on Linux, with its end."""
_PATIENCE_SECONDS = 10.0


@record
class Job:
    """A command for a shim: `argv`, or `shell` (a line for /bin/sh).

    `env` is the whole environment. `cwd` is absolute; the job's folder if empty. `grace_s` is
    the time from SIGTERM to SIGKILL, `timeout_s` stops the command after so long (0: never),
    `log_max_bytes` keeps the first part of the output (0: all), `log_rotate_bytes` begins a new
    log when it is so large (0: never), `limits` is a plan of `spice_engine.workers.limits.plan`.
    `views` are what the command sees of the disk, made by `spice_runtime.views`; `cwd` is in there.
    `ranks` is what `spice_runtime.ranks` is to start, where that is the command.
    """

    argv: tuple[str, ...] = ()
    shell: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str = ""
    grace_s: float = 10.0
    timeout_s: float = 0.0
    log_max_bytes: int = 0
    log_rotate_bytes: int = 0
    nice: int = 0
    limits: Mapping[str, Any] = field(default_factory=dict[str, Any])
    views: tuple[Mapping[str, str], ...] = ()
    ranks: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def as_dict(self) -> dict[str, Any]:
        """The content of `job.json`.

        Raises:
            InvalidRequest: neither or both of `argv` and `shell`, or a null byte in a text.
        """
        if bool(self.argv) == bool(self.shell):
            raise InvalidRequest("a job has either argv or shell")
        texts = (*self.argv, self.shell, self.cwd, *self.env.keys(), *self.env.values())
        if any("\0" in text for text in texts):
            raise InvalidRequest("a command, folder or variable of a job holds a null byte")
        return {
            "version": 1,
            "argv": list(self.argv),
            "shell": self.shell,
            "env": dict(self.env),
            "cwd": self.cwd,
            "grace_s": self.grace_s,
            "timeout_s": self.timeout_s,
            "log_max_bytes": self.log_max_bytes,
            "log_rotate_bytes": self.log_rotate_bytes,
            "nice": self.nice,
            "limits": dict(self.limits),
            "views": [dict(view) for view in self.views],
            **({"ranks": dict(self.ranks)} if self.ranks else {}),
        }


@record
class Exit:
    """How a job ended.

    `reason` is one of exited, signalled, stopped, killed, timeout, out of memory, not started;
    after a signal `exit_code` is 128 + its number. Times are seconds since 1970.
    """

    exit_code: int
    signal: int | None
    reason: str
    message: str
    started: float
    ended: float
    duration_s: float = 0.0
    max_rss_bytes: int = 0
    cpu_s: float = 0.0
    oom_kills: int = 0
    log_bytes: int = 0
    log_dropped: int = 0
    log_error: str = ""
    left_behind: tuple[int, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Exit:
        """Reads what a shim wrote.

        Raises:
            ChildFailed: it does not have that form.
        """
        try:
            usage = cast("dict[str, Any]", data.get("usage") or {})
            return cls(
                exit_code=int(data["exit_code"]),
                signal=None if data["signal"] is None else int(data["signal"]),
                reason=str(data["reason"]),
                message=str(data["message"]),
                started=float(data["started"]),
                ended=float(data["ended"]),
                duration_s=float(data.get("duration_s", 0)),
                max_rss_bytes=int(usage.get("max_rss_bytes", 0)),
                cpu_s=float(usage.get("utime_s", 0)) + float(usage.get("stime_s", 0)),
                oom_kills=int(data.get("oom_kills", 0)),
                log_bytes=int(data.get("log_bytes", 0)),
                log_dropped=int(data.get("log_dropped", 0)),
                log_error=str(data.get("log_error", "")),
                left_behind=tuple(int(pid) for pid in data.get("left_behind", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ChildFailed(f"a shim's exit status is not readable: {error!r}") from error


@record
class NeverStarted:
    """The job was never started, and never will be: its folder is fenced now."""


@record
class Lost:
    """The shim is gone without an exit status (killed, or the machine went down)."""

    message: str


@record
class _Alive:
    """The shim lives but does not answer (yet)."""

    pid: int


def write_job(folder: Path, job: Job) -> None:
    """Makes the folder and its `job.json`. Blocks.

    Raises:
        Conflict: the folder's job was started or fenced before.
        StorageError: it cannot be written.
    """
    body = job.as_dict()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / process.CLAIM).exists():
            raise Conflict(
                f"the job in {folder} was started before", hint="Use a new folder for each job."
            )
        # A power cut may take it: a job without a claim is never started after that.
        process.write_json(str(folder), process.JOB, body, durable=False)
    except OSError as error:
        raise StorageError(f"the job in {folder} cannot be written: {error}") from error


async def settle(folder: Path) -> Exit | NeverStarted | Lost | socket.socket:
    """What became of a job: its end, or a connection to its shim.

    A job that nobody has claimed is fenced, so that it can't start later behind our back. A shim
    that lives but has no socket yet is waited for.

    Raises:
        NotFound: there is no such folder.
        ChildFailed: the shim lives and does not answer for 10 s.
    """
    loop = asyncio.get_running_loop()
    until, delay = loop.time() + _PATIENCE_SECONDS, 0.01
    while True:
        found = await asyncio.to_thread(_look, folder)
        if not isinstance(found, _Alive):
            return found
        if loop.time() > until:
            raise ChildFailed(
                f"the shim of {folder} (process {found.pid}) lives but does not answer",
                hint="If it is stopped, continue it (kill -CONT); if it hangs, kill it.",
            )
        await asyncio.sleep(delay)
        delay = min(2 * delay, 0.5)


def is_claimed(folder: Path) -> bool:
    """Whether a shim (or a fence) has taken the job. Blocks."""
    return (folder / process.CLAIM).exists()


def read_exit(folder: Path) -> Exit | None:
    """The job's end, if it has ended. Blocks."""
    data = process.read_json(str(folder), process.EXIT)
    return None if data is None else Exit.from_dict(data)


def _look(folder: Path) -> Exit | NeverStarted | Lost | socket.socket | _Alive:
    if not folder.is_dir():
        raise NotFound(f"there is no job folder {folder}")
    for _ in range(2):
        if (ended := read_exit(folder)) is not None:
            return ended
        if (sock := _dial(folder)) is not None:
            return sock
        claim = process.read_json(str(folder), process.CLAIM)
        if claim is None:
            if process.claim(str(folder), {"fenced": True}):
                return NeverStarted()
            # A shim was faster than the fence.
            continue
        if claim.get("fenced"):
            return NeverStarted()
        pid = int(claim.get("pid", 0))
        if process.is_alive(pid, claim.get("identity")):
            return _Alive(pid)
        # It may have ended since the first look.
        if (ended := read_exit(folder)) is not None:
            return ended
        orphans.end(folder, claim)
        return Lost(f"the shim of {folder} (process {pid}) is gone and left no exit status")
    return _Alive(0)


def _dial(folder: Path) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A Unix socket connects at once or not at all, so this does not need the loop.
    sock.setblocking(False)
    try:
        path = folder / process.SOCKET
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
            sock.connect(str(path))
        elif sys.platform == "linux":
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                sock.connect(f"/proc/self/fd/{fd}/{process.SOCKET}")
            finally:
                os.close(fd)
        else:
            with tempfile.TemporaryDirectory(prefix="spice-") as short:
                link = Path(short, "s")
                link.symlink_to(folder.absolute(), target_is_directory=True)
                sock.connect(str(link / process.SOCKET))
    except OSError:
        # No socket yet, no one behind it any more, or its line is full: looked at again.
        sock.close()
        return None
    return sock
