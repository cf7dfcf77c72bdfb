"""The launcher of a distributed run: starts its ranks, keeps their logs, ends all when one fails.

`python -I -S ranks.py`, as the command of a shim, in the run's folder. Its `job.json` has `ranks`:

    count    how many there are       argv   the command of each
    cwd      its folder               views  what rank 0 sees of the disk, see `spice_runtime.views`
    threads  OMP_NUM_THREADS, unless it is set       name   the run's, for TORCHELASTIC_RUN_ID
    grace_s  from SIGTERM to SIGKILL when one failed
    doors    variables with an address for metrics; `/rankN` after it says who sends

The variables are those of torchrun
(https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables). Every rank has
the same views, and what it changes in them is its own. All ranks are in the launcher's process
group, so that what signals the command reaches them. Each line of a rank goes to its own log and,
with its number before it, to the launcher's output. `ranks.json` tells what became of each.
"""

from __future__ import annotations

import os
import random
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

if not __package__:
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from spice_runtime import process, rank_names, views
from spice_runtime.shim_command import die_with_parent, outcome, reset_signals
from spice_runtime.shim_log import LogWriter

STATUS = "ranks.json"
LOGS = "ranks"
"""In the run's folder: a folder for each rank, with its log."""
FILES = "rank-files"
"""In the run's folder: what the ranks but the first change; gone when the run is over."""
HOST = "127.0.0.1"
_PORTS = range(20000, 30000)
"""Below those that the system gives out, so that none is taken before rank 0 listens on it."""
_CHUNK = 65536
_LONGEST_LINE = 65536
_LAST_READS = 64


class PortTaken(Exception):
    """The port that the run wants for its ranks to meet is in use."""


class Rank:
    """One process and its output."""

    def __init__(self, number: int, log: LogWriter) -> None:
        self.number = number
        self.log = log
        self.pid = 0
        self.output = -1
        self.started = 0.0
        self.ended: float | None = None
        self.exit_code: int | None = None
        self.message = ""
        self.line = b""

    def told(self) -> dict[str, Any]:
        """What `ranks.json` says of it."""
        return {
            "rank": self.number,
            "pid": self.pid,
            "started": self.started,
            "ended": self.ended,
            "exit_code": self.exit_code,
            "message": self.message,
        }


