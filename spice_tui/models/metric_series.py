"""Series of runs and pods as input of charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from spice_tui.models.series import Series
from spice_tui.models.verdict import regret_closed

if TYPE_CHECKING:
    from spice_engine.protocol.pods import TrainingInfo
    from spice_engine.protocol.runs import MetricSeries

LONGEST_TEXT = 80
MOST_CHARTS = 40
"""Of one run at once: each is a widget, and a screen of thousands stands still."""
_MEASURED = "system/"
LOSS = "loss/"
"""How the keys begin of series that go over episodes, not over trainings."""


def of_run(found: Iterable[MetricSeries]) -> tuple[Series, ...]:
    """The metrics a run sent, over their indexes; NaN and infinities are gaps. One of texts is
    empty, and its newest text stands in its title."""
    return tuple(
        Series(
            series.name,
            _title(series),
            [float(index) for index in series.indexes],
            [_finite(value) for value in series.values],
            color=number,
        )
        for number, series in enumerate(found)
    )


def charted(series: Sequence[Series]) -> tuple[Sequence[Series], str]:
    """Those that have a chart, what the run sent before what was measured of it, and a line that
    says how many have none."""
    ordered = sorted(series, key=lambda one: one.key.startswith(_MEASURED))
    left = len(ordered) - MOST_CHARTS
    return ordered[:MOST_CHARTS], f"{left} more have no chart here." if left > 0 else ""


def _title(series: MetricSeries) -> str:
    last = series.values[-1] if series.values else None
    return f"{series.name}: {last[:LONGEST_TEXT]}" if isinstance(last, str) else series.name


def _finite(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def of_pod(trainings: Iterable[TrainingInfo]) -> tuple[Series, ...]:
    """How a pod went from training to training: scores, regrets closed, seconds.

    Then the losses of the newest training that tells some, from episode to episode.
    """
    found = list(trainings)
    figures: dict[str, list[tuple[int, float]]] = {
        "best score": [],
        "regret closed, in sample": [],
        "regret closed, held out": [],
        "seconds": [],
        "episodes": [],
    }
    for info in found:
        scores = [episode.score for episode in info.episodes if not episode.error]
        if scores:
            figures["best score"].append((info.number, max(scores)))
            figures["episodes"].append((info.number, len(info.episodes)))
        if info.ended is not None:
            figures["seconds"].append((info.number, info.ended - info.started))
        for part, name in (("in_sample", "in sample"), ("held_out", "held out")):
            value = regret_closed(info.evaluation, part)
            if value is not None:
                figures[f"regret closed, {name}"].append((info.number, value))
    told = tuple(
        Series(name, name, [float(x) for x, _ in points], [y for _, y in points], color=number)
        for number, (name, points) in enumerate(figures.items())
        if points
    )
    losses = (_losses(info) for info in sorted(found, key=lambda one: -one.number))
    return told + next(filter(None, losses), ())


def _losses(training: TrainingInfo) -> tuple[Series, ...]:
    """Each loss that the networks of a training tell, over its episodes."""
    points: dict[str, list[tuple[int, float]]] = {}
    for episode in training.episodes:
        for name, value in episode.detail.get("losses", {}).items():
            points.setdefault(name, []).append((episode.episode, _finite(value)))
    return tuple(
        Series(
            f"{LOSS}{name}",
            f"{LOSS}{name}, training {training.number}",
            [float(x) for x, _ in told],
            [y for _, y in told],
            color=number,
        )
        for number, (name, told) in enumerate(points.items())
    )
