"""Requests and answers about projects: named groups of runs."""

from __future__ import annotations

from dataclasses import field

from spice_engine.protocol.runs import RunInfo
from spice_engine.records import record


@record
class MakeProject:
    """Make a project, and put runs into it that are in none."""

    name: str
    description: str = ""
    runs: list[int] = field(default_factory=list[int])


@record
class ProjectInfo:
    """One project; times are Unix seconds, `runs` counts those that are not archived."""

    name: str
    description: str
    creator: str
    created: float
    archived: float | None
    runs: int


@record
class ListProjects:
    """Which projects: those that are archived instead of those that are not."""

    archived: bool = False


@record
class ProjectList:
    """Projects by name."""

    projects: list[ProjectInfo]


@record
class GetProject:
    """One project with its newest `number` runs."""

    name: str
    number: int = 50


@record
class BestValue:
    """Where a metric's last value is the best among a project's runs; `smallest`: the lowest is."""

    metric: str
    value: float
    run: int
    smallest: bool
    runs: int


@record
class ProjectDetails:
    """A project: its runs by state, the best of their metrics, the newest of them, oldest first.

    A run that is complete and whose command failed counts as `nonzero`.
    """

    project: ProjectInfo
    states: dict[str, int]
    best: list[BestValue]
    runs: list[RunInfo]


@record
class EditProject:
    """Rename a project or describe it; what is None stays."""

    name: str
    new_name: str | None = None
    description: str | None = None


@record
class ArchiveProject:
    """Archive a project, or take it back. Its runs stay as they are."""

    name: str
    archived: bool = True


@record
class ProjectRuns:
    """Runs to put into a project or to take out: all of them, or none."""

    name: str
    runs: list[int]
