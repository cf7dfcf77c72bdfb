"""Requests and answers about machine types: named classes of the machines that runs run on."""

from __future__ import annotations

from spice_engine.records import record

DEFAULT_MACHINE_TYPE = "cpu"


@record
class MachineTypeInfo:
    """A class of machines for runs: what each has (cores, bytes, GPUs), how many there are.

    `max_machines` is None where runs do not wait for each other. `in_use` counts the runs that
    have a machine of the type, `waiting` those that wait for one. `min_machines` are kept ready,
    the others for `idle_seconds` after a run.
    """

    name: str
    cpu: float
    memory: int
    gpus: int
    max_machines: int | None
    in_use: int = 0
    waiting: int = 0
    min_machines: int = 0
    idle_seconds: float = 1800.0


@record
class MachineTypeList:
    """Machine types by name."""

    machine_types: list[MachineTypeInfo]


@record
class SetMachineType:
    """Make a machine type, or change it; a value of None stays as it is.

    A new one has all there is but GPUs, and one machine.
    """

    name: str
    cpu: float | None = None
    memory: int | None = None
    gpus: int | None = None
    max_machines: int | None = None
    min_machines: int | None = None
    idle_seconds: float | None = None


@record
class MachineTypeName:
    """One machine type, by its name."""

    name: str
