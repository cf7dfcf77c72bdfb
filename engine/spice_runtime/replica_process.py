"""A replica's life: control socket, the predictor, workers, the drain."""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from spice_runtime.predictors import calls, current
from spice_runtime.predictors.answers import Answer, encode, tell
from spice_runtime.predictors.base import BasePredictor
from spice_runtime.predictors.host import Host
from spice_runtime.predictors.load import make_predictor
from spice_runtime.replica_async import AsyncLane
from spice_runtime.replica_background import Background
from spice_runtime.replica_control import Control
from spice_runtime.replica_lanes import Kit, SyncLane
from spice_runtime.replica_page import Page
from spice_runtime.replica_state import Shared
from spice_runtime.wire import STARTED_SLOTS

FAILED_EXIT = 3
_TELL_SECONDS = 2.0
_REASON_LINES = 12
_REASON_CHARACTERS = 4000
_HEALTHY: dict[str, str] = {"status": "ok"}


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
        self._shared = Shared()
        self._control_listener = listen(str(job["control_socket"]))
        self._page = Page(str(job["started"]))
        self._model_path = "none"
        current.prefix = str(job.get("request_prefix") or "")

    def run(self) -> int:
        """Serves until the drain."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(line_buffering=True)  # pyright: ignore
        os.chdir(self._code)
        control = Control(self._shared, self._page)
        control.listen(self._control_listener)
        control.start()
        self._shared.on_drain.append(_leave)
        try:
            host = Host(
                make_predictor(self._job),
                batching=bool(self._job.get("batching")),
                debug=bool(self._job.get("debug")),
            )
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is why there is no replica
            traceback.print_exc()
            control.say("failed", _reason(error))
            control.wait_told(_TELL_SECONDS)
            return FAILED_EXIT
        self._shared.on_drain.remove(_leave)
        for warning in host.warnings():
            tell(warning)
        return self._serve(host, control)

    def _serve(self, host: Host, control: Control) -> int:
        listener = listen(str(self._job["lane_socket"]))
        kit = Kit(host, listener, self._page, self._shared, Background())
        lanes = self._processes * (1 if host.is_async else self._threads)
        if lanes > STARTED_SLOTS:
            raise ValueError(f"{lanes} lanes are more than {STARTED_SLOTS}")
        # What was made so far lives as long as the process: no collection looks at it again, and
        # forked workers share it.
        gc.collect()
        gc.freeze()
        control.lanes = lanes
        note = {**host.describe(), "lanes": lanes, "model_path": self._model_path}
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._shared.drain())
        serve_process(
            kit,
            control,
            self._threads,
            int(self._job.get("max_concurrency") or 256),
            0,
            lambda: control.say("ready", "", note),
        )
        return 0


def serve_process(
    kit: Kit, control: Control, threads: int, concurrency: int, first_slot: int, ready: Any
) -> None:
    """Runs the lanes of one process until the drain."""
    import threading

    if kit.host.is_async:
        lane = AsyncLane(kit, first_slot, concurrency)
        control.health = health_asker(kit, lane.loop)
        ready()
        lane.run()
    else:
        control.health = health_asker(kit, None)
        # The first one in this thread, which made the predictor: some libraries ask for that.
        sync_lanes = [SyncLane(kit, first_slot + at) for at in range(threads)]
        others = [threading.Thread(target=each.run, daemon=True) for each in sync_lanes[1:]]
        for other in others:
            other.start()
        ready()
        sync_lanes[0].run()
        for other in others:
            other.join()
    kit.background.wait()
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]


def health_asker(kit: Kit, loop: asyncio.AbstractEventLoop | None) -> Any:
    """What the control thread calls for the predictor's health."""
    method = kit.host.health
    if method is None or method.function.__func__ is BasePredictor.health:
        healthy = encode(_HEALTHY)
        return lambda: healthy

    def ask() -> Answer:
        if method.is_async and loop is not None:
            return asyncio.run_coroutine_threadsafe(
                calls.health(kit.host, _Awaiting()), loop
            ).result()
        return asyncio.run(calls.health(kit.host, _Awaiting()))

    return ask


class _Awaiting:
    """The part of an outlet that health needs."""

    async def settle(self, awaitable: Any) -> Any:
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


def _reason(error: BaseException) -> str:
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    last = "".join(lines).rstrip().splitlines()[-_REASON_LINES:]
    return "\n".join(last)[-_REASON_CHARACTERS:]


def _leave() -> None:
    """The drain of a replica that is still loading."""
    os._exit(0)
