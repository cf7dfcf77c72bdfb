"""Runs as a table: what is known of each, its parameters, and the last value of each metric."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, cast

from spice_engine.protocol.runs import RunInfo

MOST_COLUMNS = 2000
_OWN = (
    "id",
    "name",
    "kind",
    "state",
    "outcome",
    "exit_code",
    "message",
    "command",
    "cwd",
    "created",
    "started",
    "ended",
    "project",
    "machine_type",
    "description",
    "parent",
    "made_by",
    "priority",
    "attempt",
    "archived",
    "environment",
    "source",
    "output_files",
    "output_bytes",
)


def table(
    runs: Sequence[RunInfo],
    metrics: Mapping[int, Mapping[str, float]],
    origins: Mapping[int, str],
) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows, a row a run: `param.NAME` and `metric.NAME` where any run has one.

    `params` holds the parameters with their kinds; by its `origin` a run is known where the table
    is taken in.
    """
    params = _names(run.params for run in runs)
    measured = _names(metrics.values())
    columns = [*_OWN, "labels", "stages", "params", "origin"]
    columns += [f"param.{name}" for name in params] + [f"metric.{name}" for name in measured]
    rows = [
        [
            *(_cell(getattr(run, name)) for name in _OWN),
            run.labels,
            run.stages,
            run.params,
            origins[run.id],
            *(run.params.get(name) for name in params),
            *(metrics.get(run.id, {}).get(name) for name in measured),
        ]
        for run in runs
    ]
    return columns, rows


def _names(maps: Any) -> list[str]:
    return sorted({name for one in maps for name in one})[:MOST_COLUMNS]


def _cell(value: Any) -> Any:
    """A command as its line, for it is to be read."""
    if not isinstance(value, list):
        return value
    words = [str(word) for word in cast("list[Any]", value)]
    return words[0] if len(words) == 1 else shlex.join(words)
