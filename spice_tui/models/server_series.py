"""What a server did as input of charts: rates, latencies, queue, replicas, and its own figures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from spice_tui.models.chart_view import ChartInput
from spice_tui.models.series import Series

if TYPE_CHECKING:
    from spice_engine.protocol.servers import ServerSeries

CHARTS = (
    ("requests per second", ("rate", "errors"), 1.0),
    ("latency, ms", ("p50", "p99"), 1.0),
    ("queue", ("queue",), 1.0),
    ("pods", ("replicas",), 1.0),
    ("cpu, cores", ("cpu",), 1.0),
    ("memory, MiB", ("memory",), 2.0**-20),
    ("batch size", ("batch",), 1.0),
)
"""Title, series, and what their values are multiplied by, of each chart of the engine's figures."""


def charts(found: Iterable[ServerSeries]) -> dict[str, ChartInput]:
    """One chart a subject, by its title; then one a metric that the predictor sends itself."""
    by_name: dict[str, list[ServerSeries]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append(one)
    made: dict[str, ChartInput] = {}
    for title, names, factor in CHARTS:
        parts = [one for name in names for one in by_name.pop(name, [])]
        if parts:
            made[title] = _chart(title, parts, factor)
    for name in sorted(by_name):
        made[name] = _chart(name, by_name[name], 1.0)
    return made


def _chart(title: str, parts: list[ServerSeries], factor: float) -> ChartInput:
    series = tuple(
        Series(
            f"{one.name}/{one.tag}",
            f"{one.name} {one.tag}".strip(),
            one.times,
            [_finite(value) * factor for value in one.values],
            color=number,
        )
        for number, one in enumerate(parts)
    )
    return ChartInput(series, title=title, x_kind="time")


def _finite(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
