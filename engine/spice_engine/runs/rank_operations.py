"""The operations on the ranks of a run."""

from __future__ import annotations

import asyncio

from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.protocol.ranks import RankList
from spice_engine.protocol.runs import RunId
from spice_engine.runs.rank_jobs import ranks_of
from spice_engine.runs.service import Runs
from spice_engine.store import runs as table


@operation("runs.ranks", http="GET /api/v1/runs/{id}/ranks")
async def list_ranks(runs: Runs, request: RunId) -> RankList:
    """List the ranks of a run, with how each ended."""
    if not 0 < request.id < 2**63:
        raise InvalidRequest(f"{request.id} is no run's number.")
    row = await runs.database.read(lambda connection: table.get(connection, request.id))
    return await asyncio.to_thread(ranks_of, runs.folder(row.id), row.ended)
