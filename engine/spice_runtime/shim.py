"""The shim: runs one command, keeps its log and exit status, and outlives the engine.

`python -I -S shim.py FOLDER`, or forked by the spawner. The folder holds `job.json`:

    argv       the command, or `shell`: a line for /bin/sh
    env        its whole environment          cwd      its folder (default: the job's)
    grace_s    from SIGTERM to SIGKILL        timeout_s  stop after so long (0: never)
    log_max_bytes  (0: no limit)              nice     added to the niceness
    log_rotate_bytes  a log so large is set aside, and a new one begun (0: never)
    limits     a plan of `spice_engine.workers.limits`
    views      what the command sees of the disk, see `spice_runtime.views`

It claims the folder, so that a job is started once at most; writes `shim.json` when the command
runs, `logs.txt` with `logs.txt.idx`, and at the end `exit.json`. On `shim.sock` it answers
`status`, `signal` (number), `stop` (grace_s), `kill` and `subscribe`: a subscriber is told
`grew` (at most ten times a second, the newest size wins) and `exit`.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

if not __package__:
    # Run by its path, with nothing installed. At the end, so that nothing can hide the stdlib.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from spice_runtime import process
from spice_runtime.shim_command import CannotStart, Command, outcome, reset_signals, usage
from spice_runtime.shim_door import HEADER, Client, Door
from spice_runtime.shim_limits import LimitGroups
from spice_runtime.shim_log import LogWriter

VERSION = 1
_CHUNK = 65536
_READS_A_TURN = 8
_GREW_SECONDS = 0.1
_LEFT_GRACE_SECONDS = 0.5
_KILL_SECONDS = 10.0
_TICK_SECONDS = 0.02
_CLOSE_SECONDS = 0.5
_DISK_RETRY_SECONDS = 1.0
_SLEEP_SECONDS = 3600.0


class Shim:
    """One job from its claim to its exit status; the working directory is the job's folder."""

    def __init__(self, job: dict[str, Any], starter: socket.socket | None) -> None:
        self._job = job
        self._selector = selectors.DefaultSelector()
        self._door = Door(self._selector, process.SOCKET, self._answer)
        self._starter = self._door.adopt(starter) if starter is not None else None
        self._log = LogWriter(
            process.LOG, int(job.get("log_max_bytes") or 0), int(job.get("log_rotate_bytes") or 0)
        )
        self._limits = LimitGroups(job.get("limits") or {})
        self._command: Command | None = None
        self._started = time.time()
        self._began = time.monotonic()
        self._reason = ""
        self._kill_at = 0.0
        self._stop_at = 0.0
        self._grew_at = 0.0
        self._exit: dict[str, Any] | None = None

    def run(self) -> None:
        """Runs the command to its end, and clears up after it."""
        self._watch_signals()
        try:
            try:
                self._limits.make()
            except OSError as error:
                raise CannotStart(f"cannot set its limits: {error}", 126) from error
            self._command = Command(self._job, self._limits)
        except CannotStart as error:
            self._log.say(str(error))
            self._finish(error.exit_code, None, "not started", str(error), [])
            return
        self._tell_started(self._command)
        self._selector.register(self._command.output, selectors.EVENT_READ, self._read_output)
        timeout = float(self._job.get("timeout_s") or 0)
        self._stop_at = self._began + timeout if timeout > 0 else 0.0
        while self._command.status is None:
            self._turn(self._command)
        left = self._clear_up(self._command)
        self._read_rest(self._command)
        kills = self._limits.oom_kills()
        self._finish(*outcome(self._command.status, self._reason, kills), left)

    def _turn(self, command: Command) -> None:
        for key, events in self._selector.select(self._next_moment()):
            key.data(events)
        now = time.monotonic()
        if self._stop_at and now >= self._stop_at:
            self._stop_at = 0.0
            self._stop_if_allowed("timeout")
        if self._kill_at and now >= self._kill_at:
            # Again at the next tick, for a group may fork faster than one signal reaches it.
            self._kill_at = now + _TICK_SECONDS
            with suppress(PermissionError):
                command.signal(signal.SIGKILL)
        self._tell_grown()
        self._door.drop_stalled()
        command.reap()

    def _next_moment(self) -> float | None:
        moments = [moment for moment in (self._stop_at, self._kill_at) if moment]
        # One that does not read is not waited for: the selector says when it does.
        if any(self._wants_size(client) for client in self._subscribers()):
            moments.append(self._grew_at)
        if any(client.outbox for client in self._door.clients):
            moments.append(time.monotonic() + 1.0)
        # Bounded, for epoll takes no more than 24 days at once.
        return min(max(0.0, min(moments) - time.monotonic()), _SLEEP_SECONDS) if moments else None

    def _clear_up(self, command: Command) -> list[int]:
        """Ends what the command left behind; gives the pids that nothing could end."""
        now = time.monotonic()
        # A stop that is under way promised its own grace to all of them.
        kill_at = self._kill_at or now + _LEFT_GRACE_SECONDS
        give_up = max(now, kill_at) + _KILL_SECONDS
        told = False
        while command.reap():
            now = time.monotonic()
            if now >= give_up:
                return command.left() or [-1]
            if now >= kill_at:
                command.end_left(signal.SIGKILL)
            elif not told:
                told = True
                command.end_left(signal.SIGTERM)
            for key, events in self._selector.select(_TICK_SECONDS):
                key.data(events)
        return []

    def _finish(
        self, exit_code: int, number: int | None, reason: str, message: str, left: list[int]
    ) -> None:
        """Writes the exit status, then tells it, then leaves."""
        oom_kills = self._limits.oom_kills()
        self._limits.remove()
        self._log.close()
        self._exit = {
            "version": VERSION,
            "exit_code": exit_code,
            "signal": number,
            "reason": reason,
            "message": message,
            "started": self._started,
            "ended": time.time(),
            "duration_s": time.monotonic() - self._began,
            "usage": usage(),
            "oom_kills": oom_kills,
            "log_bytes": self._log.size,
            "log_dropped": self._log.dropped,
            "log_error": self._log.error,
            "left_behind": left,
        }
        self._write_exit(self._exit)
        told = self._subscribers()
        if self._starter is not None and self._starter not in told:
            told.append(self._starter)
        for client in told:
            self._door.send(client, {"event": "exit", "exit": self._exit})
        self._door.close(_CLOSE_SECONDS)

    def _write_exit(self, value: dict[str, Any]) -> None:
        """A full disk is waited out: until then the socket is where the status is kept."""
        while True:
            try:
                process.write_json(".", process.EXIT, value, durable=True)
                return
            except FileNotFoundError:
                # The folder was removed; nobody will look for it.
                return
            except OSError:
                until = time.monotonic() + _DISK_RETRY_SECONDS
                while time.monotonic() < until:
                    for key, events in self._selector.select(_TICK_SECONDS * 5):
                        key.data(events)

    def _tell_started(self, command: Command) -> None:
        note = {
            "version": VERSION,
            **process.own_note(),
            "child": command.pid,
            "child_identity": process.identity(command.pid),
            "output_inode": os.fstat(command.output).st_ino,
            "started": self._started,
        }
        # Pids mean nothing after a power cut, and a full disk must not end the command.
        with suppress(OSError):
            process.write_json(".", process.SHIM, note, durable=False)
        if self._starter is not None:
            self._door.send(self._starter, {"event": "started", **self._status()})

    def _status(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "child": self._command.pid if self._command else 0,
            "started": self._started,
            "running_s": time.monotonic() - self._began,
            "log_bytes": self._log.size,
            "log_dropped": self._log.dropped,
            "stopping": bool(self._kill_at),
            "exit": self._exit,
        }

    def _answer(self, client: Client, request: dict[str, Any]) -> None:
        verb = request.get("do")
        answer: dict[str, Any] = {"id": request.get("id"), "ok": True}
        try:
            if verb == "signal":
                self._signal(int(request["number"]))
            elif verb == "stop":
                self._stop("stopped", float(request.get("grace_s", self._job.get("grace_s") or 0)))
            elif verb == "kill":
                self._stop("killed", 0.0)
            elif verb == "subscribe":
                client.subscribed = True
            elif verb != "status":
                raise ValueError(f"unknown request {verb!r}")
            answer.update(self._status())
        except (KeyError, TypeError, ValueError, OSError) as error:
            answer = {"id": request.get("id"), "ok": False, "message": str(error)}
        self._door.send(client, answer)

    def _signal(self, number: int) -> None:
        if number not in signal.valid_signals():
            raise ValueError(f"there is no signal {number}")
        if self._command is not None:
            self._command.signal(number)

    def _stop(self, reason: str, grace: float) -> None:
        """Ends the command: at once without grace, and never later than an earlier stop said.

        Raises:
            PermissionError: all of it runs as another user by now (sudo).
        """
        if self._command is None or self._command.status is not None:
            return
        self._reason = self._reason or reason
        first = not self._kill_at
        kill_at = time.monotonic() + max(0.0, grace)
        self._kill_at = kill_at if first else min(self._kill_at, kill_at)
        if first and grace > 0:
            self._command.terminate()

    def _stop_if_allowed(self, reason: str) -> None:
        """Stops the command with the job's grace; one that may not be signalled is waited for."""
        with suppress(PermissionError):
            self._stop(reason, float(self._job.get("grace_s") or 0))

    def _subscribers(self) -> list[Client]:
        return [client for client in self._door.clients if client.subscribed]

    def _wants_size(self, client: Client) -> bool:
        # The newest size wins: nothing is queued behind what a client has not read.
        return client.told_offset != self._log.size and not client.outbox

    def _tell_grown(self) -> None:
        now = time.monotonic()
        if now < self._grew_at:
            return
        size = self._log.size
        for client in self._subscribers():
            if self._wants_size(client):
                client.told_offset = size
                self._door.send(client, {"event": "grew", "offset": size})
                self._grew_at = now + _GREW_SECONDS

    def _read_output(self, events: int) -> None:
        assert self._command is not None
        # Bounded, so that a flood keeps no request waiting.
        for _ in range(_READS_A_TURN):
            try:
                data = os.read(self._command.output, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                # The command closed its output, and may go on.
                self._selector.unregister(self._command.output)
                return
            self._log.write(data)

    def _read_rest(self, command: Command) -> None:
        # All writers are gone, so this is what the pipe still holds. Bounded all the same, in
        # case the pipe was handed to a process outside.
        for _ in range(64):
            try:
                data = os.read(command.output, _CHUNK)
            except BlockingIOError:
                break
            if not data:
                break
            self._log.write(data)
        if command.output in self._selector.get_map():
            self._selector.unregister(command.output)
        os.close(command.output)

    def _watch_signals(self) -> None:
        """A dead child wakes the loop; SIGTERM to the shim stops the command with its grace."""
        wake, waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

        def woken(_events: int) -> None:
            try:
                numbers = os.read(wake, 4096)
            except BlockingIOError:
                return
            if signal.SIGTERM in numbers:
                self._stop_if_allowed("stopped")

        self._selector.register(wake, selectors.EVENT_READ, woken)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, _only_wake)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)


