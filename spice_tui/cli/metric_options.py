"""The options of `run` that are about its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

METRICS: dict[str, Any] = {
    "stop_condition": Annotated[
        list[str] | None,
        typer.Option(
            "--stop-condition",
            metavar="'METRIC OP VALUE[:MIN_INDEX]'",
            help="Stop it when a metric is so: < > <= >=, several joined by && must hold together; "
            "repeat for another, up to 5 times.",
        ),
    ],
    "tensorboard_dir": Annotated[
        str | None,
        typer.Option(
            "--tensorboard-dir",
            metavar="DIR",
            help="Take the numbers of TensorBoard's event files there as its metrics.",
        ),
    ],
}


def metrics_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options ask for, by the fields of a request to start a run."""
    return {
        "stop_conditions": given.get("stop_condition", []),
        "tensorboard": given.get("tensorboard_dir", ""),
    }
