"""`spell.client.runs`."""

from __future__ import annotations

from spice_runtime.client.runs import LogEntry, Run, RunsService

__all__ = ["LogEntry", "Run", "RunsService"]
