"""Several processes for one replica: forked once the predictor is loaded, anew when one dies.

The process that loaded it works on no calls itself: it can fork at any time without a user's lock
being held, and its health is never late.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
import traceback
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from spice_runtime.optional import loaded
from spice_runtime.predictors.answers import tell
from spice_runtime.predictors.signatures import InvalidPredictor
from spice_runtime.replica_background import Background
from spice_runtime.replica_control import Control
from spice_runtime.replica_state import Shared
from spice_runtime.replica_ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable

    from spice_runtime.replica_lanes import Kit

_FIRST_DELAY = 0.1
_LAST_DELAY = 30.0
_CALM_SECONDS = 5.0
_HANG_SECONDS = 0.5


class Workers:
    """`serve` is what a worker does: with its kit, its control, and the number of the worker."""

    def __init__(
        self,
        kit: Kit,
        control: Control,
        number: int,
        serve: Callable[[Kit, Control, int], None],
    ) -> None:
        self._kit = kit
        self._control = control
        self._number = number
        self._serve = serve
        self._pids: dict[int, tuple[int, float]] = {}  # pid → worker, when it was forked
        self._channels: dict[int, socket.socket] = {}  # pid → our end
        self._due: list[tuple[float, int]] = []  # when, worker
        self._delays = [_FIRST_DELAY] * number
        # A pipe, for a signal's handler may take no lock: the interrupted thread could hold it.
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def run(self, ready: Callable[[], None]) -> None:
        """Keeps the workers running until the drain, then waits for them."""
        refuse_cuda()
        signal.signal(signal.SIGCHLD, lambda _number, _frame: self._wake())
        self._kit.shared.on_drain.append(self._wake)
        self._kit.shared.on_drain.append(self._control.drain_workers)
        for worker in range(self._number):
            self._fork(worker)
        ready()
        while self._pids or (self._due and not self._kit.shared.draining):
            self._wait(max(0.0, min(self._due)[0] - time.monotonic()) if self._due else None)
            self._reap()
            if not self._kit.shared.draining:
                now = time.monotonic()
                for due in [each for each in self._due if each[0] <= now]:
                    self._due.remove(due)
                    self._fork(due[1])

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._wake_write, b"w")

    def _wait(self, seconds: float | None) -> None:
        waiter = select.poll()
        waiter.register(self._wake_read, select.POLLIN)
        waiter.poll(None if seconds is None else seconds * 1000)
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _reap(self) -> None:
        # One by one: other children are the user's own.
        for pid in list(self._pids):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            worker, began = self._pids.pop(pid)
            del self._channels[pid]
            if self._kit.shared.draining:
                continue
            how = (
                f"signal {os.WTERMSIG(status)}"
                if os.WIFSIGNALED(status)
                else f"exit code {os.WEXITSTATUS(status)}"
            )
            now = time.monotonic()
            calm = now - began > _CALM_SECONDS
            delay = _FIRST_DELAY if calm else self._delays[worker]
            self._delays[worker] = min(2 * delay, _LAST_DELAY)
            self._due.append((now + (0.0 if calm else delay), worker))
            tell(f"worker {worker} (pid {pid}) ended with {how}; another one is forked")

    def _fork(self, worker: int) -> None:
        ours, theirs = socket.socketpair()
        pid = self._fork_quietly()
        if pid:
            theirs.close()
            self._channels[pid] = ours
            self._pids[pid] = (worker, time.monotonic())
            self._control.add_worker(ours)
            return
        code = 1
        try:
            # With another's end of it in here, that one would not see its parent go.
            for channel in (ours, *self._channels.values()):
                channel.close()
            self._work(worker, theirs)
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)

    def _fork_quietly(self) -> int:
        """Forks while no other thread runs the user's code, which may hold locks of its own."""
        held: list[threading.Lock] = []
        for lock in (self._control.users_code, self._control.collecting):
            # One that hangs must not keep the replica from its workers.
            if lock.acquire(timeout=_HANG_SECONDS):
                held.append(lock)
        try:
            with warnings.catch_warnings():
                # Since 3.12 Python warns of forks with threads; ours hold no lock now.
                warnings.simplefilter("ignore", DeprecationWarning)
                return os.fork()
        finally:
            for lock in held:
                lock.release()

    def _work(self, worker: int, parent: socket.socket) -> None:
        """A worker's whole life."""
        self._control.abandon()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        shared = Shared()
        signal.signal(signal.SIGTERM, lambda _number, _frame: shared.drain())
        control = Control(shared, self._kit.page)
        control.with_pid = True
        control.on_orphaned = shared.drain
        control.add_parent(parent)
        control.start()
        kit = self._kit._replace(shared=shared, background=Background(), ticker=Ticker())
        self._serve(kit, control, worker)


def refuse_cuda() -> None:
    """CUDA does not survive a fork.

    Raises:
        InvalidPredictor: the predictor began it.
    """
    torch = loaded("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise InvalidPredictor(
            "num_processes needs a predictor that can be forked once it is loaded, and CUDA cannot "
            "be: serve it with several pods (or threads) instead"
        )
