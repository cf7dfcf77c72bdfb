"""The operations on workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spice_engine import yaml_tree
from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.views import Lineage
from spice_engine.protocol.workflows import (
    CheckWorkflow,
    CreateWorkflow,
    FinishWorkflow,
    ListWorkflows,
    PlannedStep,
    RunWorkflow,
    StartWorkflowRun,
    WorkflowId,
    WorkflowInfo,
    WorkflowList,
    WorkflowPlan,
    WorkflowVariables,
)
from spice_engine.runs.workflows.service import Workflows

MAX_LISTED = 1000


def values_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the file would have them: the text `3` is a number there.

    Raises:
        InvalidRequest: one is no single value.
    """
    found: dict[str, Any] = {}
    for name, value in params.items():
        if not isinstance(value, str | int | float | bool):
            raise InvalidRequest(f"param {name[:100]!r} must be a text, a number or a truth.")
        known = yaml_tree.resolve(value) if isinstance(value, str) else value
        found[name] = value if known is None else known
    return found


@operation("workflows.create", http="POST /api/v1/workflows")
async def create(workflows: Workflows, request: CreateWorkflow) -> WorkflowInfo:
    """Begin a workflow that a script drives."""
    return await workflows.scripts.create(request)


@operation("workflows.run", http="POST /api/v1/workflows/run")
async def run(workflows: Workflows, request: RunWorkflow) -> WorkflowInfo:
    """Carry out the steps that a file declares."""
    return await workflows.declared.begin(
        request.file,
        values_of(request.params),
        fresh=request.fresh,
        key=request.request_key,
        within=request.within,
    )


@operation("workflows.check", http="POST /api/v1/workflows/check")
async def check(workflows: Workflows, request: CheckWorkflow) -> WorkflowPlan:
    """Read a workflow's file and tell its steps; nothing is carried out."""
    found = await workflows.declared.check(request.file, values_of(request.params))
    steps = [
        PlannedStep(step.name, len(step.values), [*step.needs, *step.watched])
        for step in found.plan.steps.values()
    ]
    return WorkflowPlan(found.name, found.file, steps)


@operation("workflows.resume", http="POST /api/v1/workflows/{id}/resume")
async def resume(workflows: Workflows, request: WorkflowId) -> WorkflowInfo:
    """Go on with a declared workflow from what failed, was skipped or stopped."""
    return await workflows.declared.resume(request.id)


@operation("workflows.list", http="GET /api/v1/workflows")
async def list_workflows(workflows: Workflows, request: ListWorkflows) -> WorkflowList:
    """List the newest workflows without their steps, oldest of them first."""
    count = max(0, min(request.number, MAX_LISTED))
    return WorkflowList(await workflows.known.listed(count, archived=request.archived))


@operation("workflows.get", http="GET /api/v1/workflows/{id}")
async def get(workflows: Workflows, request: WorkflowId) -> WorkflowInfo:
    """Tell everything about one workflow."""
    return await workflows.known.info(await workflows.known.row(request.id))


@operation("workflows.wait", http="POST /api/v1/workflows/{id}/wait")
async def wait(workflows: Workflows, request: WorkflowId) -> WorkflowInfo:
    """Tell everything about one workflow when it is over; the answer comes then."""
    return await workflows.known.over(request.id)


@operation("workflows.attend", http="POST /api/v1/workflows/{id}/attend")
async def attend(workflows: Workflows, request: WorkflowId) -> WorkflowInfo:
    """As `workflows.wait`, asked by the terminal of a local workflow's script: if its connection
    to the engine's socket ends before that, the script is taken for gone."""
    return await workflows.terminals.attend(request.id)


@operation("workflows.graph", http="GET /api/v1/workflows/{id}/graph")
async def graph(workflows: Workflows, request: WorkflowId) -> Lineage:
    """Give a workflow as a graph: steps or runs with their states, and what came from what."""
    return await workflows.known.graph(await workflows.known.row(request.id))


@operation("workflows.variables", http="GET /api/v1/workflows/{id}/variables")
async def variables(workflows: Workflows, request: WorkflowId) -> WorkflowVariables:
    """Give the variables that the script of a local workflow needs, the token among them."""
    return WorkflowVariables(await workflows.variables_of(request.id))


@operation("workflows.stop", http="POST /api/v1/workflows/{id}/stop")
async def stop(workflows: Workflows, request: WorkflowId) -> WorkflowInfo:
    """Stop a workflow and the runs it made; their outputs are kept."""
    return await workflows.end(request.id, kill=False)


@operation("workflows.kill", http="POST /api/v1/workflows/{id}/kill")
async def kill(workflows: Workflows, request: WorkflowId) -> WorkflowInfo:
    """End a workflow and the runs it made at once."""
    return await workflows.end(request.id, kill=True)


@operation("workflows.archive", http="DELETE /api/v1/workflows/{id}")
async def archive(workflows: Workflows, request: WorkflowId) -> WorkflowInfo:
    """Put a workflow that is over away, and the runs it made."""
    return await workflows.archive(request.id)


@operation("workflows.start_run", http="POST /api/v1/workflows/{id}/runs")
async def start_run(workflows: Workflows, request: StartWorkflowRun) -> RunInfo:
    """Start a run of a workflow, on the folder as it was when that began."""
    return await workflows.scripts.start_run(request)


@operation("workflows.finish", http="POST /api/v1/workflows/{id}/finish")
async def finish(workflows: Workflows, request: FinishWorkflow) -> WorkflowInfo:
    """Tell that the script of a local workflow has ended."""
    return await workflows.scripts.finish(request)
