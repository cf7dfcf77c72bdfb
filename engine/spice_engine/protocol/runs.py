"""Requests and answers about runs."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from spice_engine.protocol.machine_types import DEFAULT_MACHINE_TYPE
from spice_engine.protocol.servers import Dependencies
from spice_engine.records import record


@record
class StartRun:
    """Start a command. `command` is a list of arguments, or one line for the shell.

    Times are seconds, `memory` bytes, `cpu` cores. `machine_type` names what it runs on: it waits
    until one is free. It runs in a copy of the app folder as it is now, and what it makes or
    changes there is kept as its outputs; `in_place` has it run in the folder itself instead. A run
    with `dependencies` gets an environment of its own. `mounts` are `RESOURCE[:PATH]`.

    Each `:NAME:` of `params` in the command is replaced by its value. Of the runs that wait for a
    machine, one with a higher `priority` goes first. It waits until the runs `after` are over, and
    with `after_ok` it does not begin unless all of them succeeded. A command that fails is tried
    again up to `retries` times. `idempotent` gives back a run that was asked for with all the same,
    if there is one; `auto_resume` starts a run again with its files when it was lost. `kind` is
    run, trial, workflow or workspace; `parent` is the run that makes this one, `made_by`
    what it belongs to (`search:3`). `distributed` is a number of ranks. `code_of` has it run on the
    folder as another run had it, instead of as it is now; `git` on that of a repository, an address
    or an absolute path, at `git_ref` (a branch, tag or commit; HEAD if empty). Of all requests with
    the same `request_key` the first starts a run, and the others are answered with that.
    """

    command: list[str] | str
    name: str = ""
    cwd: str = ""
    env: dict[str, str] = field(default_factory=dict[str, str])
    labels: list[str] = field(default_factory=list[str])
    project: str = ""
    timeout: float | None = None
    cpu: float | None = None
    memory: int | None = None
    machine_type: str = DEFAULT_MACHINE_TYPE
    description: str = ""
    dependencies: Dependencies | None = None
    mounts: list[str] = field(default_factory=list[str])
    in_place: bool = False
    kind: str = "run"
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    parent: int | None = None
    made_by: str = ""
    priority: int = 0
    after: list[int] = field(default_factory=list[int])
    after_ok: bool = False
    retries: int = 0
    idempotent: bool = False
    auto_resume: bool = False
    stop_conditions: list[str] = field(default_factory=list[str])
    tensorboard: str = ""
    distributed: int = 0
    source: str = ""
    link: str = ""
    code_of: int | None = None
    git: str = ""
    git_ref: str = ""
    request_key: str = ""


@record
class RunInfo:
    """One run; times are Unix seconds.

    `stages` are seconds, `environment` is the key of an environment of its own. `in_place`: it
    runs in the folder itself. `output_files` and `output_bytes` are None until it is over.
    `attempt` counts from 1; `archived` is when it was; `idempotent` is the hash of all that it was
    asked with. `link` is an address to open. `existed`: it is the answer to an idempotent request,
    and was there before. `came_from` are the runs whose outputs it mounted.
    """

    id: int
    kind: str
    name: str
    command: list[str]
    cwd: str
    state: str
    outcome: str | None
    exit_code: int | None
    message: str
    created: float
    started: float | None
    ended: float | None
    labels: list[str]
    project: str = ""
    machine_type: str = DEFAULT_MACHINE_TYPE
    description: str = ""
    mounts: list[str] = field(default_factory=list[str])
    environment: str = ""
    dependencies: Dependencies | None = None
    in_place: bool = True
    stages: dict[str, float] = field(default_factory=dict[str, float])
    output_files: int | None = None
    output_bytes: int | None = None
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    parent: int | None = None
    made_by: str = ""
    priority: int = 0
    after: list[int] = field(default_factory=list[int])
    after_ok: bool = False
    retries: int = 0
    attempt: int = 1
    archived: float | None = None
    idempotent: str = ""
    auto_resume: bool = False
    resumed_from: int | None = None
    resumed_as: int | None = None
    stop_conditions: list[str] = field(default_factory=list[str])
    tensorboard: str = ""
    distributed: int = 0
    source: str = ""
    link: str = ""
    existed: bool = False
    came_from: list[int] = field(default_factory=list[int])


@record
class ListRuns:
    """The newest `number` runs, oldest of them first; empty filters match everything.

    A run matches with any of the states, labels and kinds, with all conditions on parameters and
    on the last values of metrics (`lr=0.1`, `loss<0.3`), and with a name of the pattern (`try*`).
    `project` `-` is none; `repository` is the address of the one whose commit it ran on or the end
    of it, or the name of the folder it ran on; `since` and `until` are Unix seconds at which it was
    created. Archived runs are listed where asked for, and no others then. `before` gives the page
    of runs before that one. With `sort` (id, created, started, ended, duration, name, state,
    project, priority, `param:NAME` or `metric:NAME`) the first `number` of that order come, the
    largest first with `descending`; those without a value are last.
    """

    number: int = 50
    states: list[str] = field(default_factory=list[str])
    labels: list[str] = field(default_factory=list[str])
    kinds: list[str] = field(default_factory=list[str])
    name: str = ""
    project: str = ""
    repository: str = ""
    params: list[str] = field(default_factory=list[str])
    metrics: list[str] = field(default_factory=list[str])
    since: float | None = None
    until: float | None = None
    archived: bool = False
    parent: int | None = None
    made_by: str = ""
    before: int | None = None
    sort: str = ""
    descending: bool = False


@record
class RunList:
    """Runs, in the order that was asked for."""

    runs: list[RunInfo]


@record
class FindRun:
    """A run by its name."""

    name: str


@record
class ArchiveRun:
    """Put a run away, so that lists leave it out; or take it back."""

    id: int
    archived: bool = True


@record
class RunId:
    """One run, by its number."""

    id: int


@record
class StopRun:
    """Ask a run to end (SIGTERM), and end it (SIGKILL) after `grace` seconds."""

    id: int
    grace: float = 10.0


@record
class LabelRun:
    """Add and remove labels of a run."""

    id: int
    add: list[str] = field(default_factory=list[str])
    remove: list[str] = field(default_factory=list[str])


@record
class ReadLog:
    """Bytes of a run's log from `offset`; with `tail`, the last that many lines instead.

    `rank` reads the log of that rank alone.
    """

    id: int
    offset: int = 0
    limit: int = 65536
    tail: int | None = None
    rank: int | None = None


@record
class LogChunk:
    """A piece of a log: what `text` decodes began at `offset`; read on at `next`."""

    offset: int
    next: int
    size: int
    text: str


@record
class MetricPoint:
    """One value of a metric, a number or a text; `index` is by default the next, `time` now."""

    name: str
    value: float | str
    index: int | None = None
    time: float | None = None


@record
class AddMetrics:
    """Points of one run; they are on disk when the answer comes."""

    id: int
    points: list[MetricPoint]


@record
class ReadMetrics:
    """All series of a run, or the named one, thinned to about `points` points each."""

    id: int
    name: str = ""
    points: int = 2000


@record
class MetricSeries:
    """One series; `values` may hold NaN and infinities."""

    name: str
    indexes: list[int]
    times: list[float]
    values: list[Any]


@record
class MetricList:
    """Series of one run."""

    series: list[MetricSeries]
