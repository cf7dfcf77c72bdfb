"""The operations on what the engine's files take of the disk."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.protocol.disk_use import DiskUsage, PrunedRuns, PruneRuns
from spice_engine.protocol.engine import Nothing
from spice_engine.runs.resource_pruning import Disk


@operation("resources.usage", http="GET /api/v1/resources/usage")
async def usage(disk: Disk, request: Nothing) -> DiskUsage:
    """Tell what the engine's files take of the disk: by part, by run, and stored for whom."""
    return await disk.usage()


@operation("resources.prune", http="POST /api/v1/resources/prune")
async def prune(disk: Disk, request: PruneRuns) -> PrunedRuns:
    """Remove what archived or old runs left, or the folders they began with; first only say it."""
    return await disk.prune(request)
