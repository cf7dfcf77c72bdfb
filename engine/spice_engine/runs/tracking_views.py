"""A run as tracking clients see it: their words for its state, tags for what they keep there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.runs.requests import SHELL
from spice_engine.runs.states import WAITING
from spice_engine.store.runs import FINAL_STATES
from spice_engine.store.series import StoredPoint
from spice_engine.store.tracking import TrackedRow
from spice_engine.store.tracking_inputs import DatasetRow, ModelUse

NAME, NOTE, USER = "mlflow.runName", "mlflow.note.content", "mlflow.user"
PARENT, SOURCE = "mlflow.parentRunId", "mlflow.source.name"
NUMBER = "spice.run"
NOBODY = "local"
"""The user of a run that no client made."""

STATES: Final[Mapping[str, tuple[str, str | None]]] = {
    "RUNNING": ("running", None),
    "SCHEDULED": ("queued", None),
    "FINISHED": ("complete", "success"),
    "FAILED": ("failed", "failed"),
    "KILLED": ("killed", "killed"),
}
"""What a client's status is in ours: state and outcome."""


@record
class TrackedRun:
    """A run with all that a client is told of it."""

    row: TrackedRow
    tags: Mapping[str, str]
    metrics: Mapping[str, StoredPoint] = field(default_factory=dict[str, StoredPoint])
    datasets: tuple[DatasetRow, ...] = ()
    models: tuple[ModelUse, ...] = ()

    @property
    def status(self) -> str:
        """The client's word for its state."""
        return status_of(self.row)

    @property
    def artifact_uri(self) -> str:
        """Where a client finds and puts its files."""
        return artifact_uri(self.row.number)

    @property
    def params(self) -> dict[str, str]:
        """Its parameters as text."""
        return {name: text_of(value) for name, value in self.row.params.items()}


def owner_of(number: int) -> str:
    """Whose a run's metrics are, in the metric store."""
    return f"runs/{number}"


def artifact_uri(number: int) -> str:
    """Where a client finds and puts the files of a run."""
    return f"mlflow-artifacts:/runs/{number}"


def status_of(row: TrackedRow) -> str:
    """A client's word for the state of a run."""
    if row.state in WAITING:
        return "SCHEDULED"
    if row.state not in FINAL_STATES:
        return "RUNNING"
    if row.state in {"killed", "stopped"}:
        return "KILLED"
    return "FINISHED" if row.state == "complete" and row.outcome != "failed" else "FAILED"


def state_of(status: str) -> tuple[str, str | None]:
    """Our state and outcome for a client's word.

    Raises:
        InvalidRequest: it is none of theirs.
    """
    try:
        return STATES[status]
    except KeyError:
        raise InvalidRequest(
            f"Invalid run status {status[:100]!r}.", hint=f"One of {', '.join(STATES)}."
        ) from None


def name_of(row: TrackedRow) -> str:
    """A run's name; one without has one for clients."""
    return row.name or f"run-{row.number}"


def tags_of(row: TrackedRow, stored: Mapping[str, str]) -> dict[str, str]:
    """A run's tags: those that were set, and what is known of it otherwise."""
    found = {NAME: name_of(row), USER: NOBODY, NUMBER: str(row.number)}
    if row.description:
        found[NOTE] = row.description
    if row.command:
        shell = row.command[: len(SHELL)] == SHELL
        found[SOURCE] = row.command[-1] if shell else " ".join(row.command)
    if row.parent:
        found[PARENT] = row.parent
    return found | dict(stored)


def text_of(value: object) -> str:
    """A parameter's value as text."""
    return value if isinstance(value, str) else str(value)
