"""What all runs of a search run on, as it is when the search begins: the folder may change."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.runs import StartRun
from spice_engine.runs.preparation import Taken
from spice_engine.runs.requests import command_of
from spice_engine.runs.search_plan import Plan
from spice_engine.runs.service import Runs
from spice_engine.store import runs as table


async def frozen(runs: Runs, plan: Plan, code: str = "") -> tuple[Plan, Taken]:
    """The plan with its run as each trial asks for it, and what they run on: the folder as it is,
    or as `code` has it.

    Raises:
        SpiceError: the run cannot be carried out as it is asked for.
    """
    asked = plan.asked.run
    if asked is None:
        return plan, Taken()
    command_of(asked)
    ranks = max(1, asked.distributed)
    runs.machines.check(asked.machine_type, asked.cpu, asked.memory, ranks)
    run, taken = await _taken(runs, asked, code)
    run = dataclasses.replace(
        run, git="", git_ref="", code_of=None, source=taken.source or asked.source
    )
    return dataclasses.replace(plan, asked=dataclasses.replace(plan.asked, run=run)), taken


async def _taken(runs: Runs, asked: StartRun, code: str) -> tuple[StartRun, Taken]:
    root = runs.location.root
    cwd = Path(os.path.normpath(root / asked.cwd))
    if asked.code_of is not None:
        number = asked.code_of
        row = await runs.database.read(lambda connection: table.get(connection, number))
        cwd = cwd if asked.cwd else Path(row.cwd)
        if row.code and not cwd.is_relative_to(root):
            raise InvalidRequest(f"{str(cwd)[:200]} is not in the folder that run {number} had.")
        asked = dataclasses.replace(asked, in_place=not row.code)
        taken = await runs.preparation.take(asked, cwd, row.code)
    elif asked.git:
        cwd, taken = await runs.preparation.take_commit(asked)
    else:
        if not await asyncio.to_thread(os.path.isdir, cwd):  # also False for what is no path
            raise InvalidRequest(f"{str(cwd)[:200]} is not a directory.", hint="Set another cwd.")
        taken = await runs.preparation.take(asked, cwd, "" if asked.in_place else code)
    return dataclasses.replace(asked, cwd=str(cwd)), taken
