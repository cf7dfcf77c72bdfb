"""The operations on machine types."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.protocol.engine import Accepted, Nothing
from spice_engine.protocol.machine_types import (
    MachineTypeInfo,
    MachineTypeList,
    MachineTypeName,
    SetMachineType,
)
from spice_engine.runs.service import Runs


@operation("machine_types.list", http="GET /api/v1/machine-types")
def list_types(runs: Runs, request: Nothing) -> MachineTypeList:
    """List the machine types with what is in use of them."""
    return MachineTypeList(runs.machines.list())


@operation("machine_types.set", http="PUT /api/v1/machine-types/{name}")
async def set_type(runs: Runs, request: SetMachineType) -> MachineTypeInfo:
    """Make a machine type, or change its size or number."""
    made = await runs.machines.set(request)
    await runs.tell_waiting(made.name)
    return made


@operation("machine_types.remove", http="DELETE /api/v1/machine-types/{name}")
async def remove_type(runs: Runs, request: MachineTypeName) -> Accepted:
    """Remove a machine type that no run uses; one of the defaults gets its first size again."""
    return Accepted(await runs.machines.remove(request.name))
