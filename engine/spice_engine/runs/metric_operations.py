"""The operations on runs' metrics but the first ones, and on what runs use."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.protocol.engine import Accepted
from spice_engine.protocol.run_metrics import (
    ExportedMetrics,
    ExportMetrics,
    ImportEvents,
    MetricFigures,
    MetricFiguresList,
    MetricPoints,
    MetricReached,
    ReadPoints,
    RunStats,
    WaitMetric,
)
from spice_engine.protocol.runs import (
    AddMetrics,
    MetricList,
    MetricSeries,
    ReadMetrics,
    RunId,
    RunInfo,
)
from spice_engine.runs import event_import
from spice_engine.runs.metric_feeds import owner_of
from spice_engine.runs.metric_service import RunMetrics
from spice_engine.store import runs as table
from spice_engine.store import series, series_figures
from spice_engine.store.series import Point, Sample, StoredPoint
from spice_runtime.run_metrics import LONGEST_NAME, LONGEST_TEXT

MOST_POINTS = 50_000
MOST_ADDED = 10_000
LONGEST_WAIT = 3600.0
MOST_ANSWERED = 200_000
"""Points of all series of an answer together."""
LONGEST_SHOWN = 200
"""Characters of a text where only its beginning is told."""
MOST_CHARACTERS = 4 * 2**20
"""Of the texts of an answer."""


async def _checked(metrics: RunMetrics, number: int) -> str:
    """The name of the run's series, once all that it has sent so far is stored."""
    if not 0 < number < 2**63:
        raise InvalidRequest(f"{number} is no run's number.")
    await metrics.runs.database.read(lambda connection: table.get(connection, number))
    await metrics.feeds.catch_up(number)
    return owner_of(number)


@operation("runs.add_metrics", http="POST /api/v1/runs/{id}/metrics")
async def add_metrics(metrics: RunMetrics, request: AddMetrics) -> Accepted:
    """Add points to a run's metrics; they are stored when the answer comes."""
    if len(request.points) > MOST_ADDED:
        raise InvalidRequest(f"more than {MOST_ADDED} points in one call.")
    for point in request.points:
        if not 0 < len(point.name) <= LONGEST_NAME:
            raise InvalidRequest(
                f"the name of a metric has 1 to {LONGEST_NAME} characters, not {point.name[:80]!r}."
            )
    # What the run's processes wrote before comes before, also where the index is not given.
    owner = await _checked(metrics, request.id)
    now = time.time()
    points = [
        Point(
            name=point.name,
            value=point.value[:LONGEST_TEXT] if isinstance(point.value, str) else point.value,
            index=point.index,
            time=now if point.time is None else point.time,
        )
        for point in request.points
    ]
    metrics.runs.metrics.add(owner, points)
    await metrics.runs.metrics.flush()
    return Accepted(f"{len(points)} points stored.")


@operation("runs.read_metrics", http="GET /api/v1/runs/{id}/metrics")
async def read_metrics(metrics: RunMetrics, request: ReadMetrics) -> MetricList:
    """Read the series of a run, thinned to about `points` points each; of texts the newest."""
    owner = await _checked(metrics, request.id)
    store = metrics.runs.metrics
    wanted = [name for name in await store.names(owner) if request.name in {"", name}]
    fair = MOST_ANSWERED // max(1, len(wanted))
    most = max(2, min(request.points, MOST_POINTS, fair))
    found: list[MetricSeries] = []
    for name in wanted:
        points = await store.read(
            lambda connection, name=name: series_figures.thinned(connection, owner, name, most)
        )
        if points is None:
            found.append(_merged(name, await store.samples(owner, name, most=most)))
        elif points:
            found.append(_series(name, points))
        else:
            texts = await store.read(
                lambda connection, name=name: series_figures.newest(connection, owner, name, most)
            )
            found.append(_series(name, [_shown(point) for point in texts]))
    return MetricList(found)


def _series(name: str, points: Sequence[StoredPoint]) -> MetricSeries:
    return MetricSeries(
        name,
        [point.index for point in points],
        [point.time for point in points],
        [point.value for point in points],
    )


def _shown(point: StoredPoint) -> StoredPoint:
    if isinstance(point.value, str) and len(point.value) > LONGEST_SHOWN:
        return replace(point, value=f"{point.value[: LONGEST_SHOWN - 3]}...")
    return point


