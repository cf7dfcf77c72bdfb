"""What became of a server's process that was started before, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from spice_engine.errors import ChildFailed, Conflict, NotFound
from spice_engine.workers.placement import Placed, Placement
from spice_engine.workers.shims import Exit, Exited, JobLost, Lost, NeverStarted

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_WAIT_SECONDS = 1.0


async def find(
    placement: Placement, folder: Path, name: str
) -> Placed | Exited | NeverStarted | Lost:
    """Look until it is known. One that was never started never will be."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await placement.find(folder)
        except NotFound:
            return NeverStarted()
        except ChildFailed as error:
            log.warning("replica %s: %s; looking again", name, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


async def end_of(placement: Placement, placed: Placed, name: str) -> Exit:
    """Wait for its end.

    Raises:
        JobLost: nobody knows how it ended.
    """
    while True:
        try:
            return await placement.wait(placed)
        except JobLost:
            raise
        except (ChildFailed, Conflict) as error:
            log.warning("replica %s: %s; looking again", name, error)
            await asyncio.sleep(_WAIT_SECONDS)
