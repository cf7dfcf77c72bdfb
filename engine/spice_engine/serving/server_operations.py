"""The operations on model servers and node groups."""

from __future__ import annotations

import asyncio

from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.protocol.engine import Accepted, Nothing
from spice_engine.protocol.servers import (
    EndServer,
    NodeGroupInfo,
    NodeGroupList,
    NodeGroupName,
    PlanServers,
    PredictAnswer,
    PredictRequest,
    RollBack,
    ServerDetails,
    ServeRequest,
    ServerInfo,
    ServerList,
    ServerMetrics,
    ServerName,
    ServerPlan,
    ServerSeriesList,
    SetNodeGroup,
    UpdateServer,
)
from spice_engine.serving import server_plans
from spice_engine.serving.node_groups import NodeGroups
from spice_engine.serving.server_metrics import MetricsOfServers
from spice_engine.serving.servers import Servers

MOST_POINTS = 10_000


@operation("servers.list", http="GET /api/v1/servers")
def list_servers(servers: Servers, request: Nothing) -> ServerList:
    """List all model servers."""
    return ServerList([servers.info(name) for name in servers.names()])


@operation("servers.get", http="GET /api/v1/servers/{server}")
async def get(servers: Servers, request: ServerName) -> ServerDetails:
    """Tell everything about one model server."""
    return await servers.details(request.server)


@operation("servers.serve", http="POST /api/v1/servers")
async def serve(servers: Servers, request: ServeRequest) -> ServerInfo:
    """Stand up a model server; with `wait` the answer comes when it runs, or has failed."""
    deployment = await servers.serve(request.definition, request.request_key)
    if request.wait:
        await deployment.settled()
    return servers.info(request.definition.name)


@operation("servers.update", http="POST /api/v1/servers/{server}/update")
async def update(servers: Servers, request: UpdateServer) -> ServerInfo:
    """Roll out a new version of a server with changed fields; no request fails meanwhile."""
    deployment = await servers.update(request)
    if request.wait:
        await deployment.settled()
    return servers.info(request.server)


@operation("servers.rollback", http="POST /api/v1/servers/{server}/rollback")
async def roll_back(servers: Servers, request: RollBack) -> ServerInfo:
    """Roll out an earlier version of a server again; 0: the good one before."""
    if not 0 <= request.version < 2**31:
        raise InvalidRequest(f"{request.version} is no version's number.")
    deployment = await servers.roll_back(request.server, request.version)
    if request.wait:
        await deployment.settled()
    return servers.info(request.server)


@operation("servers.start", http="POST /api/v1/servers/{server}/start")
async def start(servers: Servers, request: EndServer) -> ServerInfo:
    """Start a server that was stopped, or has failed."""
    deployment = await servers.wish(request.server, "running")
    if request.wait:
        await deployment.settled()
    return servers.info(request.server)


@operation("servers.stop", http="POST /api/v1/servers/{server}/stop")
async def stop(servers: Servers, request: EndServer) -> ServerInfo:
    """Stop a server; requests under way end first, with `force` they are lost."""
    deployment = await servers.wish(request.server, "stopped")
    if request.force:
        leaving = deployment.replica_list
        for replica in leaving:
            replica.unwanted()
        await asyncio.gather(*(replica.kill() for replica in leaving))
    if request.wait:
        await deployment.settled()
    return servers.info(request.server)


@operation("servers.remove", http="DELETE /api/v1/servers/{server}")
async def remove(servers: Servers, request: EndServer) -> Accepted:
    """Remove a server that is stopped, with its logs and series; `force` stops it first."""
    await servers.remove(request.server, force=request.force)
    return Accepted(f"Server {request.server} is removed.")


@operation("servers.predict", http="POST /api/v1/servers/{server}/predict")
async def predict(servers: Servers, request: PredictRequest) -> PredictAnswer:
    """Send a payload to a server, or ask for its health (`path`: health)."""
    return await servers.predict(request)


@operation("servers.plan", http="POST /api/v1/servers-plan")
async def plan(servers: Servers, request: PlanServers) -> ServerPlan:
    """Tell what `apply` would do with these definitions, without doing it."""
    return await server_plans.plan(servers, request)


@operation("servers.apply", http="POST /api/v1/servers-apply")
async def apply(servers: Servers, request: PlanServers) -> ServerPlan:
    """Make the servers be as these definitions say; answers what was done."""
    return await server_plans.apply(servers, request)


@operation("servers.metrics", http="GET /api/v1/servers/{server}/metrics")
async def metrics(series: MetricsOfServers, request: ServerMetrics) -> ServerSeriesList:
    """Give the series of a server: rate, errors, p50, p99, queue, replicas, cpu, memory, batch,
    and the predictor's own."""
    if not 1 <= request.points <= MOST_POINTS:
        raise InvalidRequest(f"points: must be between 1 and {MOST_POINTS}.")
    return await series.read(request.server, request.name, request.points)


@operation("node_groups.list", http="GET /api/v1/node-groups")
def list_groups(groups: NodeGroups, request: Nothing) -> NodeGroupList:
    """List the node groups with what is taken of them."""
    return NodeGroupList(groups.list())


@operation("node_groups.set", http="PUT /api/v1/node-groups/{name}")
async def set_group(groups: NodeGroups, request: SetNodeGroup) -> NodeGroupInfo:
    """Make a node group, or change its size."""
    return await groups.set(request)


@operation("node_groups.remove", http="DELETE /api/v1/node-groups/{name}")
async def remove_group(groups: NodeGroups, request: NodeGroupName) -> Accepted:
    """Remove a node group that no server uses."""
    await groups.remove(request.name)
    return Accepted(f"Node group {request.name} is removed.")
