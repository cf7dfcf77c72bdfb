"""What a replica's process is started with: its folder, `replica.json`, variables, command."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from spice_engine.protocol.location import MAX_SOCKET_PATH, runtime_directory
from spice_engine.protocol.servers import ServerDefinition
from spice_engine.records import record
from spice_engine.runs import conda_activation
from spice_engine.runs.environments import views_of
from spice_engine.runs.systems import LAYER, System
from spice_engine.store.disk import storage_error
from spice_engine.workers.devices import VARIABLE, devices_in, variables_of
from spice_engine.workers.jobs import Job
from spice_runtime import process, wire

LOG_ROTATE_BYTES = 32 * 2**20
"""A replica's log of that size is set aside; the one before it goes."""
GRACE_SECONDS = 5.0
"""From SIGTERM to SIGKILL, for a replica that did not end by itself after DRAIN."""

_OWN = ("SPICE_SERVER_VERSION", "SPICE_REPLICA", VARIABLE)
"""Variables that differ from one replica to the next: a process started ahead is told them."""

_ELSEWHERE = frozenset(
    {
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "__PYVENV_LAUNCHER__",
    }
    | {process.SOFT_FILES}
)
"""Variables that would lead the replica's Python out of its environment."""


@record
class ServedModel:
    """A model as its version resolved it."""

    name: str
    number: int
    version: str

    @property
    def label(self) -> str:
        """The custom version, or `v3`."""
        return self.version or f"v{self.number}"


@record
class ReplicaSpec:
    """All that the replicas of one version share. `folder` is the version's, `replicas` the
    folder of the replicas', `python` the environment's interpreter, `runtime` the folder that
    holds `spice_runtime`."""

    server: str
    version: int
    definition: ServerDefinition
    models: tuple[ServedModel, ...]
    mounted: bool
    folder: Path
    replicas: Path
    python: Path
    runtime: Path
    environment: str = ""
    system: System | None = None
    state: Path = Path()
    activation: Mapping[str, str] = field(default_factory=dict[str, str])


@record
class Doors:
    """Where a replica listens, and its page of started calls."""

    control: Path
    lane: Path
    started: Path


def doors_of(folder: Path) -> Doors:
    """Where the replica of that folder listens: beside its log, or, where that path is too long
    for a socket, in the user's runtime directory."""
    control, lane = folder / "control.sock", folder / "lane.sock"
    if len(os.fsencode(control)) > MAX_SOCKET_PATH:
        key = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
        control = runtime_directory() / f"r-{key}.c"
        lane = runtime_directory() / f"r-{key}.l"
    return Doors(control, lane, folder / "started")


def write_files(spec: ReplicaSpec, number: int, variables: Mapping[str, str] | None = None) -> Path:
    """Make a replica's folder with what it reads; gives the path of `replica.json`. Blocks.
    `variables` are set by a process that was started ahead.

    Raises:
        StorageError: it cannot be written.
    """
    folder = spec.replicas / str(number)
    doors, definition = doors_of(folder), spec.definition
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if doors.control.parent != folder:
            doors.control.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_sockets(folder)
        doors.started.write_bytes(bytes(8 * wire.STARTED_SLOTS))
        note: dict[str, Any] = {
            "version": 1,
            "server": spec.server,
            "replica": number,
            "server_version": spec.version,
            "type": definition.type,
            "entrypoint": definition.entrypoint,
            "code": str(spec.folder / "code"),
            "classname": definition.classname,
            "config": definition.config,
            "models": [
                {
                    "name": model.name,
                    "version": model.label,
                    "path": str(spec.folder / "model" / model.name),
                }
                for model in spec.models
            ],
            "model_dir": str(spec.folder / "model") if spec.models else "",
            "mounts_dir": str(spec.folder / "mounts") if spec.mounted else "",
            "control_socket": str(doors.control),
            "lane_socket": str(doors.lane),
            "started": str(doors.started),
            "num_processes": definition.num_processes,
            "threads": definition.threads,
            "max_concurrency": definition.max_concurrency,
            "batching": definition.batching.enabled,
            "debug": definition.debug,
            "request_prefix": f"/servers/{spec.server}",
            "variables": dict(variables or {}),
        }
        process.write_json(str(folder), "replica.json", note, durable=False)
    except OSError as error:
        raise storage_error(error, "start a replica", folder) from error
    return folder / "replica.json"


def remove_sockets(folder: Path) -> None:
    """Take away the sockets of a replica that ended. Blocks."""
    doors = doors_of(folder)
    for path in (doors.control, doors.lane):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def job_of(
    spec: ReplicaSpec,
    number: int,
    devices: Sequence[int],
    environment: Mapping[str, str],
    *,
    ahead: bool = False,
) -> Job:
    """The command of a replica with these GPUs. `environment` are the engine's own variables.

    With `ahead` that of a process which waits until it is told what it hosts.
    """
    script = spec.runtime / "spice_runtime" / "replica.py"
    note = spec.replicas / str(number) / "replica.json"
    limits = spec.definition.limits
    env = {name: value for name, value in environment.items() if name not in _ELSEWHERE}
    if spec.system is not None:
        env |= spec.system.environment()
    env = conda_activation.activated(env, spec.activation)
    binaries = str(spec.python.parent)
    env["PATH"] = f"{binaries}{os.pathsep}{env['PATH']}" if env.get("PATH") else binaries
    if (spec.python.parent.parent / "pyvenv.cfg").is_file():
        env["VIRTUAL_ENV"] = str(spec.python.parent.parent)
    elif (spec.python.parent.parent / "conda-meta").is_dir():
        env["CONDA_PREFIX"] = str(spec.python.parent.parent)
    if limits.cpu_limit is not None:
        # Libraries start a thread for each core they see, and would wait for each other.
        env["OMP_NUM_THREADS"] = str(max(1, math.ceil(limits.cpu_limit)))
    env.update(variables_of(devices))
    env.update(spec.definition.env)
    env.update(
        SPICE_SERVER=spec.server,
        SPICE_SERVER_VERSION=str(spec.version),
        SPICE_REPLICA=str(number),
    )
    return Job(
        argv=(str(spec.python), "-s", str(script), *(("--ahead",) if ahead else ()), str(note)),
        env=env,
        cwd=str(spec.folder / "code"),
        views=tuple(views_of(spec.system, spec.replicas / str(number) / LAYER, spec.state)),
        grace_s=GRACE_SECONDS,
        log_rotate_bytes=LOG_ROTATE_BYTES,
    )


def own_variables(job: Job) -> dict[str, str]:
    """The variables of a job that are its replica's alone."""
    return {name: job.env[name] for name in _OWN if name in job.env}


def can_become(waiting: Mapping[str, Any], job: Job) -> bool:
    """Whether a process that was started ahead, with that `job.json`, can be told to do this job
    for its own number: interpreter, runtime and variables are the same."""
    there = {name: value for name, value in waiting["env"].items() if name not in _OWN}
    wanted = {name: value for name, value in job.env.items() if name not in _OWN}
    if there != wanted or list(waiting["argv"]) != list(job.argv):
        return False
    # Python has made absolute paths of what stands there.
    return "PYTHONPATH" not in wanted or waiting["cwd"] == job.cwd


def devices_of(folder: Path) -> tuple[int, ...]:
    """The GPUs that the replica of that folder was started with. Blocks."""
    job = process.read_json(str(folder), process.JOB) or {}
    told = process.read_json(str(folder), "replica.json") or {}
    return devices_in({**job.get("env", {}), **told.get("variables", {})})
