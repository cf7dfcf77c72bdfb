"""Requests and answers about runs in files: tables of values, archives with all that they left."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from spice_engine.protocol.runs import RunInfo
from spice_engine.records import record


@record
class ExportRuns:
    """Write a table of runs to `path` (absolute) on the engine's machine: a line a run, with its
    parameters and the last value of each of its metrics. Empty `runs` are the newest `number`, of
    `project` where one is given. A file that is there stays, unless `replace` is set."""

    path: str
    format: Literal["csv", "json", "parquet"] = "csv"
    runs: list[int] = field(default_factory=list[int])
    project: str = ""
    number: int = 10_000
    replace: bool = False


@record
class ExportRun:
    """Write everything about one run that is over to `path` (absolute) on the engine's machine:
    what is known of it, its log, metrics and outputs."""

    id: int
    path: str
    replace: bool = False


@record
class ExportArchive:
    """Write everything about runs that are over to `path` (absolute) on the engine's machine: the
    `runs` named, those of a `project`, a `search` or a `workflow`, or all there are
    (`everything`). The searches, workflows and projects that they belong to come with them. With
    `code` so do the folders that they began with, so that they can be run again elsewhere."""

    path: str
    runs: list[int] = field(default_factory=list[int])
    project: str = ""
    search: int = 0
    workflow: int = 0
    everything: bool = False
    code: bool = True
    replace: bool = False


@record
class ExportRunMetrics:
    """Write all points of the metrics of runs to `path` (absolute) on the engine's machine: of the
    `runs` named, or of the newest `number`, of `project` where one is given."""

    path: str
    format: Literal["csv", "json", "parquet"] = "csv"
    runs: list[int] = field(default_factory=list[int])
    project: str = ""
    number: int = 10_000
    replace: bool = False


@record
class ExportedRunMetrics:
    """Where they are, of how many runs, and how many points."""

    path: str
    runs: int
    points: int


@record
class ImportRunMetrics:
    """Take the points of a table in that `runs.export_all_metrics` wrote to `path` (absolute) on
    the engine's machine, for runs that came from elsewhere and are here."""

    path: str


@record
class ImportedRunMetrics:
    """How many runs got points and how many these are; runs that are this engine's own and keep
    what they have; and runs that are not here, of which nothing was taken."""

    runs: int
    points: int
    own: int
    missing: int


@record
class ExportedRuns:
    """Where they are, how many, and the bytes of the file; `left_out` are runs that go on."""

    path: str
    runs: int
    bytes: int
    searches: int = 0
    workflows: int = 0
    left_out: int = 0


@record
class ImportRun:
    """Take the runs of an archive in that another engine wrote to `path` (absolute) on this one's
    machine; they get numbers of their own here."""

    path: str


@record
class ImportRunTable:
    """Take the runs of a table in that `runs.export` wrote to `path` (absolute) on the engine's
    machine; the end of its name says its format. They become runs of kind external that are over.
    """

    path: str


@record
class ImportedRunTable:
    """How many runs are new, were here already, or were not over then and were left out."""

    new: int
    known: int
    unfinished: int


@record
class ImportedRun:
    """The first run as it is here, and the number that it had; and for all that the archive held
    the number it had and the one it has, of which `known` runs were here already."""

    run: RunInfo
    was: int
    runs: dict[int, int] = field(default_factory=dict[int, int])
    known: int = 0
    searches: dict[int, int] = field(default_factory=dict[int, int])
    workflows: dict[int, int] = field(default_factory=dict[int, int])
    projects: list[str] = field(default_factory=list[str])
