"""A workspace as others see it: what its run says, and what its server does."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spice_engine.protocol.machine_types import DEFAULT_MACHINE_TYPE
from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.servers import Dependencies
from spice_engine.protocol.workspaces import WorkspaceInfo
from spice_engine.runs.environment_wishes import is_path
from spice_engine.runs.mounts import parse
from spice_engine.runs.notebook_server import MODULES, Activity, NoAnswer, needs
from spice_engine.runs.workspace_folders import VARIABLES
from spice_engine.store.runs import FINAL_STATES, RunRow

KIND = "workspace"
IDLE_SECONDS = 1800.0
"""Spell's default of both timeouts."""


def is_over(run: RunInfo) -> bool:
    """Whether its server does not run any more."""
    return run.state in FINAL_STATES


def has_died(run: RunInfo) -> bool:
    """Whether its server ended by itself, and not well."""
    return run.state == "complete" and bool(run.exit_code)


def port_of(run: RunInfo) -> int:
    """The port that its server listens on."""
    return int(run.params.get("port") or 0)


def timeouts_of(run: RunInfo) -> tuple[float, float]:
    """Seconds after which an idle kernel is ended, and a workspace that nobody uses; 0: never."""
    names = ("idle_kernel_timeout", "no_activity_timeout")
    kernel, whole = (float(run.params.get(name) or 0) for name in names)
    return kernel, whole


def last_words(log: str) -> str:
    """Why a server died, as the end of its log tells it."""
    if any(f"No module named {module}" in log for module in MODULES.values()):
        return "its environment has no notebook server; add one: --pip jupyterlab (or notebook)."
    # Jupyter begins a line with its level; what only informs is no reason.
    lines = [
        line.strip()
        for line in log.splitlines()
        if line.strip() and not line.startswith(("[I ", "[D "))
    ]
    return lines[-1][:200] if lines else ""


def settings_of(row: RunRow | None) -> dict[str, Any]:
    """What a workspace was asked for with the last time, or what a new one has."""
    if row is None:
        return {
            "interface": "lab",
            "cwd": "",
            "env": {},
            "machine_type": DEFAULT_MACHINE_TYPE,
            "cpu": None,
            "memory": None,
            "mounts": [],
            "dependencies": None,
            "description": "",
            "idle_kernel_timeout": IDLE_SECONDS,
            "no_activity_timeout": IDLE_SECONDS,
            "port": None,
        }
    return {
        "interface": row.params.get("interface", "lab"),
        "cwd": row.cwd,
        "env": {name: text for name, text in row.env.items() if name not in VARIABLES},
        "machine_type": row.machine_type,
        "cpu": row.limits.get("cpu"),
        "memory": row.limits.get("memory"),
        "mounts": [f"{mount.resource}:{mount.path}" for mount in row.mounts],
        "dependencies": None if row.dependencies is None else Dependencies(**row.dependencies),
        "description": row.description,
        "idle_kernel_timeout": row.params.get("idle_kernel_timeout", IDLE_SECONDS),
        "no_activity_timeout": row.params.get("no_activity_timeout", IDLE_SECONDS),
        "port": row.params.get("port"),
    }


def differing(had: Mapping[str, Any], wanted: Mapping[str, Any], root: Path) -> list[str]:
    """In what a workspace is asked for otherwise than it runs; its paths begin in `root`.

    Raises:
        InvalidRequest: a mount is none.
    """

    def told(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **settings,
            "cwd": os.path.normpath(root / settings["cwd"]),
            "machine_type": settings["machine_type"].lower(),
            "mounts": parse(settings["mounts"]),
            "dependencies": needed_by(settings),
        }

    before, after = told(had), told(wanted)
    return [name for name in before if before[name] != after[name]]


def uses_this_python(needed: Dependencies | None) -> bool:
    """Whether a workspace with this environment runs on a Python of this machine: it asks for
    packages of the system at most."""
    return needed is None or dataclasses.replace(needed, apt=[]) == Dependencies()


def python_of(needed: Dependencies) -> str:
    """The Python of an environment of its own, as its PATH has it."""
    if is_path(needed.python):
        return needed.python
    # An image may have no other name for its own.
    return "python3" if _is_image_alone(needed) else "python"


def needed_by(wanted: Mapping[str, Any]) -> Dependencies | None:
    """The environment of its own, None for none. It gets what serves notebooks, unless that is a
    matter of an image, a lock, a conda file or an interpreter that is used as it is."""
    needed: Dependencies | None = wanted["dependencies"]
    if needed is None or needed == Dependencies():
        return None
    if (
        needed.conda_file
        or needed.lock
        or is_path(needed.python)
        or uses_this_python(needed)
        or _is_image_alone(needed)
    ):
        return needed
    named = [*needed.pip, *needed.conda, *needed.requirements.splitlines()]
    more = needs(wanted["interface"], named)
    if needed.conda:
        return dataclasses.replace(needed, conda=[*needed.conda, *more])
    return dataclasses.replace(needed, pip=[*needed.pip, *more])


def _is_image_alone(needed: Dependencies) -> bool:
    """Whether nothing of Python's is put into the image."""
    own = (needed.pip, needed.requirements, needed.python, needed.conda, needed.conda_file)
    return bool(needed.image) and not any(own)


def info_of(run: RunInfo, seen: Activity | NoAnswer | None, words: str | None) -> WorkspaceInfo:
    """The workspace whose newest run this is; `words` are the last of a server that died, None
    until they are known."""
    state, message = run.state, run.message
    if has_died(run) and words is None:
        state = "stopping"
    elif is_over(run):
        fine = run.state in {"stopped", "killed"} or (run.state, run.exit_code) == ("complete", 0)
        state = "stopped" if fine else "failed"
        if words:
            message = f"The server {message}: {words}"
        elif has_died(run):
            message = f"The server {message}."
    elif run.state == "running":
        match seen:
            case Activity():
                state = "ready"
            case NoAnswer():
                state, message = "silent", f"The server does not answer: {seen}."
            case None:
                state = "starting"
    active = seen if isinstance(seen, Activity) else None
    return WorkspaceInfo(
        name=run.name,
        state=state,
        message=message,
        run=run.id,
        address=run.link,
        port=port_of(run),
        interface=str(run.params.get("interface", "lab")),
        cwd=run.cwd,
        machine_type=run.machine_type,
        started=run.started,
        ended=run.ended,
        idle_kernel_timeout=timeouts_of(run)[0],
        no_activity_timeout=timeouts_of(run)[1],
        last_activity=None if active is None else active.last,
        kernels=0 if active is None else len(active.kernels),
    )
