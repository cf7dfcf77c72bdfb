"""The operations on environments."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.protocol.engine import Nothing
from spice_engine.protocol.environments import (
    CompareEnvironments,
    EnvironmentDetails,
    EnvironmentDiff,
    EnvironmentList,
    EnvironmentName,
    RemovedEnvironments,
    RemoveEnvironments,
)
from spice_engine.runs.environment_care import EnvironmentCare


@operation("environments.list", http="GET /api/v1/environments")
async def list_environments(care: EnvironmentCare, request: Nothing) -> EnvironmentList:
    """List the environments that are kept: size, last use, and what they were asked for."""
    return await care.list()


@operation("environments.show", http="GET /api/v1/environments/{name}")
async def show(care: EnvironmentCare, request: EnvironmentName) -> EnvironmentDetails:
    """Tell the exact version of all that is in the environment of a run, or of a key."""
    return await care.show(request.name)


@operation("environments.diff", http="GET /api/v1/environments/{one}/diff/{other}")
async def diff(care: EnvironmentCare, request: CompareEnvironments) -> EnvironmentDiff:
    """Tell what differs between the environments of two runs."""
    return await care.diff(request.one, request.other)


@operation("environments.remove", http="POST /api/v1/environments/remove")
async def remove(care: EnvironmentCare, request: RemoveEnvironments) -> RemovedEnvironments:
    """Remove environments that nobody uses: those named, or those unused for long."""
    return await care.remove(request.keys, request.unused)