class Launcher:
    """All ranks of one run, from their start to the end of the last one."""

    def __init__(self, job: dict[str, Any]) -> None:
        plan = job["ranks"]
        self._plan = plan
        self._grace = float(plan.get("grace_s") or 10.0)
        self._environment = dict(os.environ)
        self._address = _meeting_point(self._environment)
        self._selector = selectors.DefaultSelector()
        most = int(job.get("log_max_bytes") or 0)
        self._ranks = [Rank(number, _log_of(number, most)) for number in range(plan["count"])]
        self._failed: Rank | None = None
        self._stopping = False
        self._kill_at = 0.0

    def run(self) -> int:
        """The exit code of the rank that failed first; 0 if none did."""
        self._watch_signals()
        for rank in self._ranks:
            self._start(rank)
        self._tell()
        while any(rank.exit_code is None for rank in self._ranks):
            left = max(0.0, self._kill_at - time.monotonic()) if self._kill_at else None
            for key, _ in self._selector.select(left):
                key.data()
            self._reap()
            if self._kill_at and time.monotonic() >= self._kill_at:
                self._kill_at = 0.0
                for rank in self._ranks:
                    if rank.exit_code is None:
                        os.kill(rank.pid, signal.SIGKILL)
        for rank in self._ranks:
            rank.log.close()
        return self._failed.exit_code or 0 if self._failed is not None else 0

    def _start(self, rank: Rank) -> None:
        # What is still to be written must not be written by the rank, too.
        sys.stdout.flush()
        output, child_output = os.pipe()
        rank.started = time.time()
        rank.pid = os.fork()
        if rank.pid == 0:
            _become(self._plan, rank.number, self._variables(rank.number), child_output)
        os.close(child_output)
        os.set_blocking(output, False)
        rank.output = output
        self._selector.register(output, selectors.EVENT_READ, lambda: self._read(rank))

    def _variables(self, number: int) -> dict[str, str]:
        count = str(self._plan["count"])
        threads = self._plan.get("threads") or max(1, _cores() // self._plan["count"])
        doors = self._plan.get("doors", ())
        if not number or self._environment.get(rank_names.VARIABLE) == rank_names.TOGETHER:
            doors = ()
        return {
            "OMP_NUM_THREADS": str(threads),
            **self._environment,
            **{name: f"{self._environment[name]}/rank{number}" for name in doors},
            "RANK": str(number),
            "LOCAL_RANK": str(number),
            "ROLE_RANK": str(number),
            "GROUP_RANK": "0",
            "ROLE_NAME": "default",
            "WORLD_SIZE": count,
            "LOCAL_WORLD_SIZE": count,
            "ROLE_WORLD_SIZE": count,
            "GROUP_WORLD_SIZE": "1",
            "MASTER_ADDR": self._address[0],
            "MASTER_PORT": str(self._address[1]),
            "TORCHELASTIC_RUN_ID": str(self._plan.get("name") or "none"),
            "TORCHELASTIC_RESTART_COUNT": "0",
            "TORCHELASTIC_MAX_RESTARTS": "0",
            # Rank 0 keeps the store where they meet; torchrun's own agent would.
            "TORCHELASTIC_USE_AGENT_STORE": "False",
        }

    # -- output

    def _read(self, rank: Rank) -> bool:
        """Take what a rank has written; False when there is no more now."""
        try:
            data = os.read(rank.output, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(rank.output)
            os.close(rank.output)
            rank.output = -1
            self._flush(rank)
            return False
        rank.log.write(data)
        *whole, rank.line = (rank.line + data).split(b"\n")
        if len(rank.line) > _LONGEST_LINE:
            whole.append(rank.line)
            rank.line = b""
        self._say(b"".join(b"[rank %d] %s\n" % (rank.number, line) for line in whole))
        return True

    def _flush(self, rank: Rank) -> None:
        if rank.line:
            self._say(b"[rank %d] %s\n" % (rank.number, rank.line))
            rank.line = b""

    @staticmethod
    def _say(text: bytes) -> None:
        view = memoryview(text)
        while view:
            view = view[os.write(1, view) :]

    # -- ends

    def _reap(self) -> None:
        ended = False
        for rank in self._ranks:
            if rank.exit_code is None:
                pid, status = os.waitpid(rank.pid, os.WNOHANG)
                if pid:
                    ended = True
                    self._over(rank, status)
        if ended:
            self._tell()

    def _over(self, rank: Rank, status: int) -> None:
        # What holds its output open now is a process that it left behind, and may write for ever.
        for _ in range(_LAST_READS):
            if rank.output < 0 or not self._read(rank):
                break
        self._flush(rank)
        rank.ended = time.time()
        rank.exit_code, _, _, rank.message = outcome(status, "", 0)
        if not rank.exit_code or self._failed is not None:
            return
        self._failed = rank
        if self._stopping:
            return
        self._say(b"[rank %d %s]\n" % (rank.number, rank.message.encode()))
        if any(other.exit_code is None for other in self._ranks):
            # What they started is in the group as well. To this process it says nothing new.
            os.killpg(os.getpgrp(), signal.SIGTERM)
            os.killpg(os.getpgrp(), signal.SIGCONT)
            self._kill_at = time.monotonic() + self._grace

    def _tell(self) -> None:
        told = {
            "address": f"{self._address[0]}:{self._address[1]}",
            "failed": None if self._failed is None else self._failed.number,
            "ranks": [rank.told() for rank in self._ranks],
        }
        # A full disk must not end the ranks.
        with suppress(OSError):
            process.write_json(".", STATUS, told, durable=False)

    def _watch_signals(self) -> None:
        wake, waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

        def woken() -> None:
            with suppress(BlockingIOError):
                if signal.SIGTERM in os.read(wake, 4096):
                    # The ranks have it, too, for they are in the group.
                    self._stopping = True

        self._selector.register(wake, selectors.EVENT_READ, woken)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, _only_wake)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def rank_views(plan: list[dict[str, str]], number: int) -> list[dict[str, str]]:
    """What a rank sees of the disk: the same at the same place, with folders of its own for what
    it changes. Makes these."""
    if number == 0:
        return plan
    found: list[dict[str, str]] = []
    for index, view in enumerate(plan):
        if view["kind"] != views.OVERLAY:
            found.append(view)
            continue
        own = Path(FILES, str(number), str(index)).absolute()
        upper, spare = own / "changes", own / "spare"
        for folder in (upper, spare):
            folder.mkdir(parents=True, exist_ok=True)
        if views.SYSTEM not in view:
            upper.chmod(Path(view["upper"]).stat().st_mode & 0o777)
        found.append({**view, "upper": str(upper), "spare": str(spare)})
    return found


def _become(
    plan: dict[str, Any], number: int, environment: dict[str, str], output: int
) -> NoReturn:
    """The forked rank, up to exec; its trouble is its output. Never returns."""
    argv = plan["argv"]
    doing, code = "set up its folders", 126
    try:
        signal.set_wakeup_fd(-1)
        reset_signals()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if plan.get("views"):
            views.enter(rank_views(plan["views"], number))
        die_with_parent()
        doing = f"enter the folder {plan['cwd']}"
        os.chdir(plan["cwd"])
        doing = f"run {argv[0]}"
        os.execvpe(argv[0], argv, environment)
    except (OSError, ValueError) as error:
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        code = 127 if missing and doing.startswith("run ") else 126
        why = error.strerror if isinstance(error, OSError) else error
        os.write(2, f"[cannot {doing}: {why}]\n".encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _log_of(number: int, most: int) -> LogWriter:
    folder = Path(LOGS, str(number))
    folder.mkdir(parents=True, exist_ok=True)
    return LogWriter(str(folder / process.LOG), most)


def _meeting_point(environment: dict[str, str]) -> tuple[str, int]:
    """Where rank 0 listens for the others: as the run was told, or a free port of this machine.

    Raises:
        PortTaken: the port that the run was told is in use, or is none.
    """
    host = environment.get("MASTER_ADDR") or HOST
    given = environment.get("MASTER_PORT", "")
    if given:
        if not given.isdecimal() or not 0 < int(given) < 65536:
            raise PortTaken(f"MASTER_PORT is {given[:40]!r}, which is no port")
        if not _is_free(int(given)):
            raise PortTaken(
                f"MASTER_PORT {given} is in use by another process; leave the variable out, and a "
                "free port is taken"
            )
        return host, int(given)
    for _ in range(100):
        port = random.choice(_PORTS)
        if _is_free(port):
            return host, port
    with socket.socket() as door:
        door.bind((HOST, 0))
        return host, int(door.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("", port))
        except OSError:
            return False
    return True


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    """A handler, so that the signal comes through the wake-up descriptor."""


def main() -> int:
    """Runs the ranks of the job in this folder; its exit code is the command's."""
    job = process.read_json(".", process.JOB)
    if job is None or not job.get("ranks"):
        sys.stderr.write(f"[{process.JOB} has no ranks]\n")
        return 126
    try:
        return Launcher(job).run()
    except PortTaken as error:
        sys.stderr.write(f"[{error}]\n")
        process.write_json(".", STATUS, {"message": str(error), "ranks": []}, durable=False)
        return 1


if __name__ == "__main__":
    sys.exit(main())
