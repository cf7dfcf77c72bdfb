"""Which runs go into an archive, and the searches, workflows and projects that they belong to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from spice_engine.errors import Conflict, InvalidRequest
from spice_engine.protocol.run_archives import ExportArchive
from spice_engine.records import record
from spice_engine.store import projects as project_table
from spice_engine.store import runs as run_table
from spice_engine.store import searches as search_table
from spice_engine.store import workflows as workflow_table
from spice_engine.store.projects import ProjectRow
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.store.searches import OVER, SearchRow, TrialRow
from spice_engine.store.workflows import StepRow, WorkflowRow

MOST_RUNS = 10_000


@record
class Chosen:
    """What goes into an archive; `left_out` counts the runs that go on."""

    runs: tuple[RunRow, ...]
    searches: tuple[tuple[SearchRow, tuple[TrialRow, ...]], ...]
    workflows: tuple[tuple[WorkflowRow, tuple[StepRow, ...]], ...]
    projects: tuple[ProjectRow, ...]
    left_out: int

    @property
    def codes(self) -> set[str]:
        """The stored folders that the runs began with, and the workflows."""
        found = {run.code for run in self.runs}
        return (found | {workflow.code for workflow, _ in self.workflows}) - {""}


def choose(connection: sqlite3.Connection, request: ExportArchive) -> Chosen:
    """All that an archive is asked to hold.

    Raises:
        NotFound: there is no such run, search, workflow or project.
        Conflict: it goes on.
        InvalidRequest: it holds no run, or too many.
    """
    numbers = set(request.runs)
    groups = (request.search, request.workflow)
    if any(not 0 < number < 2**63 for number in numbers) or any(
        not 0 <= number < 2**63 for number in groups
    ):
        raise InvalidRequest("runs, search, workflow: no such number.")
    for row in run_table.get_all(connection, request.runs):
        if row.state not in FINAL_STATES:
            raise Conflict(f"run {row.id} is not over ({row.state}).", hint="Wait for its end.")
    if request.search:
        search = search_table.get(connection, request.search)
        if search.state not in OVER:
            raise Conflict(f"search {search.id} is not over.", hint="Wait for its end.")
        numbers |= _made_by(connection, f"search:{search.id}")
    if request.workflow:
        workflow = workflow_table.get(connection, request.workflow)
        if workflow.state in workflow_table.ACTIVE:
            raise Conflict(f"workflow {workflow.id} is not over.", hint="Wait for its end.")
        numbers |= _of_workflow(connection, workflow)
    if request.project:
        name = project_table.get(connection, request.project).name
        rows = connection.execute("SELECT id FROM runs WHERE project = ?", (name,))
        numbers |= {row[0] for row in rows}
    if request.everything:
        numbers |= {row[0] for row in connection.execute("SELECT id FROM runs")}
    if len(numbers) > MOST_RUNS:
        raise InvalidRequest(
            f"an archive holds at most {MOST_RUNS} runs, and these are {len(numbers)}.",
            hint="Write one for each project.",
        )
    rows = run_table.get_all(connection, sorted(numbers))
    over = tuple(row for row in rows if row.state in FINAL_STATES)
    if not over:
        raise InvalidRequest("there is no run that is over, so nothing to export.")
    return Chosen(
        over,
        tuple(_searches(connection, _numbers(over, "search"))),
        tuple(_workflows(connection, _numbers(over, "workflow"))),
        tuple(
            project_table.get(connection, name)
            for name in sorted({row.project for row in over if row.project})
        ),
        len(rows) - len(over),
    )


def _made_by(connection: sqlite3.Connection, mark: str) -> set[int]:
    return {row[0] for row in connection.execute("SELECT id FROM runs WHERE made_by = ?", (mark,))}


def _of_workflow(connection: sqlite3.Connection, workflow: WorkflowRow) -> set[int]:
    """Its script's run, those it made, those that these made in turn, and the steps taken over;
    and the same of the workflows that it began."""
    found = {step.run for step in workflow_table.steps(connection, workflow.id)} | {workflow.run}
    numbers = {number for number in found if number is not None}
    left = numbers | set(workflow_table.runs_of(connection, workflow.id))
    while left:
        numbers |= left
        left = set(workflow_table.children_of(connection, sorted(left))) - numbers
    for one in workflow_table.within(connection, workflow.id):
        numbers |= _of_workflow(connection, one)
    return numbers


def _numbers(runs: Iterable[RunRow], kind: str) -> list[int]:
    marks = {run.made_by.partition(":")[::2] for run in runs}
    return sorted(int(number) for owner, number in marks if owner == kind and number.isdecimal())


def _searches(
    connection: sqlite3.Connection, numbers: Iterable[int]
) -> Iterable[tuple[SearchRow, tuple[TrialRow, ...]]]:
    for number in numbers:
        row = search_table.get(connection, number)
        if row.state in OVER:
            yield row, search_table.trials(connection, number)


def _workflows(
    connection: sqlite3.Connection, numbers: Iterable[int]
) -> Iterable[tuple[WorkflowRow, tuple[StepRow, ...]]]:
    for number in numbers:
        row = workflow_table.get(connection, number)
        if row.state not in workflow_table.ACTIVE:
            yield row, workflow_table.steps(connection, number)
