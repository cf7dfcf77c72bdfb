"""Requests and answers behind the screens that look into a pod's data, logs and lineage.

Times are Unix seconds, intervals half-open, sizes bytes.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from spice_engine.records import record


@record
class GetTimeline:
    """Ask for a pod's data with the action its policy takes at each step of [start, end).

    Longer stretches are thinned to about `points` stretches of equal length. `fields` empty: all.
    """

    pod: str
    start: int | None = None
    end: int | None = None
    points: int = 400
    fields: list[str] = field(default_factory=list[str])
    alias: str = "latest"


@record
class Timeline:
    """Stretches of a pod's period. Lists are parallel to `times`, where a stretch begins.

    `values`, `lows`, `highs`: mean, least and greatest value of each field in the stretch, None
    where there is no datum. `chosen` and `best` are indices into `actions`: what the policy does
    most often there and what hindsight would; -1 where it cannot say. `rewards` is the mean
    reward of what it does. From `holdout` on nothing was trained on.
    """

    pod: str
    granularity: int
    first: int
    last: int
    holdout: int | None
    actions: list[str]
    times: list[int]
    values: dict[str, list[float | None]]
    lows: dict[str, list[float | None]]
    highs: dict[str, list[float | None]]
    chosen: list[int]
    best: list[int]
    rewards: list[float | None]
    policy_version: int | None = None


@record
class GetStep:
    """Ask for one step of a pod: by the number of its row, or at or before a time.

    With `text`, an unsaved manifest's rewards judge the step.
    """

    pod: str
    row: int | None = None
    time: int | None = None
    text: str | None = None


@record
class StepReward:
    """What one action gets in a step, and the line of code that gave it; or why it gets none.

    `action_value` is the value that it was given, of an action with a range.
    """

    action: str
    value: float | None
    error: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    code: str = ""
    lawful: bool = True
    action_value: float | None = None


@record
class Step:
    """The step from row `row` to the next of `rows`."""

    pod: str
    row: int
    rows: int
    time: int
    next_time: int
    current: dict[str, float | None]
    following: dict[str, float | None]
    rewards: list[StepReward]
    chosen: str = ""
    best: str = ""
    held_out: bool = False


@record
class GetGrid:
    """Ask for a pod's raw rows from number `offset` on, as a grid with types."""

    pod: str
    offset: int = 0
    limit: int = 200


@record
class GridColumn:
    """A column. `kind`: time, number, category, identifier or tag; counts are over all rows."""

    name: str
    kind: str
    dataspace: str = ""
    missing: int = 0
    bad: int = 0
    least: float | None = None
    greatest: float | None = None


@record
class BadRow:
    """A row or cell that was left out of the data, and why; `line` in its file, 0 if unknown."""

    source: str
    line: int
    column: str
    text: str
    reason: str


@record
class Grid:
    """Rows `offset`.. of a pod's `rows`. Cells are numbers, texts, or None where nothing is.

    `gaps` are the numbers of the rows (in this part) before which data are missing: more than
    one granularity has passed since the row before.
    """

    pod: str
    offset: int
    rows: int
    columns: list[GridColumn]
    cells: list[list[Any]]
    gaps: list[int] = field(default_factory=list[int])
    bad: list[BadRow] = field(default_factory=list[BadRow])
    bad_rows: int = 0


@record
class LogSource:
    """A log that can be read: `run/12`, `engine`, `server/demo/3`, or `child/trainer-1`."""

    name: str
    title: str
    size: int
    live: bool


@record
class LogSources:
    """All logs of the folder, the engine's first, then runs, newest first."""

    sources: list[LogSource]


@record
class GetLogSources:
    """Ask for logs there are; `runs`: of how many runs at most."""

    runs: int = 200


@record
class ReadBytes:
    """Ask for bytes of a log from `offset`."""

    source: str
    offset: int
    limit: int = 65536


@record
class LogBytes:
    """Bytes of a log as they are; it is `size` long now."""

    offset: int
    data: bytes
    size: int


@record
class GetLineIndex:
    """Ask where lines of a log begin, from line `line` on, which begins at `offset`.

    A log that has become shorter than that is gone through from its start.
    """

    source: str
    line: int = 0
    offset: int = 0


@record
class LineIndex:
    """Where every `stride`th line begins: `offsets[i]` is the start of line `line + i * stride`.

    Up to `size`, where the log ends or the answer got long, there are `lines` whole lines in all;
    a torn last one begins at `end`.
    """

    line: int
    stride: int
    offsets: list[int]
    lines: int
    end: int
    size: int


@record
class SearchLog:
    """Find lines that match, from `offset` (the start of a line) on, or backwards from it.

    `pattern` is a regular expression of Python, or plain text. One of ASCII characters is compared
    with the line's bytes, another with its text in UTF-8; a line's end is no part of it. At most
    `limit` matches are given, and a bounded part is looked at: go on from `next` until `done`.
    """

    source: str
    pattern: str
    offset: int = 0
    backwards: bool = False
    regex: bool = True
    ignore_case: bool = False
    limit: int = 1000
    invert: bool = False


@record
class LogMatches:
    """Where lines begin that match, in order of the search; `next` is where to go on.

    `done`: the end (or start) of the log was reached. `looked` bytes were looked at.
    """

    offsets: list[int]
    next: int
    done: bool
    looked: int


@record
class LogTime:
    """Ask where in a log something was written at `time` (Unix seconds) or after it."""

    source: str
    time: float


@record
class LogOffset:
    """A place in a log; `exact` is false where the log has no times and the place is a guess."""

    offset: int
    exact: bool = True


@record
class GetLogTimes:
    """Ask when the parts of a log from `offset` on were written."""

    source: str
    offset: int = 0


@record
class LogTimes:
    """Where parts of a log begin, and when (Unix seconds) each began to be written.

    Parts are a second or 64 KiB apart. The first begins at `offset` or before it; go on from after
    the last until `done`. A log may have no times.
    """

    offsets: list[int]
    times: list[float]
    done: bool = True


@record
class LineageNode:
    """A thing that came from others. `kind`: data, pod, training, policy, run, model, server."""

    id: str
    kind: str
    title: str
    state: str = ""
    detail: str = ""


@record
class LineageEdge:
    """`target` came from `source`."""

    source: str
    target: str


@record
class Lineage:
    """What came from what."""

    nodes: list[LineageNode]
    edges: list[LineageEdge]


@record
class GetLineage:
    """Ask for what came from what; `pod` or `run` narrows it."""

    pod: str = ""
    run: int | None = None


@record
class ExportTable:
    """Write a table into the app folder. `format`: csv, json or parquet; `path` is relative."""

    path: str
    format: str
    columns: list[str]
    rows: list[list[Any]]
    replace: bool = False


@record
class Exported:
    """A file was written."""

    path: str
    rows: int
    bytes: int
