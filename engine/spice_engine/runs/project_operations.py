"""The operations on projects."""

from __future__ import annotations

from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.protocol.projects import (
    ArchiveProject,
    EditProject,
    GetProject,
    ListProjects,
    MakeProject,
    ProjectDetails,
    ProjectInfo,
    ProjectList,
    ProjectRuns,
)
from spice_engine.runs.projects import Projects

MOST_RUNS = 10_000


@operation("projects.create", http="POST /api/v1/projects")
async def create(projects: Projects, request: MakeProject) -> ProjectInfo:
    """Make a project, and put runs into it that are in none."""
    _check_runs(request.runs)
    return await projects.create(request.name, request.description, request.runs)


@operation("projects.list", http="GET /api/v1/projects")
async def list_projects(projects: Projects, request: ListProjects) -> ProjectList:
    """List the projects, or those that are archived."""
    return ProjectList(await projects.list(archived=request.archived))


@operation("projects.get", http="GET /api/v1/projects/{name}")
async def get(projects: Projects, request: GetProject) -> ProjectDetails:
    """Tell everything about a project: its runs by state, best metrics, and the newest runs."""
    return await projects.details(request.name, request.number)


@operation("projects.edit", http="PUT /api/v1/projects/{name}")
async def edit(projects: Projects, request: EditProject) -> ProjectInfo:
    """Rename a project or describe it."""
    return await projects.edit(
        request.name, new_name=request.new_name, description=request.description
    )


@operation("projects.archive", http="POST /api/v1/projects/{name}/archive")
async def archive(projects: Projects, request: ArchiveProject) -> ProjectInfo:
    """Archive a project, or take it back; its runs stay as they are."""
    return await projects.archive(request.name, archived=request.archived)


@operation("projects.add_runs", http="POST /api/v1/projects/{name}/runs")
async def add_runs(projects: Projects, request: ProjectRuns) -> ProjectInfo:
    """Put runs into a project that are in none: all of them, or none."""
    _check_runs(request.runs)
    return await projects.add_runs(request.name, request.runs)


@operation("projects.remove_runs", http="POST /api/v1/projects/{name}/runs/remove")
async def remove_runs(projects: Projects, request: ProjectRuns) -> ProjectInfo:
    """Take runs out of a project: all of them, or none."""
    _check_runs(request.runs)
    return await projects.remove_runs(request.name, request.runs)


def _check_runs(runs: list[int]) -> None:
    if len(runs) > MOST_RUNS:
        raise InvalidRequest(f"more than {MOST_RUNS} runs in one call.")
    for number in runs:
        if not 0 < number < 2**63:
            raise InvalidRequest(f"{number} is no run's number.")
