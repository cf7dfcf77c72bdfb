"""Runs that begin only when others are over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from spice_engine.protocol.runs import RunInfo
from spice_engine.runs.known_runs import KnownRuns
from spice_engine.runs.states import STOPPED_AS, succeeded
from spice_engine.store import runs as table
from spice_engine.store.database import Database
from spice_engine.store.runs import FINAL_STATES, RunRow


class Predecessors:
    """Waits for them. A run names only runs that were there before it, so none waits in a circle.

    `answer` is told of each state in which a run waits.
    """

    def __init__(
        self, database: Database, known: KnownRuns, answer: Callable[[RunInfo], None]
    ) -> None:
        self._database = database
        self._known = known
        self._answer = answer

    async def wait(self, row: RunRow) -> str:
        """Wait until all that `row` comes after are over, or it is to end itself. Gives why it is
        not to begin, if one of them did not succeed that had to."""
        if not row.after:
            return ""
        changed = asyncio.Event()
        wanted = {row.id, *row.after}

        def hear(info: RunInfo) -> None:
            if info.id in wanted:
                changed.set()

        end = self._known.listeners.add(hear)
        try:
            while self._known[row.id].state not in STOPPED_AS:
                changed.clear()
                found = await self._database.read(
                    lambda connection: table.get_all(connection, row.after)
                )
                over = [one for one in found if one.state in FINAL_STATES]
                bad = next((one for one in over if not succeeded(one)), None)
                if row.after_ok and bad is not None:
                    code = f"exit code {bad.exit_code}"
                    how = (
                        code if bad.state == "complete" and bad.exit_code is not None else bad.state
                    )
                    return f"Not begun: run {bad.id} did not succeed ({how})."
                if len(over) == len(found):
                    return ""
                waited = [one.id for one in found if one.state not in FINAL_STATES]
                before = self._known[row.id]
                info = await self._known.queued(row.id, _words(waited))
                self._answer(info)
                if info != before:
                    # That was our own note; what came with it is looked at again.
                    continue
                await changed.wait()
            return ""
        finally:
            end()


def _words(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"waits for run {numbers[0]} to be over."
    some = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"waits for runs {some}{more} to be over."
