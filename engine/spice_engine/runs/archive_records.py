"""What an archive tells of runs, searches and workflows: as plain data, and back, checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from spice_engine.errors import InvalidRequest, SpiceError
from spice_engine.protocol.runs import RunInfo
from spice_engine.records import record
from spice_engine.runs import search_plan
from spice_engine.runs.archive_selection import Chosen
from spice_engine.runs.run_rows import ORIGIN
from spice_engine.runs.states import info_of
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.store.searches import OVER, TRIAL_OVER, SearchRow, TrialRow
from spice_engine.store.workflows import ACTIVE, StepRow, WorkflowRow

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


@record
class ArchivedRun:
    """A run as an archive tells it. `code` is the object of the folder it began with, `inner` where
    in that its command did; None of one that began elsewhere. `sources` are where its mounts lay,
    by what they were asked for as; `tags` those of tracking clients."""

    run: RunInfo
    origin: str
    limits: dict[str, int | float | None]
    code: str = ""
    inner: str | None = None
    sources: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    tags: dict[str, str] = dataclasses.field(default_factory=dict[str, str])


@record
class ArchivedProject:
    """A project as an archive tells it."""

    name: str
    description: str = ""


@record
class ToldGroups:
    """The searches with their trials, the workflows with their steps, and the projects."""

    searches: tuple[tuple[SearchRow, tuple[TrialRow, ...]], ...]
    workflows: tuple[tuple[WorkflowRow, tuple[StepRow, ...]], ...]
    projects: tuple[ArchivedProject, ...]


def plain_run(row: RunRow, origin: str, root: Path, *, code: bool) -> dict[str, Any]:
    """A run as plain data, without its variables, which may hold secrets. Its command is as it was
    asked for: a line of the shell, or words, with its parameters' names."""
    inner = None
    if Path(row.cwd).is_relative_to(root):
        inner = str(Path(row.cwd).relative_to(root))
    return {
        "run": dataclasses.asdict(info_of(row)) | {"command": list(row.command)},
        "origin": origin,
        "limits": dict(row.limits),
        "code": row.code if code else "",
        "inner": inner,
        "sources": {mount.resource: mount.source for mount in row.mounts},
    }


def plain_groups(chosen: Chosen, *, code: bool) -> dict[str, Any]:
    """Searches, workflows and projects as plain data, without the variables of their runs."""
    return {
        "searches": [
            [_plain_search(search), [dataclasses.asdict(one) for one in trials]]
            for search, trials in chosen.searches
        ],
        "workflows": [
            [
                dataclasses.asdict(row) | {"repos": {}} | ({} if code else {"code": ""}),
                [dataclasses.asdict(step) for step in steps],
            ]
            for row, steps in chosen.workflows
        ],
        "projects": [{"name": one.name, "description": one.description} for one in chosen.projects],
    }


def _plain_search(search: SearchRow) -> dict[str, Any]:
    plan = dict(search.plan)
    if plan.get("run"):
        plan["run"] = {**plan["run"], "env": {}}
    told = dataclasses.asdict(dataclasses.replace(search, mounts=(), sampler_state=None))
    return {**told, "plan": plan, "code": ""}


def told_run(about: Mapping[str, Any]) -> ArchivedRun:
    """A run of an archive.

    Raises:
        InvalidRequest: it is damaged, or was not over.
    """
    told = _checked(ArchivedRun, about, "what is told of the run")
    if told.run.state not in FINAL_STATES:
        raise InvalidRequest(f"the file holds a run that is not over: {told.run.state[:40]!r}.")
    _check_times(told.run.created, told.run.started, told.run.ended, told.run.archived)
    if not ORIGIN.fullmatch(told.origin):
        raise InvalidRequest(f"what is told of the run is damaged: origin {told.origin[:40]!r}.")
    return told


def told_groups(head: Mapping[str, Any]) -> ToldGroups:
    """The searches, workflows and projects of an archive.

    Raises:
        InvalidRequest: one is damaged, or was not over.
    """
    found = _checked(ToldGroups, head, "what is told of the archive")
    for search, trials in found.searches:
        _check_times(search.created, search.ended, search.archived)
        _check_times(*(moment for one in trials for moment in (one.asked, one.ended)))
        if search.state not in OVER or any(one.state not in TRIAL_OVER for one in trials):
            raise InvalidRequest(f"the file holds a search that is not over: {search.id}.")
        try:
            # What cannot be read is not to be stored: the next engine would not start.
            search_plan.stored(search.plan)
        except (SpiceError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise InvalidRequest(f"search {search.id} is damaged: its plan: {error}.") from error
    for workflow, _ in found.workflows:
        _check_times(workflow.created, workflow.ended, workflow.archived)
        if workflow.state in ACTIVE or workflow.repos:
            raise InvalidRequest(f"the file holds a workflow that is not over: {workflow.id}.")
    return found


def _check_times(*times: float | None) -> None:
    if not all(time is None or math.isfinite(time) for time in times):
        raise InvalidRequest("what is told of a time is damaged: it is not finite.")


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _checked(kind: type[T], told: Mapping[str, Any], what: str) -> T:
    from pydantic import ValidationError  # where a file was read, which is rare

    fields = {field.name for field in dataclasses.fields(cast("Any", kind))}
    given = {name: value for name, value in told.items() if name in fields}
    try:
        return _adapter(kind).validate_python(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"{what} is damaged: {place}: {first['msg']}.") from error
