"""One command and all it leaves behind: starting, signalling, reaping."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from spice_runtime import process, views
from spice_runtime.shim_limits import LimitGroups

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _load_prctl() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes

        return ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None


# At import time, so that the spawner pays for it once and the shims get it with the fork.
_prctl = _load_prctl()


class CannotStart(Exception):
    """The command could not be started; `exit_code` is 127 (not found) or 126 (anything else)."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Command:
    """A running command in its own session, its output in a pipe.

    `output` is the pipe's end for reading, non-blocking. `status` is the wait status of the
    command itself once it ended, else None. On Linux every orphan of the command is handed to
    this process (subreaper), so that `left` and `end_left` reach what left its group, too. All of
    them carry a mark, by which the engine finds them when this process is killed.
    """

    def __init__(self, job: dict[str, Any], limits: LimitGroups) -> None:
        self._limits = limits
        self._subreaper = _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        self.status: int | None = None
        output, child_output = os.pipe()
        trouble, child_trouble = os.pipe()
        env = {**job.get("env", {}), process.MARK: process.mark_of(process.own_note())}
        self.pid = os.fork()
        if self.pid == 0:
            _become({**job, "env": env}, limits, child_output, child_trouble)
        os.close(child_output)
        os.close(child_trouble)
        os.set_blocking(output, False)
        self.output = output
        with open(trouble, "rb") as pipe:
            said = pipe.read()
        if said:
            os.waitpid(self.pid, 0)
            os.close(output)
            message, exit_code = json.loads(said)
            raise CannotStart(message, exit_code)

    def signal(self, number: int) -> None:
        """Signals the command's whole group; nothing once it ended.

        Raises:
            PermissionError: nothing of the group may be signalled by this user.
        """
        if self.status is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM to the whole group, and SIGCONT, for what is stopped could not see it."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def reap(self) -> bool:
        """Collects all that ended; False once no child, grandchild or orphan is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return bool(self._limits.members()) or self._group_lives()
            if pid == 0:
                return True
            if pid == self.pid:
                self.status = status

    def end_left(self, number: int) -> None:
        """Signals what is left after the command ended. After SIGKILL, `reap` and call again:
        the children of what was killed become children of this process."""
        for pid in _children() if self._subreaper else []:
            # They cannot be others by now: only this process could have reaped them. One that
            # runs as another user (sudo) cannot be ended, and is reported as left behind.
            with suppress(PermissionError):
                os.kill(pid, number)
        if not self._subreaper and self._group_lives():
            os.killpg(self.pid, number)
        if number == signal.SIGKILL:
            self._limits.kill()

    def left(self) -> list[int]:
        """The pids of what is left, as far as they can be known."""
        return sorted(self._limits.members().union(_children() if self._subreaper else ()))

    def _group_lives(self) -> bool:
        if self._subreaper:
            return False
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def outcome(status: int, reason: str, oom_kills: int) -> tuple[int, int | None, str, str]:
    """A wait status as exit code, signal, reason and message; `reason` is why it was stopped."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if oom_kills and number == signal.SIGKILL:
            message = "killed by the kernel, for it used more memory than its limit"
            return 128 + number, number, "out of memory", message
        return 128 + number, number, reason or "signalled", f"ended by {_signal_name(number)}"
    code = os.WEXITSTATUS(status)
    # A shell says so when the kernel killed what it had started.
    if oom_kills and code == 128 + signal.SIGKILL:
        return code, None, "out of memory", "a process of it used more memory than the limit"
    return code, None, reason or "exited", f"exited with code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def usage() -> dict[str, Any]:
    """What all children that were reaped used: bytes and seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "max_rss_bytes": used.ru_maxrss * unit,
        "utime_s": used.ru_utime,
        "stime_s": used.ru_stime,
    }


def die_with_parent() -> None:
    """Has the kernel end this process when its parent ends, where the kernel can."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def reset_signals() -> None:
    """Undoes what the starter of this process ignored or blocked (`nohup` does), for commands."""
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                continue
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _children() -> list[int]:
    me = os.getpid()
    try:
        with open(f"/proc/self/task/{me}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return [pid for pid in _all_pids() if _parent(pid) == me]


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _become(job: dict[str, Any], limits: LimitGroups, output: int, trouble: int) -> NoReturn:
    """The forked child, up to exec; tells its trouble through the pipe, and never returns."""
    doing = "start a session"
    try:
        os.setsid()
        # A command without its shim has nobody to keep its output or its exit status.
        die_with_parent()
        # Exec undoes handlers, but not what is ignored.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        doing = "set its limits"
        if job.get("nice"):
            os.nice(int(job["nice"]))
        limits.enter()
        doing = "open its output"
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if job.get("views"):
            doing = "set up its folders"
            views.enter(job["views"])
        cwd = job.get("cwd") or "."
        doing = f"enter the folder {cwd}"
        os.chdir(cwd)
        argv = job.get("argv") or ["/bin/sh", "-c", job["shell"]]
        doing = f"run {argv[0]}"
        os.execvpe(argv[0], argv, job["env"])
    except (OSError, ValueError) as error:
        missing = isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR)
        why = error.strerror if isinstance(error, OSError) else error
        if doing == "set up its folders" and isinstance(error, OSError) and error.filename:
            why = f"{why} ({error.filename})"
        code = 127 if missing and doing.startswith("run ") else 126
        os.write(trouble, json.dumps([f"cannot {doing}: {why}", code]).encode())
    finally:
        os._exit(127)