def main(folder: str, starter: socket.socket | None = None) -> int:
    """Runs the job of a folder unless it is claimed. `starter` is a connection to who asked.

    Gives the exit code of the shim itself: 0 done, 1 claimed by another, 2 no usable job.
    """
    os.chdir(folder)
    if not process.claim(".", process.own_note()):
        return 1
    try:
        job = process.read_json(".", process.JOB)
        if not job or not (job.get("argv") or job.get("shell")):
            now = time.time()
            message = f"{process.JOB} is missing, or has neither argv nor shell"
            broken = {
                **{"version": VERSION, "exit_code": 126, "signal": None, "reason": "not started"},
                **{"message": message, "started": now, "ended": now, "usage": usage()},
            }
            process.write_json(".", process.EXIT, broken, durable=True)
            return 2
        Shim(job, starter).run()
    except BaseException:
        # There is no terminal and no parent to see it.
        with open(process.SHIM_LOG, "a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
        raise
    return 0


def run_forked(folder: str, starter: socket.socket) -> NoReturn:
    """What a freshly forked process does to become the shim of a folder; never returns."""
    code = 70
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        os.close(nothing)
        code = main(folder, starter)
    except OSError as error:
        # The disk is full, or the folder is gone. Who asked may be, too.
        with suppress(OSError):
            refuse(starter, f"the shim of {folder} failed: {error}")
    finally:
        os._exit(code)


def refuse(starter: socket.socket, message: str) -> None:
    """Tells who asked for a shim that there will be none."""
    body = json.dumps({"event": "refused", "message": message}).encode()
    starter.sendall(HEADER.pack(len(body)) + body)


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    """A handler, so that the signal comes through the wake-up descriptor."""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -I -S shim.py FOLDER")
    reset_signals()
    sys.exit(main(sys.argv[1]))
