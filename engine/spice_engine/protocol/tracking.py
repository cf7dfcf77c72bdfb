"""Requests and answers about what tracking clients left."""

from __future__ import annotations

from spice_engine.records import record


@record
class ImportTracking:
    """Take in a folder of this machine that MLflow's file store wrote, or its `mlflow.db`, by its
    absolute path."""

    folder: str


@record
class ImportedRuns:
    """How many experiments were in the folder, how many of their runs are new and how many were
    here already; `notes` say what was left out."""

    experiments: int
    new: int
    known: int
    notes: list[str]
