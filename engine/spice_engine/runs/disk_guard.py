"""Keeps a run from filling the disk: the one that writes most is killed before all else stops.

On a full disk nothing can be stored: neither what other runs send nor how any of them ends. So
some room is kept: a file of the engine's, which goes when room is needed to record that a run is
killed. What others than runs write is not ours to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from pathlib import Path

from spice_engine.errors import SpiceError
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs import disk_use
from spice_engine.runs.logs import LOG_NAME, cut
from spice_engine.runs.rounds import Rounds
from spice_engine.runs.service import Runs
from spice_engine.store.runs import FINAL_STATES
from spice_engine.units import format_size

log = logging.getLogger(__name__)

EVERY_SECONDS = 0.5
LARGEST_MARGIN = 64 * 2**20
LARGEST_RESERVE = 8 * 2**20
LOG_KEPT = 2**20
LONGEST_WAIT_SECONDS = 60.0
_NOT_WRITING = FINAL_STATES | {"killing", "saving"}


class DiskGuard:
    """Looks at the disk while runs are at work. `start` first, `close` at the end."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._state = runs.location.state
        self._reserve = runs.location.state / "reserve"
        self._living: set[int] = set()
        self._looked = False
        # Once before the first run, too: that may fill the disk before it is looked at again.
        self._rounds = Rounds(
            "guard of the disk",
            self._watch,
            seconds=lambda: EVERY_SECONDS if self._looked else 0.0,
            needed=lambda: self._living or not self._looked,
        )
        self._end_listening = runs.listen(self._hear)

    def start(self) -> None:
        """Begin; on the running loop."""
        self._rounds.start()

    async def close(self) -> None:
        """End it."""
        self._end_listening()
        await self._rounds.close()

    def _hear(self, info: RunInfo) -> None:
        # On a full disk a run may write whose start could not be recorded yet.
        if info.state not in _NOT_WRITING:
            self._living.add(info.id)
            self._rounds.wake()
        else:
            self._living.discard(info.id)

    async def _watch(self) -> None:
        self._looked = True
        try:
            await self.look()
        except (SpiceError, OSError) as error:
            log.warning("the disk could not be looked after: %s", error)

    async def look(self) -> None:
        """Kill the run that writes most, if the disk is all but full.

        Raises:
            SpiceError: it could not be told.
            OSError: the disk cannot be looked at.
        """
        margin = await asyncio.to_thread(self._missing)
        if not margin:
            return
        number, size = await asyncio.to_thread(self._largest, tuple(self._living))
        if size < margin:
            return  # it is not the runs that fill it
        log.warning("the disk is all but full: run %s is killed, with %d bytes", number, size)
        await self._runs.pause(number)
        await asyncio.to_thread(self._reserve.unlink, missing_ok=True)
        await asyncio.to_thread(self._cut_log, number)
        reason = f"Killed, for it filled the disk: it wrote {format_size(size)}."
        await self._runs.end(number, kill=True, reason=reason)
        await self._await_room(number)

    async def _await_room(self, number: int) -> None:
        """Wait until what a killed run wrote is gone: until then others seem to fill the disk."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                await self._runs.wait_over(number)
        await asyncio.to_thread(self._cut_log, number)
        # At once: another may fill it before it is looked at again.
        await asyncio.to_thread(self._missing)

    def _cut_log(self, number: int) -> None:
        """Keep the beginning of a run's log, which may be what fills the disk. Blocks."""
        cut(self._runs.folder(number) / LOG_NAME, LOG_KEPT, "the run filled the disk")

    def _missing(self) -> int:
        """How much of the disk is to be free, if it is not; otherwise 0, and some of it is taken
        in hand. Blocks."""
        found = shutil.disk_usage(self._state)
        margin = min(LARGEST_MARGIN, found.total // 50)
        if found.free <= margin:
            return margin
        self._make_room(min(LARGEST_RESERVE, margin // 2))
        return 0

    def _make_room(self, size: int) -> None:
        """Have a file that takes some room."""
        if self._reserve.exists():
            return
        with self._reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, size))

    def _largest(self, runs: tuple[int, ...]) -> tuple[int, int]:
        """The run that takes most of the disk, and its bytes. Blocks."""
        sizes = {number: _size(self._runs.folder(number)) for number in runs}
        number = max(sizes, key=lambda one: sizes[one], default=0)
        return number, sizes.get(number, 0)


def _size(folder: Path) -> int:
    return disk_use.measured(folder).bytes
