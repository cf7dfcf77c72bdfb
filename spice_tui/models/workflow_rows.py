"""Workflows as rows of a table."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from spice_tui.models.columns import Column, Row

if TYPE_CHECKING:
    from spice_engine.protocol.workflows import WorkflowInfo

WORKFLOWS = (
    Column("id", "#", "number", least=3, most=6, importance=9),
    Column("state", "state", "state", least=10, most=10, importance=8),
    Column("name", "workflow", least=8, most=30, importance=7),
    Column("kind", "kind", least=5, most=8, importance=2),
    Column("steps", "steps", weight=1, least=18, most=40, importance=6),
    Column("created", "began", "time", least=7, most=12, importance=5),
    Column("message", "message", least=8, most=80, importance=3, optional=True),
)

FIRST = ("failed", "stopped", "running", "starting")
"""States of steps that a person wants to look into before others."""


def workflow_rows(found: Iterable[WorkflowInfo]) -> list[Row]:
    """One row a workflow, newest first."""
    return [
        Row(
            str(one.id),
            {
                "id": one.id,
                "state": one.state,
                "name": one.name or shlex.join(one.command),
                "kind": one.kind,
                "steps": ", ".join(f"{count} {state}" for state, count in one.counts.items()),
                "created": one.created,
                "message": one.message,
            },
        )
        for one in sorted(found, key=lambda one: one.id, reverse=True)
    ]


def workflow_words(info: WorkflowInfo) -> str:
    """How a workflow stands, with its message in full."""
    message = f": {info.message}" if info.message else "."
    return f"Workflow {info.id} {info.name}".rstrip() + f" is {info.state}{message}"


def run_of_step(info: WorkflowInfo | None, name: str) -> int | None:
    """The run of a step; where it stands for all its instances, of the one to look at first."""
    own = [
        step
        for step in (info.steps if info is not None else ())
        if step.run is not None and (step.key == name or step.key.startswith(f"{name}["))
    ]
    own.sort(key=lambda step: FIRST.index(step.state) if step.state in FIRST else len(FIRST))
    return own[0].run if own else None
