"""Looks after one running workspace: asks its server how it does, and ends what idles."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path

from spice_engine.errors import Conflict
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs import notebook_server as server
from spice_engine.runs.notebook_server import Activity, NoAnswer
from spice_engine.runs.service import Runs
from spice_engine.runs.terminal_jobs import has_jobs
from spice_engine.runs.workspace_states import port_of, timeouts_of
from spice_runtime import process

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
FIRST_LOOK_SECONDS = 0.2


async def look(run: RunInfo, token: str) -> Activity:
    """What the server of a workspace says, after its kernels that idled for too long were ended.

    Raises:
        NoAnswer: it does not answer.
    """
    most, _ = timeouts_of(run)
    seen = await asyncio.to_thread(server.look, port_of(run), token)
    now = time.time()
    for kernel in seen.kernels:
        if most and not kernel.busy and now - kernel.since > most:
            log.info("workspace %s: kernel %s idled and is ended", run.name, kernel.id)
            await asyncio.to_thread(server.end_kernel, port_of(run), token, kernel.id)
    return seen


async def end_if_idle(runs: Runs, run: RunInfo, seen: Activity) -> None:
    """Stop a workspace that has no kernel, in which no command works in a terminal, and that
    nobody used for too long."""
    _, most = timeouts_of(run)
    if not most or seen.kernels or time.time() - seen.last <= most:
        return
    if seen.terminals and await asyncio.to_thread(_has_jobs, runs.folder(run.id)):
        return
    with suppress(Conflict):
        words = f"Stopped: nobody used it for {most:g} s."
        await runs.end(run.id, kill=False, reason=words)


def _has_jobs(folder: Path) -> bool:
    try:
        shim = process.read_json(str(folder), process.SHIM)
    except OSError:
        return False
    return bool(shim) and has_jobs(int(shim["pid"]))


def pause(run: RunInfo, seen: Activity | NoAnswer | None) -> float:
    """Until the next look: short while somebody waits for it, and well within its timeouts."""
    if run.state != "running":
        return LOOK_SECONDS
    if not isinstance(seen, Activity):
        return FIRST_LOOK_SECONDS if seen is None else 1.0
    timeouts = [seconds for seconds in timeouts_of(run) if seconds]
    return max(FIRST_LOOK_SECONDS, min([LOOK_SECONDS, *(each / 4 for each in timeouts)]))