def _light(points: Sequence[StoredPoint]) -> Sequence[StoredPoint]:
    """As many of them as a frame holds, one at least."""
    characters = 0
    for number, point in enumerate(points):
        characters += len(point.value) if isinstance(point.value, str) else 0
        if characters > MOST_CHARACTERS and number:
            return points[:number]
    return points


def _merged(name: str, samples: Sequence[Sample]) -> MetricSeries:
    return MetricSeries(
        name,
        [sample.index for sample in samples],
        [sample.time for sample in samples],
        [sample.last for sample in samples],
    )


@operation("runs.list_metrics", http="GET /api/v1/runs/{id}/metric-names")
async def list_metrics(metrics: RunMetrics, request: RunId) -> MetricFiguresList:
    """List the series of a run: how many points, least, largest and last value of each."""
    owner = await _checked(metrics, request.id)
    found = await metrics.runs.metrics.read(
        lambda connection: series_figures.figures(connection, owner)
    )
    return MetricFiguresList(
        [
            MetricFigures(
                one.name,
                one.points,
                one.missing,
                one.texts,
                one.minimum,
                one.maximum,
                one.last.index,
                one.last.time,
                _shown(one.last).value,
            )
            for one in found
        ]
    )


@operation("runs.metric_points", http="GET /api/v1/runs/{id}/metric-points")
async def metric_points(metrics: RunMetrics, request: ReadPoints) -> MetricPoints:
    """Read points of a run's metric as they came, from after a given one on."""
    owner = await _checked(metrics, request.id)
    if math.isnan(request.after_time):
        raise InvalidRequest("after_time: must be a number.")
    index = request.after_index
    if index is not None and not -(2**63) <= index < 2**63:
        raise InvalidRequest("after_index: out of range.")
    if request.newest and request.by_time:
        raise InvalidRequest("newest and by_time exclude each other.")
    least = -(2**63) if index is None and request.by_time else index
    after = None if least is None else (least, request.after_time)
    limit = max(1, min(request.limit, MOST_POINTS))

    def read(connection: sqlite3.Connection) -> MetricPoints:
        if request.newest:
            newest = series_figures.newest(connection, owner, request.name, limit)
            found = _light(newest[::-1])[::-1]
        else:
            found = _light(
                series.read_points(
                    connection,
                    owner,
                    request.name,
                    after=after,
                    count=limit,
                    by_time=request.by_time,
                )
            )
        return MetricPoints(
            request.name,
            [point.index for point in found],
            [point.time for point in found],
            [point.value for point in found],
        )

    return await metrics.runs.metrics.read(read)


@operation("runs.export_metrics", http="POST /api/v1/runs/{id}/export-metrics")
async def export_metrics(metrics: RunMetrics, request: ExportMetrics) -> ExportedMetrics:
    """Write a run's metrics to a file of the engine's machine: CSV, JSON or Parquet."""
    await _checked(metrics, request.id)
    if not request.path.startswith("/") or "\0" in request.path:
        raise InvalidRequest("path: must be absolute.")
    points = await metrics.export(request.id, request.name, request.path, request.format)
    return ExportedMetrics(request.path, points)


@operation("runs.import_events", http="POST /api/v1/run-imports/events")
async def import_events(metrics: RunMetrics, request: ImportEvents) -> RunInfo:
    """Take a folder of TensorBoard's event files in, as a run that is over."""
    if not request.path.startswith("/") or "\0" in request.path:
        raise InvalidRequest("path: must be absolute.")
    return await event_import.import_events(metrics.runs, Path(request.path), request.name)


@operation("runs.wait_metric", http="POST /api/v1/runs/{id}/wait-metric")
async def wait_metric(metrics: RunMetrics, request: WaitMetric) -> MetricReached:
    """Wait until a point of a run's metric meets a condition, or the run has ended without one."""
    await _checked(metrics, request.id)
    if not request.name or math.isnan(request.value):
        raise InvalidRequest("a name and a number are needed to wait for.")
    if not 0 <= request.timeout <= LONGEST_WAIT:
        raise InvalidRequest(f"timeout: between 0 and {LONGEST_WAIT:g} seconds.")
    return await metrics.watches.wait(
        request.id, request.name, request.condition, request.value, request.timeout
    )


@operation("runs.stats", http="GET /api/v1/runs/{id}/stats")
async def stats(metrics: RunMetrics, request: RunId) -> RunStats:
    """Tell what a run's processes use now: cores, memory, disks, GPUs."""
    if not 0 < request.id < 2**63:
        raise InvalidRequest(f"{request.id} is no run's number.")
    return await metrics.hardware.stats(request.id)
