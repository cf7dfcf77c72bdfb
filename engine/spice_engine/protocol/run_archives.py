"""Requests and answers about runs in files: tables of many, archives of one."""

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
class ExportedRuns:
    """Where they are, how many, and the bytes of the file."""

    path: str
    runs: int
    bytes: int


@record
class ImportRun:
    """Take a run in that another engine wrote to `path` (absolute) on this one's machine; it gets
    a number of its own here."""

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
    """The run as it is here, and the number that it had."""

    run: RunInfo
    was: int
