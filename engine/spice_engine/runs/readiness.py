"""Keeps what starts runs ready, as long as a machine type wants that.

On one machine all types share it: the process that makes the shims, and what is known about the
kernel's file systems. With it a run's process is there in some milliseconds, without it in a tenth
of a second more.
"""

from __future__ import annotations

import asyncio
import logging
import time

from spice_engine.errors import ChildFailed
from spice_engine.runs.machine_types import MachineTypes
from spice_engine.runs.run_files import RunFiles
from spice_engine.workers.placement import Placement

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0


class Readiness:
    """Belongs to the engine's loop. `run` goes on until it is cancelled."""

    def __init__(self, machines: MachineTypes, placement: Placement, files: RunFiles) -> None:
        self._machines = machines
        self._placement = placement
        self._files = files

    async def run(self) -> None:
        """Look from time to time."""
        while True:
            await self.look(time.monotonic())
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: float) -> None:
        """Make ready what is to be kept ready, and let go what nobody used for long enough."""
        kept, warm = self._machines.wants_ready(now)
        try:
            if kept:
                await self._placement.make_ready()
                await asyncio.to_thread(self._files.ways)
            elif not warm:
                await self._placement.rest()
        except ChildFailed as error:
            log.warning("runs cannot be made ready for: %s", error)
