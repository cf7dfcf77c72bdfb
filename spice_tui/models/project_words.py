"""What a project's runs came to, in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from spice_tui.models.cells import cell_of, fitted, width_of

if TYPE_CHECKING:
    from spice_engine.protocol.projects import BestValue, ProjectDetails

MOST_METRICS = 6
"""Metrics that are told of."""


def board(found: ProjectDetails) -> str:
    """A project's description, its runs by their states, and where each metric is best."""
    one = found.project
    since = time.strftime("%Y-%m-%d", time.localtime(one.created))
    archived = ["archived"] if one.archived is not None else []
    about = ", ".join([*archived, f"since {since}", f"by {one.creator}"])
    counts = ", ".join(f"{count} {state}" for state, count in found.states.items())
    runs = f"{one.runs} run{'' if one.runs == 1 else 's'}"
    lines = [f"{runs}: {counts}" if counts else runs, *_table(found.best[:MOST_METRICS])]
    left = len(found.best) - MOST_METRICS
    if left > 0:
        lines.append(f"and {left} more metrics: spice-tui project get {one.name}")
    return "\n".join([*([one.description] if one.description else []), about, *lines])


def _table(best: list[BestValue]) -> list[str]:
    cells = [
        (
            one.metric,
            "lowest" if one.smallest else "highest",
            cell_of("number", one.value).text,
            f"in run {one.run}",
            f"of {one.runs} run{'' if one.runs == 1 else 's'}",
        )
        for one in best
    ]
    widths = [max(map(width_of, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(fitted, row, widths)).rstrip() for row in cells]
