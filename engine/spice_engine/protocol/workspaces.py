"""Requests and answers about workspaces: notebook servers that stay."""

from __future__ import annotations

from dataclasses import field

from spice_engine.protocol.servers import Dependencies
from spice_engine.records import record


@record
class StartWorkspace:
    """Make a workspace, or start one that is there. What is None stays as it was the last time.

    `interface` is `lab` or `notebook`. It works in the folder `cwd` itself, inside the app folder.
    Times are seconds: a kernel that idles so long is ended, a workspace without kernels that
    nobody uses is stopped; 0 is never. `port` is one that must be free; without it one is found.
    """

    name: str
    interface: str | None = None
    cwd: str | None = None
    env: dict[str, str] | None = None
    machine_type: str | None = None
    cpu: float | None = None
    memory: int | None = None
    mounts: list[str] | None = None
    dependencies: Dependencies | None = None
    description: str | None = None
    idle_kernel_timeout: float | None = None
    no_activity_timeout: float | None = None
    port: int | None = None


@record
class WorkspaceName:
    """One workspace."""

    name: str


@record
class WorkspaceInfo:
    """One workspace; times are Unix seconds, timeouts seconds.

    `state` is starting, ready, silent (it runs and does not answer), stopping, stopped, failed,
    or what its run waits for (queued, building, mounting). `run` is its newest run. `address` has
    no token. `last_activity` is None until it has answered; `kernels` counts those that run.
    """

    name: str
    state: str
    message: str
    run: int
    address: str
    port: int
    interface: str
    cwd: str
    machine_type: str
    started: float | None
    ended: float | None
    idle_kernel_timeout: float
    no_activity_timeout: float
    last_activity: float | None = None
    kernels: int = 0


@record
class WorkspaceList:
    """All workspaces, by name."""

    workspaces: list[WorkspaceInfo] = field(default_factory=list[WorkspaceInfo])


@record
class WorkspaceAddress:
    """Where a workspace is open, and the token that lets one in: `ADDRESS?token=TOKEN`.

    They are apart, so that what hides secrets finds it.
    """

    address: str
    port: int
    token: str
