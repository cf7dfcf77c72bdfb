"""Local workflows: their scripts run in terminals, which stay connected meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from spice_engine.errors import Conflict
from spice_engine.protocol.workflows import WorkflowInfo
from spice_engine.runs.states import STOPPED_AS
from spice_engine.runs.workflows.known import KnownWorkflows
from spice_engine.store import workflows as table

log = logging.getLogger(__name__)

GRACE_SECONDS = 30.0
"""In which a terminal that hung up may connect anew."""
GONE = "The terminal in which its script ran went away."


class Terminals:
    """Those that attend a local workflow. Belongs to the engine's loop."""

    def __init__(self, known: KnownWorkflows, *, grace: float = GRACE_SECONDS) -> None:
        self._known = known
        self._grace = grace
        self._here: Counter[int] = Counter()
        self._left: dict[int, asyncio.Task[None]] = {}

    async def attend(self, number: int) -> WorkflowInfo:
        """What a local workflow is when it is over. If who asked hangs up before that, and does not
        ask again, its script is taken for gone.

        Raises:
            NotFound: there is no such workflow.
            Conflict: the engine runs its script.
        """
        if (await self._known.row(number)).kind != "local":
            raise Conflict(f"the engine runs the script of workflow {number}.")
        self._here[number] += 1
        if (leaving := self._left.pop(number, None)) is not None:
            leaving.cancel()
        try:
            return await self._known.over(number)
        except asyncio.CancelledError:
            if self._here[number] == 1:
                self._left[number] = asyncio.create_task(self._give_up(number))
            raise
        finally:
            self._here[number] -= 1
            if not self._here[number]:
                del self._here[number]

    async def _give_up(self, number: int) -> None:
        await asyncio.sleep(self._grace)
        self._left.pop(number, None)
        state = (await self._known.row(number)).state
        if state in table.ACTIVE:
            log.warning("workflow %s: its terminal went away", number)
            ended = STOPPED_AS.get(state, "failed")
            await self._known.end(number, ended, GONE)

    async def close(self) -> None:
        """Wait for nobody any longer: terminals find the next engine."""
        left = list(self._left.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
