"""Requests and answers about workflows: scripts that make runs, and steps declared in YAML."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from spice_engine.protocol.machine_types import DEFAULT_MACHINE_TYPE
from spice_engine.protocol.runs import StartRun
from spice_engine.protocol.servers import Dependencies
from spice_engine.records import record


@record
class CreateWorkflow:
    """Begin a workflow that a script drives. It is a run of kind `workflow`, or with `local` a
    process of the caller's, who tells its end by `workflows.finish`.

    The script and its runs are on the folder as it is, or on a commit of `git`, as runs are.
    `repos` are further code for its runs: a label, and `PATH[:COMMIT]` or `URL[:REF]`. What a
    workflow begins is `within` that, and ends with it. Of all requests with the same `request_key`
    the first begins a workflow.
    """

    command: list[str] | str
    local: bool = False
    repos: dict[str, str] = field(default_factory=dict[str, str])
    name: str = ""
    cwd: str = ""
    env: dict[str, str] = field(default_factory=dict[str, str])
    labels: list[str] = field(default_factory=list[str])
    project: str = ""
    description: str = ""
    machine_type: str = DEFAULT_MACHINE_TYPE
    dependencies: Dependencies | None = None
    mounts: list[str] = field(default_factory=list[str])
    request_key: str = ""
    within: int | None = None
    git: str = ""
    git_ref: str = ""


@record
class RunWorkflow:
    """Carry out a declared workflow: `file` is a path in the app folder, or the name of a file in
    `workflows/`. `params` go before those of the file; with `fresh` nothing is taken from earlier
    runs. What a workflow begins is `within` that, and ends with it. Of all requests with the same
    `request_key` the first begins a workflow."""

    file: str
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    fresh: bool = False
    request_key: str = ""
    within: int | None = None


@record
class CheckWorkflow:
    """Read a workflow's file and carry out nothing."""

    file: str
    params: dict[str, Any] = field(default_factory=dict[str, Any])


@record
class WorkflowId:
    """One workflow, by its number."""

    id: int


@record
class ListWorkflows:
    """The newest `number` workflows, oldest of them first."""

    number: int = 50
    archived: bool = False


@record
class FinishWorkflow:
    """The script of a local workflow has ended."""

    id: int
    exit_code: int


@record
class StartWorkflowRun:
    """Start a run that the script or a step of a workflow asks for. It runs on the workflow's
    snapshot of the folder, or on the code of a label. Of all requests with the same `request_key`
    the first starts one."""

    id: int
    run: StartRun
    label: str = ""
    request_key: str = ""


@record
class StepInfo:
    """One instance of a step. `key` is `train`, or `train[2]` of a step with `foreach`.

    `state`: waiting, starting, running, complete, cached, failed, skipped or stopped; `run` is the
    run that carries it out, or that it was taken from.
    """

    key: str
    state: str
    run: int | None = None
    message: str = ""
    needs: list[str] = field(default_factory=list[str])
    params: dict[str, Any] = field(default_factory=dict[str, Any])


@record
class WorkflowInfo:
    """One workflow; times are Unix seconds.

    `kind` is script, local or declared; `state` running, stopping, killing, complete, failed,
    stopped or killed. `run` is the managing run of a script; `steps` are those of a file, and
    `counts` how many are in each state. `within` is the workflow that began it. Lists leave `steps`
    out.
    """

    id: int
    kind: str
    name: str
    state: str
    message: str
    created: float
    ended: float | None
    run: int | None
    command: list[str]
    file: str
    params: dict[str, Any]
    description: str = ""
    resumed: int = 0
    counts: dict[str, int] = field(default_factory=dict[str, int])
    steps: list[StepInfo] = field(default_factory=list[StepInfo])
    repos: dict[str, str] = field(default_factory=dict[str, str])
    archived: float | None = None
    within: int | None = None


@record
class WorkflowList:
    """Workflows, oldest first."""

    workflows: list[WorkflowInfo]


@record
class PlannedStep:
    """What a step will be: one `count` of instances, and what it needs."""

    name: str
    count: int
    needs: list[str]


@record
class WorkflowPlan:
    """A file that can be carried out."""

    name: str
    file: str
    steps: list[PlannedStep]


@record
class WorkflowVariables:
    """Environment variables for a script that makes runs."""

    variables: dict[str, str]
