"""Metrics that tracking clients log for a logged model: the newest value of each.

The points are those of the run that logged them; here is which model they are about. Every
function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence

from spice_engine.errors import NotFound
from spice_engine.records import record
from spice_engine.store.columns import placeholders


@record
class ModelMetric:
    """A value of a model's; `run` is the id of the run that logged it, `time` unix seconds."""

    name: str
    value: float
    step: int
    time: float
    run: str = ""


def note(
    connection: sqlite3.Connection, number: int, found: Iterable[tuple[str, ModelMetric]]
) -> None:
    """Notes values that a run logged, each with its model; older ones than are known are not kept.

    Raises:
        NotFound: there is no such model.
    """
    for model, metric in found:
        there = connection.execute("SELECT 1 FROM logged_models WHERE id = ?", (model,)).fetchone()
        if there is None:
            raise NotFound(f"Logged model with ID {model[:100]!r} not found.")
        connection.execute(
            "INSERT INTO logged_model_metrics (model, name, run_id, value, step, time)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET run_id = excluded.run_id,"
            " value = excluded.value, step = excluded.step, time = excluded.time"
            " WHERE (excluded.step, excluded.time) >= (step, time)",
            (model, metric.name, number, metric.value, metric.step, metric.time),
        )


def of_models(
    connection: sqlite3.Connection, models: Sequence[str]
) -> dict[str, tuple[ModelMetric, ...]]:
    """The values of each of these models, by name."""
    found: dict[str, tuple[ModelMetric, ...]] = {}
    for start in range(0, len(models), 1000):
        some = list(models[start : start + 1000])
        for model, name, value, step, at, run in connection.execute(
            "SELECT m.model, m.name, m.value, m.step, m.time,"
            " coalesce(t.uuid, printf('%032d', m.run_id)) FROM logged_model_metrics m"
            " LEFT JOIN tracked_runs t ON t.run_id = m.run_id"
            f" WHERE m.model IN ({placeholders(some)}) ORDER BY m.model, m.name",
            some,
        ):
            told = ModelMetric(name, math.nan if value is None else value, step, at, run)
            found[model] = (*found.get(model, ()), told)
    return found
