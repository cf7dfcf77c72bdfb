"""A replica's life: control socket, the predictor, workers, the drain."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_runtime import namespace
from spice_runtime.predictors import calls, requests
from spice_runtime.predictors.answers import Answer, encode, tell, text
from spice_runtime.predictors.base import BasePredictor
from spice_runtime.predictors.host import Host
from spice_runtime.predictors.load import make_predictor
from spice_runtime.predictors.signatures import InvalidPredictor
from spice_runtime.replica_background import Background
from spice_runtime.replica_control import Control
from spice_runtime.replica_lanes import Kit, SyncLane
from spice_runtime.replica_page import Page
from spice_runtime.replica_state import Shared
from spice_runtime.replica_ticker import Ticker
from spice_runtime.replica_workers import Workers, refuse_cuda
from spice_runtime.wire import STARTED_SLOTS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

FAILED_EXIT = 3
_TELL_SECONDS = 2.0
_REASON_LINES = 12
_REASON_CHARACTERS = 4000


class Replica:
    """One process, and the workers it forks if there are to be several.

    Raises:
        KeyError, TypeError, ValueError: the description is not usable.
        OSError: a socket or the page cannot be made.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._code = Path(job["code"])
        self._processes = max(1, int(job.get("num_processes") or 1))
        self._threads = max(1, int(job.get("threads") or 1))
        self._concurrency = max(1, int(job.get("max_concurrency") or 256))
        self._shared = Shared()
        self._control_listener = listen(str(job["control_socket"]))
        self._lane_socket = Path(str(job["lane_socket"])).absolute()
        self._page = Page(str(job["started"]))
        requests.prefix = str(job.get("request_prefix") or "")

    def run(self) -> int:
        """Serves until the drain; gives the exit code."""
        for stream in (sys.stdout, sys.stderr):
            reconfigure: Any = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(line_buffering=True)
        # The router connects by this path; made now, while it means what it meant to the engine.
        listener = listen(str(self._lane_socket))
        # Before there are threads: a user namespace is for processes of one.
        way = namespace.provide(self._job.get("model_dir"), self._job.get("mounts_dir"))
        os.chdir(self._code)
        # Before there is a thread that could be told to drain.
        self._shared.on_drain.append(_leave)
        control = Control(self._shared, self._page)
        control.listen(self._control_listener)
        control.start()
        try:
            host = Host(
                make_predictor(self._job),
                batching=bool(self._job.get("batching")),
                debug=bool(self._job.get("debug")),
            )
            lanes = self._lanes(host)
            if self._processes > 1:
                refuse_cuda()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is why there is none
            reason = reason_of(error)
            tell(reason)
            control.say("failed", reason)
            control.wait_told(_TELL_SECONDS)
            return FAILED_EXIT
        self._shared.on_drain.remove(_leave)
        note = {**host.describe(), "lanes": lanes, "model_path": way}
        control.lanes = lanes
        self._serve(host, listener, control, lambda: control.say("ready", "", note))
        return 0

    def _lanes(self, host: Host) -> int:
        lanes = self._processes * (1 if host.is_async else self._threads)
        if lanes > STARTED_SLOTS:
            raise ValueError(
                f"{self._processes} processes of {self._threads} threads are more than "
                f"{STARTED_SLOTS} lanes: serve the predictor with more pods instead"
            )
        return lanes

    def _serve(
        self, host: Host, listener: socket.socket, control: Control, ready: Callable[[], None]
    ) -> None:
        for warning in host.warnings():
            tell(warning)
        kit = Kit(host, listener, self._page, self._shared, Background(), Ticker())
        # What was made so far lives as long as the process: no collection looks at it again, and
        # forked workers share it.
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._shared.drain())
        if self._processes > 1:
            control.with_pid = True
            control.health = health_asker(kit, None)
            Workers(kit, control, self._processes, self._serve_worker).run(ready)
        else:
            serve_lanes(kit, control, self._threads, self._concurrency, 0, ready)
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]

    def _serve_worker(self, kit: Kit, control: Control, worker: int) -> None:
        threads = 1 if kit.host.is_async else self._threads
        serve_lanes(kit, control, threads, self._concurrency, worker * threads, _nothing)


def serve_lanes(
    kit: Kit,
    control: Control,
    threads: int,
    concurrency: int,
    first_slot: int,
    ready: Callable[[], None],
) -> None:
    """Runs the lanes of one process until the drain; `ready` is called once they can."""
    if kit.host.is_async:
        from spice_runtime.replica_async import AsyncLane

        lane = AsyncLane(kit, first_slot, concurrency)
        control.health = health_asker(kit, lane.loop)
        ready()
        lane.run()
        return
    control.health = health_asker(kit, None)
    # The first one in this thread, which made the predictor: some libraries ask for that.
    lanes = [SyncLane(kit, first_slot + at) for at in range(threads)]
    others = [
        threading.Thread(target=each.run, name=f"lane {at + 1}", daemon=True)
        for at, each in enumerate(lanes[1:])
    ]
    for other in others:
        other.start()
    ready()
    lanes[0].run()
    for other in others:
        other.join()
    kit.background.wait()


def health_asker(kit: Kit, loop: asyncio.AbstractEventLoop | None) -> Callable[[], Answer]:
    """What the control thread calls for the predictor's health; `loop` is an async predictor's."""
    method = kit.host.health
    if method is None or getattr(method.function, "__func__", None) is BasePredictor.health:
        healthy = encode({"status": "ok"})
        assert isinstance(healthy, Answer)
        return lambda: healthy

    def ask() -> Answer:
        asking = calls.health(kit.host, _Awaiting())
        if not method.is_async:
            return finished(asking)
        import asyncio

        if loop is not None:
            return asyncio.run_coroutine_threadsafe(asking, loop).result()
        return asyncio.run(asking)

    return ask


def finished(work: Coroutine[Any, Any, Answer]) -> Answer:
    """What comes of work that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    return text(500, "health returned something to be awaited, but is no async function")


class _Awaiting:
    """Settles awaitables on the loop it is called on."""

    async def settle(self, awaitable: Any) -> Any:
        """Awaits it."""
        return await awaitable


def listen(path: str) -> socket.socket:
    """A socket that listens at a path of any length."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    here = os.open(".", os.O_RDONLY)
    try:
        # A socket's address holds about 100 bytes; a folder's path may be longer.
        os.chdir(Path(path).parent)
        name = Path(path).name
        with suppress(FileNotFoundError):
            Path(name).unlink()
        listener.bind(name)
        Path(name).chmod(0o600)
    finally:
        os.fchdir(here)
        os.close(here)
    listener.listen(128)
    listener.setblocking(False)
    return listener


def reason_of(error: BaseException) -> str:
    """The last lines of its traceback, without those that are ours.

    What breaks a rule of predictors needs no place: its message says all.
    """
    if isinstance(error, InvalidPredictor):
        return str(error)
    ours = (str(Path(__file__).parent), "<frozen importlib")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(ours)
        and not frame.filename.endswith("importlib/__init__.py")
    ]
    if not frames and not isinstance(error, (ImportError, SyntaxError, TypeError)):
        # It is ours, or a library's without a line of the predictor's: all of it may help.
        frames = traceback.extract_tb(error.__traceback__)
    lines = traceback.format_list(frames) + traceback.format_exception_only(type(error), error)
    last = "".join(lines).rstrip().splitlines()[-_REASON_LINES:]
    return "\n".join(last)[-_REASON_CHARACTERS:]


def _leave() -> None:
    """The drain of a replica that is still loading."""
    os._exit(0)


def _nothing() -> None:
    """A worker is ready with the process that forked it."""
