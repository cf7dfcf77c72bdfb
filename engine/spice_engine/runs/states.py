"""A run as others see it, and how the end of its process is to be read."""

from __future__ import annotations

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs.parameters import filled
from spice_engine.runs.requests import SHELL
from spice_engine.store.runs import RunRow
from spice_engine.store.tracking import EXTERNAL
from spice_engine.workers.shims import Exit

STOPPED_AS = {"stopping": "stopped", "killing": "killed"}
"""States in which a run is wanted to end, and those they end in."""

WAITING = frozenset({"requested", "queued", "building", "mounting"})
"""States of a run whose process was not started yet; `queued`: it waits for a machine."""


def succeeded(run: RunRow | RunInfo) -> bool:
    """Whether a run's command came to its own end, with exit code 0."""
    return run.state == "complete" and run.outcome == "success"


def has_process(run: RunRow | RunInfo) -> bool:
    """Whether its process is ours. Those of tracking clients are not; a trial without a command is
    done by code that asked for it, or by the engine."""
    return run.kind != EXTERNAL and bool(run.command)


def info_of(row: RunRow) -> RunInfo:
    """A stored run as it crosses the doors, with its parameters in its command; a shell line is
    shown as the user gave it."""
    command = list(filled(row.command, row.params))
    if len(command) == 3 and tuple(command[:2]) == SHELL:
        command = command[2:]
    return RunInfo(
        id=row.id,
        kind=row.kind,
        name=row.name,
        command=command,
        cwd=row.cwd,
        state=row.state,
        outcome=row.outcome,
        exit_code=row.exit_code,
        message=row.message,
        created=row.created,
        started=row.started,
        ended=row.ended,
        labels=list(row.labels),
        project=row.project or "",
        machine_type=row.machine_type,
        description=row.description,
        mounts=[f"{mount.resource}:{mount.path}" for mount in row.mounts],
        came_from=sorted({mount.run for mount in row.mounts if mount.run is not None}),
        environment=row.environment,
        dependencies=None if row.dependencies is None else Dependencies(**row.dependencies),
        in_place=not row.code,
        stages=dict(row.stages),
        output_files=None if row.outputs is None else row.outputs.files,
        output_bytes=None if row.outputs is None else row.outputs.size,
        params=dict(row.params),
        parent=row.parent,
        made_by=row.made_by,
        priority=row.priority,
        after=list(row.after),
        after_ok=row.after_ok,
        retries=row.retries,
        attempt=row.attempt,
        archived=row.archived,
        idempotent=row.idempotent,
        auto_resume=row.auto_resume,
        resumed_from=row.resumed_from,
        resumed_as=row.resumed_as,
        stop_conditions=list(row.stop_conditions),
        tensorboard=row.tensorboard,
        distributed=row.distributed,
        source=row.source,
        link=row.link,
    )


def asked_with(row: RunRow) -> StartRun:
    """The request that makes a run the same again: in the folder as it had it, with its mounts as
    they are now. What it came after is over or will be; it waits for nothing.

    Raises:
        InvalidRequest: it has no command.
    """
    if not row.command:
        raise InvalidRequest(f"run {row.id} has no command that could be run again.")
    shell = len(row.command) == 3 and row.command[:2] == SHELL
    return StartRun(
        command=row.command[2] if shell else list(row.command),
        name=row.name,
        cwd=row.cwd,
        env=dict(row.env),
        labels=list(row.labels),
        project=row.project or "",
        timeout=row.limits.get("timeout"),
        cpu=row.limits.get("cpu"),
        memory=row.limits.get("memory"),
        machine_type=row.machine_type,
        description=row.description,
        dependencies=None if row.dependencies is None else Dependencies(**row.dependencies),
        mounts=[f"{mount.resource}:{mount.path}" for mount in row.mounts],
        in_place=not row.code,
        params=dict(row.params),
        priority=row.priority,
        retries=row.retries,
        auto_resume=row.auto_resume,
        stop_conditions=list(row.stop_conditions),
        tensorboard=row.tensorboard,
        distributed=row.distributed,
        source=row.source,
        code_of=row.id,
    )


def ending_of(state: str, exit_: Exit, outcome: str | None = None) -> tuple[str, str, str]:
    """State, outcome and message of a run that was in `state` when its process ended; `outcome`
    is what was noted of one whose outputs were being saved."""
    if state == "saving" and outcome == "stopped":
        state = "stopping"
    if state == "killing":
        return "killed", "killed", "Killed."
    if state == "stopping" or exit_.reason == "stopped":
        return "stopped", "stopped", "Stopped."
    if exit_.reason == "timeout":
        return "stopped", "timeout", "Stopped at its timeout."
    if exit_.reason == "exited":
        return "complete", "success" if exit_.exit_code == 0 else "failed", exit_.message
    return "complete", "failed", exit_.message or f"{exit_.reason.capitalize()}."
