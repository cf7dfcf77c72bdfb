"""Definitions of several servers at once: what would change, and carrying it out."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.servers import (
    PlannedChange,
    PlanServers,
    ServerDefinition,
    ServerPlan,
)
from spice_engine.serving import definitions, server_code
from spice_engine.serving.servers import Servers

CREATE, UPDATE, DELETE, NOTHING = "create", "update", "delete", "nothing"


async def plan(servers: Servers, request: PlanServers) -> ServerPlan:
    """What `apply` would do, in its order: create, update, delete.

    Raises:
        InvalidRequest: a definition cannot be used, or a name comes twice.
        NotFound: a model, resource or node group is not there.
    """
    names = [definition.name for definition in request.definitions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidRequest(f"server {twice[0]!r} is defined twice.")
    changes = [
        await _change(servers, definition, request.files) for definition in request.definitions
    ]
    if request.delete:
        changes += [PlannedChange(name, DELETE) for name in servers.names() if name not in names]
    order = [CREATE, UPDATE, NOTHING, DELETE]
    return ServerPlan(sorted(changes, key=lambda change: order.index(change.action)))


async def apply(servers: Servers, request: PlanServers) -> ServerPlan:
    """Do it; what was done before an error stays done.

    Raises:
        InvalidRequest, NotFound, Conflict: as `plan`, `Servers.serve` and `Servers.update`.
    """
    planned = await plan(servers, request)
    wanted = {definition.name: definition for definition in request.definitions}
    for change in planned.changes:
        match change.action:
            case "create":
                await servers.serve(wanted[change.server])
            case "update":
                await servers.replace(wanted[change.server])
            case "delete":
                await servers.remove(change.server, force=True)
            case _:
                pass
    return planned


async def _change(
    servers: Servers, definition: ServerDefinition, files: Collection[str]
) -> PlannedChange:
    made = await servers.making.find(definition, code=True)
    try:
        deployment = servers.get(definition.name)
    except NotFound:
        return PlannedChange(definition.name, CREATE, definitions.differences(None, definition))
    found = definitions.differences(deployment.definition, definition)
    before = deployment.version
    if made.code != before.code:
        old = before.code[:8]
        changed = await asyncio.to_thread(
            server_code.changed_files,
            servers.parts.workshop.objects,
            before.code,
            made.code,
            without=frozenset(files),
        )
        if changed:
            found.append(["code", old, f"{made.code[:8]} ({', '.join(changed)})"])
        elif not before.code or not made.code:
            found.append(["code", old, made.code[:8]])
    models = {name: number for name, number, _, _ in before.models}
    for name, number, _, _ in made.models:
        if models.get(name, number) != number:
            found.append([f"model {name}", f"v{models[name]}", f"v{number}"])
    if made.mounts != before.mounts and not any(row[0].startswith("mounts.") for row in found):
        found.append(["mounts", "", "their contents changed"])
    return PlannedChange(definition.name, UPDATE if found else NOTHING, found)
