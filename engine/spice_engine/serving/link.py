"""The engine's end of one replica: its control connection, its lanes, its page of started calls."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from spice_engine.errors import ChildFailed, DeadlineExceeded
from spice_engine.serving.control import Answer, Control
from spice_engine.serving.figures import Figures
from spice_engine.serving.lanes import Lane, LaneOwner
from spice_engine.serving.workers import Worker
from spice_runtime import wire

_log = logging.getLogger(__name__)

_FIRST_WAIT = 0.005
_LONGEST_WAIT = 0.5
_LANES_GRACE = 0.25
"""Seconds that lanes may live on after control or the shim: answers under way are still read."""
_SLOT = struct.Struct("<Q")


class ReplicaLink:
    """Connections to the replica behind two Unix sockets; on the running loop.

    `control` and `lane` are the sockets, `started` is the page of started calls. `connect` first,
    then `loaded`, then a router's `attach`. `on_lost` is called once when the replica's process
    is gone; `on_state` whenever the replica told a new state.
    """

    def __init__(self, control: Path, lane: Path, started: Path, *, name: str = "") -> None:
        self.name = name or control.parent.name
        self.figures = Figures()
        self.lanes: list[Lane] = []
        """Those that can be used."""
        self.workers: dict[int, Worker] = {}
        self.draining = False
        self.lost = False
        self.on_lost: Callable[[ReplicaLink], None] | None = None
        self.on_state: Callable[[ReplicaLink], None] | None = None
        self._control_path = control
        self._lane_path = lane
        self._started_path = started
        self._page: mmap.mmap | None = None
        self._control: Control | None = None
        self._owner: LaneOwner | None = None
        self._open: set[Lane] = set()
        self._wanted = 0
        self._missing = asyncio.Event()
        self._greeted = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._keeper: asyncio.Task[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def state(self) -> str:
        """What the replica said last: loading, ready or failed; empty before the first word."""
        return self._control.state if self._control else ""

    @property
    def message(self) -> str:
        """The reason, where it failed."""
        return self._control.message if self._control else ""

    @property
    def predictor(self) -> dict[str, Any]:
        """What it found, once it is ready."""
        return self._control.predictor if self._control else {}

    @property
    def batching(self) -> bool:
        """Whether its predictor takes lists."""
        return bool(self.predictor.get("batch", False))

    def stays(self) -> bool:
        """Whether it takes part: it neither leaves nor is gone."""
        return not (self.draining or self.lost)

    async def connect(self, within: float = 10.0) -> None:
        """Connect control, waiting for its socket, and read the first state.

        Raises:
            ChildFailed: it did not answer within so many seconds.
        """
        loop = asyncio.get_running_loop()
        wait, until = _FIRST_WAIT, loop.time() + within
        while True:
            control = Control(self.name, self._on_state, self._on_control_lost)
            try:
                await loop.create_unix_connection(
                    lambda made=control: made, str(self._control_path)
                )
                break
            except OSError as error:
                if loop.time() + wait >= until:
                    raise ChildFailed(
                        f"replica {self.name} does not answer on {self._control_path}: {error}",
                        hint="Its log says why.",
                    ) from error
                await asyncio.sleep(wait)
                wait = min(wait * 1.5, 0.1)
        self._control = control
        try:
            async with asyncio.timeout_at(until):
                await control.told.wait()
        except TimeoutError as error:
            control.close()
            raise ChildFailed(
                f"replica {self.name} said nothing for {within:g} s", hint="Its log says why."
            ) from error
        if control.ended:
            raise ChildFailed(f"replica {self.name} hung up", hint="Its log says why.")

    async def loaded(self, within: float) -> dict[str, Any]:
        """Wait until it is ready; what it found.

        Raises:
            ChildFailed: it failed to load, or died.
            DeadlineExceeded: it was not ready within so many seconds.
        """
        control = self._connected()
        try:
            async with asyncio.timeout(within):
                while control.state not in {"ready", "failed"} and not control.ended:
                    control.changed.clear()
                    await control.changed.wait()
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"replica {self.name} was not ready within {within:g} s",
                hint="Look at what its __init__ does, or give it more time (start_timeout).",
            ) from error
        if control.state != "ready":
            raise ChildFailed(
                control.message or f"replica {self.name} died while it loaded",
                hint="Its log says more.",
            )
        return control.predictor

    async def health(self, within: float = 5.0) -> Answer:
        """Ask `Predictor.health()`: status, answer codec, header lines, body.

        Raises:
            ChildFailed: the replica is gone.
            DeadlineExceeded: no answer within so many seconds.
        """
        return await self._connected().ask(wire.HEALTH, within)

    async def metrics(self, within: float = 5.0) -> dict[str, Any]:
        """The predictor's own metrics and what its lanes do: see `wire.METRICS`.

        Raises: as `health`; ChildFailed too where the answer cannot be read.
        """
        _, _, _, body = await self._connected().ask(wire.METRICS, within)
        try:
            answer: object = json.loads(body)
        except ValueError as error:
            raise ChildFailed(f"replica {self.name} told metrics that are no JSON") from error
        if not isinstance(answer, dict):
            raise ChildFailed(f"replica {self.name} told metrics that are no mapping")
        return cast("dict[str, Any]", answer)

    def cancel(self, ident: int) -> None:
        """Nobody waits for that call any more."""
        if self._control is not None:
            self._control.cancel(ident)

    def credit(self, ident: int, number: int) -> None:
        """The stream may send so many more bytes."""
        if self._control is not None:
            self._control.send(wire.frame(wire.CREDIT, ident, number=number))

    def drain(self) -> None:
        """Tell it that no more calls come: it ends when those under way have ended."""
        self._wanted = 0
        self.draining = True
        if self._control is not None:
            self._control.send(wire.frame(wire.DRAIN, 0))

    def _connected(self) -> Control:
        if self._control is None or self._control.ended:
            raise ChildFailed(f"replica {self.name} is not connected", hint="Its log says why.")
        return self._control

    # Lanes.

    async def open_lanes(self, owner: LaneOwner, within: float = 10.0) -> None:
        """Open as many lanes as the replica has workers; returns when each said HELLO.

        Lanes that break are opened anew until `drain`, `close` or the replica's end.

        Raises:
            ChildFailed: not one lane could be used within so many seconds.
        """
        self._connected()
        self._owner = owner
        self._page = self._mapped()
        self._wanted = max(1, int(self.predictor.get("lanes", 1)))
        self._missing.set()
        self._keeper = asyncio.create_task(self._keep(), name=f"lanes of replica {self.name}")
        try:
            async with asyncio.timeout(within):
                while len(self.lanes) < self._wanted and not self.lost:
                    self._greeted.clear()
                    await self._greeted.wait()
        except TimeoutError:
            _log.warning(
                "Replica %s: %d of %d lanes answer", self.name, len(self.lanes), self._wanted
            )
        if not self.lanes:
            raise ChildFailed(f"no worker of replica {self.name} answers", hint="Its log says why.")

    def _mapped(self) -> mmap.mmap | None:
        try:
            with self._started_path.open("rb") as file:
                return mmap.mmap(file.fileno(), wire.STARTED_SLOTS * 8, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            # Without the page every call of a dead worker counts as begun: slower, still right.
            _log.warning("Replica %s has no page of started calls: %s", self.name, error)
            return None

    def started(self, lane: Lane) -> int | None:
        """The call or batch that the lane's worker began last; 0: none; None: nobody knows."""
        if self._page is None or not 0 <= lane.slot < wire.STARTED_SLOTS:
            return None
        return int(_SLOT.unpack_from(self._page, lane.slot * 8)[0])

    async def _keep(self) -> None:
        """Open lanes where some are missing."""
        loop = asyncio.get_running_loop()
        wait = _FIRST_WAIT
        while not self._closed:
            await self._missing.wait()
            self._missing.clear()
            while len(self._open) < self._wanted and not self.lost:
                owner = cast("LaneOwner", self._owner)
                try:
                    _, lane = await loop.create_unix_connection(
                        lambda owner=owner: Lane(self, owner, loop), str(self._lane_path)
                    )
                except OSError:
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, _LONGEST_WAIT)
                    continue
                wait = _FIRST_WAIT
                if lane.closed:
                    await asyncio.sleep(wait)
                    continue
                self._open.add(lane)
                self._emptied.clear()

    def lane_greeted(self, lane: Lane, pid: int) -> None:
        """A lane said HELLO; called by the lane."""
        worker = self.workers.get(pid)
        if worker is None:
            worker = self.workers[pid] = Worker(self, pid)
        lane.worker = worker
        worker.lanes.append(lane)
        self.lanes.append(lane)
        self._greeted.set()
        if self._owner is not None:
            self._owner.on_lane(lane)

    def lane_lost(self, lane: Lane) -> None:
        """A lane's connection is gone; called by the lane."""
        self._open.discard(lane)
        if not self._open:
            self._emptied.set()
        if lane in self.lanes:
            self.lanes.remove(lane)
        worker = lane.worker
        if worker is not None:
            worker.lanes.remove(lane)
            if not worker.lanes:
                self.workers.pop(worker.pid, None)
        if self._owner is not None and lane.greeted:
            self._owner.on_lane_lost(lane)
        if not self._closed and not self.lost:
            self._missing.set()

    # The end.

    def _on_state(self) -> None:
        if self.on_state is not None:
            self.on_state(self)

    def _on_control_lost(self) -> None:
        if self._closed or self.lost:
            return
        self.lost = True
        self._greeted.set()
        loop = asyncio.get_running_loop()
        self._grace = loop.call_later(_LANES_GRACE, self._abort_lanes)
        if self._owner is not None:
            self._owner.on_link_lost(self)
        if self.on_lost is not None:
            self.on_lost(self)

    def _abort_lanes(self) -> None:
        for lane in list(self._open):
            lane.abort()

    async def hung_up(self) -> None:
        """Wait a moment for the lanes' ends: what the process answered before its own is read.

        Its shim may be seen to end first, where that was killed.
        """
        self._wanted = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LANES_GRACE):
                await self._emptied.wait()

    async def close(self) -> None:
        """Close all connections; calls that lanes still hold go back to the router."""
        self._closed = True
        self._wanted = 0
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._grace is not None:
            self._grace.cancel()
        self._abort_lanes()
        if self._control is not None:
            self._control.close()
        # `connection_lost` of each lane comes with a next turn of the loop.
        await self._emptied.wait()
        if self._page is not None:
            self._page.close()
            self._page = None
