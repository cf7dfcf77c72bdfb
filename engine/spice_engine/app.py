"""Builds the engine of one app folder, starts it, drains it and stops it.

Order of the start: folder and lock, store, children, services, what an earlier engine left (runs
are taken up again, pods load), private door, public door. The public one listens when the engine
is ready, and answers a moment later, when its libraries are imported. The end is the same
backwards, and whatever was accepted is on disk before the process goes. A restart replaces the
process image, keeping the lock, the listening socket and connections that only predict open, so
that no connection is refused and no prediction lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine import __version__
from spice_engine.api import engine_operations, handover, listen
from spice_engine.api.door import PrivateDoor
from spice_engine.api.engine_operations import EngineControl, EngineCounts
from spice_engine.api.handover import HandedOver
from spice_engine.api.late import LateDoor
from spice_engine.app_folder import (
    FolderLock,
    ensure_token,
    forget,
    prepare,
    remember,
    write_atomically,
)
from spice_engine.errors import SpiceError
from spice_engine.events import Bus
from spice_engine.loop_lag import LoopLag
from spice_engine.operations import TABLE, Dispatcher
from spice_engine.parts import build_parts, end
from spice_engine.pods import (
    authoring_operations,
    edit_operations,
    judging_operations,
    package_operations,
    view_operations,
)
from spice_engine.pods import operations as pod_operations
from spice_engine.protocol.location import Location
from spice_engine.runs import (
    archive_operations,
    disk_operations,
    environment_operations,
    event_operations,
    log_operations,
    machine_operations,
    metric_operations,
    project_operations,
    rank_operations,
    resource_operations,
    search_operations,
    tracking_operations,
    workspace_operations,
)
from spice_engine.runs import operations as run_operations
from spice_engine.runs.workflows import operations as workflow_operations
from spice_engine.serving import model_operations, server_operations, writing_operations
from spice_engine.settings import LoadedSettings

if TYPE_CHECKING:
    from spice_engine.api.http import HttpDoor
    from spice_engine.api.metrics import Source

log = logging.getLogger(__name__)

IDLE_LOOK_SECONDS = 5.0
STATUS_SECONDS = 1.0

# Importing these modules fills the operation table.
_OPERATIONS = (
    engine_operations,
    package_operations,
    edit_operations,
    authoring_operations,
    pod_operations,
    run_operations,
    machine_operations,
    metric_operations,
    project_operations,
    rank_operations,
    event_operations,
    search_operations,
    tracking_operations,
    workflow_operations,
    workspace_operations,
    log_operations,
    view_operations,
    judging_operations,
    resource_operations,
    disk_operations,
    environment_operations,
    archive_operations,
    model_operations,
    server_operations,
    writing_operations,
)


class Engine:
    """One engine, from start to end. Its parts exist while `serve` runs."""

    def __init__(
        self,
        location: Location,
        loaded: LoadedSettings,
        *,
        foreground: bool,
        trusted: bool = False,
        handover: str = "",
    ) -> None:
        self.location = location
        self.loaded = loaded
        self.foreground = foreground
        self.trusted = trusted
        self.restarting = False
        self.handover = handover
        self._stop_runs: str | None = None
        self._ending = asyncio.Event()
        self._ready = False
        self._lock: FolderLock | None = None
        self._inherited: dict[str, Any] = json.loads(handover) if handover else {}
        self._connections: Sequence[HandedOver] = ()

    # -- the folder

    @contextlib.contextmanager
    def held(self) -> Generator[None]:
        """Hold the app folder; at a restart the lock stays for the process that follows.

        Raises:
            EngineUnavailable: another engine holds it.
            StorageError: it cannot be written.
        """
        prepare(self.location)
        if "lock" in self._inherited:
            lock = FolderLock.inherited(self.location, self._inherited["lock"])
        else:
            lock = FolderLock.acquire(self.location)
        self._lock = lock
        try:
            yield
        finally:
            if not self.restarting:
                if lock.holds():
                    self.location.http.unlink(missing_ok=True)
                    forget(self.location)
                lock.release()

    # -- wishes

    def stop(self, runs: str | None = None) -> bool:
        """Wish for the end; False when it is coming already. It goes before a restart."""
        if self._ending.is_set() and not self.restarting:
            return False
        self.restarting = False
        self._stop_runs = runs
        self._ending.set()
        return True

    def restart(self) -> bool:
        """Wish for a successor; False when the end is coming already."""
        if self._ending.is_set():
            return False
        self.restarting = True
        self._ending.set()
        return True

    def readiness(self) -> str:
        """Why `/ready` says no; empty when the engine is ready."""
        if self._ending.is_set():
            return "stopping"
        return "" if self._ready else "starting"

    # -- life

    async def serve(self, tell: Callable[[dict[str, Any]], object]) -> None:
        """Run until the end is wished for; `tell` is called once, when both doors are open."""
        begin = time.perf_counter()
        async with contextlib.AsyncExitStack() as stack:
            await self._build(stack)
            if self.loaded.values.tls_cert:
                await self.http.open()  # a certificate that cannot be used must be told
            assert self._lock is not None
            self._lock.describe(version=__version__, http=self.http.url)
            write_atomically(self.location.http, self.http.url + "\n")
            remember(self.location)
            self._ready = True
            tell({"pid": os.getpid(), "http": self.http.url})
            log.info(
                "engine %s ready on %s in %.0f ms",
                __version__,
                self.http.url,
                1000 * (time.perf_counter() - begin),
            )
            if not self.loaded.values.tls_cert:
                self.http.begin(self.stop)
            await self._ending.wait()
            self.control.draining = True
            self.parts.let_go()
            log.info("restarting" if self.restarting else "stopping")
        if self.restarting:
            self._hand_over()
        log.info("stopped")

    async def _build(self, stack: contextlib.AsyncExitStack) -> None:
        location, settings = self.location, self.loaded.values
        state = location.state
        await asyncio.to_thread(self._take_over, state / "tmp")
        self.lag = LoopLag()
        self.lag.start()
        stack.callback(self.lag.stop)
        self.bus = Bus()

        self.parts = await build_parts(
            stack,
            location,
            settings,
            self.bus,
            self,
            lambda: self.http.url,
            trusted=self.trusted,
        )
        self.control = EngineControl(
            location, self.loaded, self.bus, self.lag, self.parts.query, self._counts()
        )
        dispatcher = Dispatcher(TABLE, [*self.parts.services, self.control])
        self.door = PrivateDoor(dispatcher, self.bus, started=self.control.started)
        token = ensure_token(location)
        self.http = LateDoor(
            await asyncio.to_thread(self._bind),
            tls=bool(settings.tls_cert),
            make=lambda: self._make_http(dispatcher, token),
            connections=self._connections,
        )
        await self.parts.open()
        await self.door.listen(location.socket)
        stack.push_async_callback(self._close_door)
        stack.push_async_callback(self._close_http)

        self._go_on(stack)

    def _go_on(self, stack: contextlib.AsyncExitStack) -> None:
        """Heed signals, and look after what goes on, until the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        ticker = asyncio.create_task(self._tick(), name="engine ticker")
        stack.push_async_callback(end, ticker)

    def _make_http(self, dispatcher: Dispatcher, token: str) -> HttpDoor:
        from spice_engine.api.http import HttpDoor
        from spice_engine.api.metrics import EngineMetrics, bus_source, door_source

        sources: dict[str, Source] = {
            "events": bus_source(self.bus),
            "door": door_source(self.door),
            **self.parts.sources,
        }
        return HttpDoor(
            dispatcher,
            self.bus,
            self.loaded.values,
            token,
            self,
            metrics=EngineMetrics(sources, self.lag),
            title=self.location.root.name,
            directory=self.parts.serving.directory,
            tracking=self.parts.tracking,
        )

    def _counts(self) -> EngineCounts:
        return EngineCounts(
            http=lambda: self.http.url,
            clients=lambda: len(self.door.connections),
            active_runs=lambda: self.parts.runs.active,
            pods=lambda: len(self.parts.pods.pods.names()),
            rescan=self.parts.pods.pods.rescan,
            names=self.parts.names(),
            stop=self.stop,
            restart=self.restart,
        )

    def _take_over(self, folder: Path) -> None:
        self._connections = handover.take(folder, self._inherited.get("connections", ()))
        _clear(folder)

    def _bind(self) -> socket.socket:
        """The public door's socket: the one handed over, where the settings still lead to it."""
        settings = self.loaded.values
        if "http" in self._inherited:
            inherited = socket.socket(fileno=self._inherited["http"])
            inherited.set_inheritable(False)
            if listen.leads_to(settings, inherited):
                return inherited
            inherited.close()
            handover.close(self._connections)
            self._connections = ()
        return listen.bind(settings)

    # -- the end, part by part

    def stops_runs(self) -> bool:
        """Whether the end stops the runs first."""
        wish = self._stop_runs or self.loaded.values.on_shutdown
        return wish == "stop" and not self.restarting

    async def _close_door(self) -> None:
        reason = "the engine restarts" if self.restarting else "the engine stops"
        await self.door.close(reason=reason, grace=self.loaded.values.drain_seconds)

    async def _close_http(self) -> None:
        grace = self.loaded.values.drain_seconds
        self._connections = await self.http.close(grace, keep_socket=self.restarting)

    def _hand_over(self) -> None:
        """Keep the lock, the public door's socket and its connections open for the process image
        that follows."""
        listener = self.http.sock
        assert self._lock is not None
        for descriptor in (listener.fileno(), self._lock.descriptor):
            os.set_inheritable(descriptor, True)
        told = {
            "lock": self._lock.descriptor,
            "http": listener.detach(),
            "connections": handover.leave(self.location.state / "tmp", self._connections),
        }
        self.handover = json.dumps(told, separators=(",", ":"))

    # -- what goes on meanwhile

    async def _tick(self) -> None:
        """Publish the engine's state while somebody looks, and leave when nobody needs it."""
        idle_seconds = self.loaded.values.idle_minutes * 60
        idle_since = time.monotonic()
        looked = 0.0
        while True:
            topic = self.bus.topic_named("engine")
            await asyncio.sleep(STATUS_SECONDS if topic.subscriptions else IDLE_LOOK_SECONDS)
            if topic.subscriptions:
                topic.publish(asdict(self.control.status()))
            if self._lock is not None and not self._lock.holds():
                log.error("%s was removed or replaced: leaving", self.location.state)
                self.stop()
                return
            now = time.monotonic()
            if self.foreground or idle_seconds <= 0:
                continue
            seen = self.door.requests + self.http.requests
            if self._busy() or seen != looked:
                idle_since, looked = now, seen
            elif now - idle_since > idle_seconds:
                log.info("nothing to do for %.0f minutes: leaving", idle_seconds / 60)
                self.stop()
                return

    def _busy(self) -> bool:
        return bool(self.parts.busy or self.door.connections or self.http.followed)


def run(engine: Engine, tell: Callable[[dict[str, Any]], object]) -> None:
    """Serve on a loop of its own until the end; uvloop's where it is installed.

    Raises:
        SpiceError: what stopped the engine from starting.
    """
    try:
        import uvloop
    except ImportError:
        runner = asyncio.run
    else:
        runner = uvloop.run
    try:
        runner(engine.serve(tell))
    except SpiceError:
        raise
    except Exception:
        # In the background nobody sees stderr: the log must hold the traceback.
        log.critical("the engine failed", exc_info=True)
        raise


def _clear(folder: Path) -> None:
    """Hand-over files of an engine that is gone."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
