"""Requests and answers about the metrics of runs, and what runs use."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from spice_engine.records import record

Condition = Literal["eq", "gt", "gte", "lt", "lte"]


@record
class MetricFigures:
    """What one series comes to: `points` in all, of which `missing` are NaN and `texts` texts.

    `minimum` and `maximum` are of the numbers; None where there are none. Of a long text `last` is
    the beginning.
    """

    name: str
    points: int
    missing: int
    texts: int
    minimum: float | None
    maximum: float | None
    last_index: int
    last_time: float
    last: float | str


@record
class MetricFiguresList:
    """The series of one run, by name."""

    series: list[MetricFigures]


@record
class ReadPoints:
    """Points of a run's metric as they came, in order of index and time, after a given one.

    Without `after_index`, from the first on. `newest`: those with the largest indexes instead.
    `by_time`: in order of time and index, those that are later than `after_time` (and, of that
    time, have a larger index).
    """

    id: int
    name: str
    after_index: int | None = None
    after_time: float = 0.0
    limit: int = 10_000
    newest: bool = False
    by_time: bool = False


@record
class MetricPoints:
    """Some points of one series; values are numbers, NaN and infinities too, or texts."""

    name: str
    indexes: list[int]
    times: list[float]
    values: list[float | str]


@record
class ExportMetrics:
    """Write all series of a run, or the named one, to `path` (absolute) on the engine's machine."""

    id: int
    path: str
    format: Literal["csv", "json", "parquet"] = "csv"
    name: str = ""


@record
class ExportedMetrics:
    """Where they are, and how many points."""

    path: str
    points: int


@record
class ImportEvents:
    """Take in the numbers of TensorBoard's event files below `path` (absolute) as a run's."""

    path: str
    name: str = ""


@record
class WaitMetric:
    """Wait until a point of a run's metric meets a condition: eq, gt, gte, lt, lte a value.

    The answer comes after `timeout` seconds (at most 3600) at the latest: ask again then.
    """

    id: int
    name: str
    condition: Condition
    value: float
    timeout: float = 60.0


@record
class MetricReached:
    """The point that met it. Not `reached` and `over`: the run ended first, and `error` says how;
    not `over` either: nothing came yet."""

    reached: bool
    over: bool = False
    index: int | None = None
    value: float | None = None
    error: str = ""


@record
class GpuStats:
    """One GPU of a run: Celsius, watts, percent, bytes. None: the driver does not tell."""

    number: int
    name: str
    temperature: float | None
    power_draw: float | None
    power_limit: float | None
    utilization: float | None
    memory_utilization: float | None
    memory_used: int
    memory_total: int
    performance_state: str = ""


@record
class RunStats:
    """What a run's processes use now: percent of one core, bytes, and bytes read and written on
    disks since they began. `memory_total` is the limit, or all there is. The network is the
    machine's, since the run was first looked at."""

    id: int
    time: float
    processes: int
    cpu_percent: float
    memory: int
    memory_total: int
    memory_percent: float
    block_read: int | None
    block_write: int | None
    gpus: list[GpuStats] = field(default_factory=list[GpuStats])
    network_received: int | None = None
    network_sent: int | None = None
