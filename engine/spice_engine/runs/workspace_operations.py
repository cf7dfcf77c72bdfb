"""The operations on workspaces."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.protocol.engine import Accepted, Nothing
from spice_engine.protocol.workspaces import (
    StartWorkspace,
    WorkspaceAddress,
    WorkspaceInfo,
    WorkspaceList,
    WorkspaceName,
)
from spice_engine.runs.workspaces import Workspaces


@operation("workspaces.list", http="GET /api/v1/workspaces")
def list_workspaces(workspaces: Workspaces, request: Nothing) -> WorkspaceList:
    """List the workspaces with what they do."""
    return workspaces.list()


@operation("workspaces.get", http="GET /api/v1/workspaces/{name}")
def get(workspaces: Workspaces, request: WorkspaceName) -> WorkspaceInfo:
    """Tell about one workspace."""
    return workspaces.info(request.name)


@operation("workspaces.start", http="PUT /api/v1/workspaces/{name}")
async def start(workspaces: Workspaces, request: StartWorkspace) -> WorkspaceInfo:
    """Make a workspace, or start it with what it had; the answer comes before it is ready."""
    return await workspaces.start(request)


@operation("workspaces.stop", http="POST /api/v1/workspaces/{name}/stop")
async def stop(workspaces: Workspaces, request: WorkspaceName) -> WorkspaceInfo:
    """Ask a workspace's server to end, with all its kernels."""
    return await workspaces.stop(request.name)


@operation("workspaces.remove", http="DELETE /api/v1/workspaces/{name}")
async def remove(workspaces: Workspaces, request: WorkspaceName) -> Accepted:
    """Forget a workspace that does not run; what was written in it stays."""
    await workspaces.remove(request.name)
    return Accepted(f"Workspace {request.name} is removed; its notebooks stay in the app folder.")


@operation("workspaces.address", http="GET /api/v1/workspaces/{name}/address")
async def address(workspaces: Workspaces, request: WorkspaceName) -> WorkspaceAddress:
    """Tell where a workspace is open, with its token."""
    return await workspaces.address(request.name)
