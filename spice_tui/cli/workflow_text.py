"""Workflows as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OVER = ("complete", "failed", "stopped", "killed")
_COLORS = {"running": "green", "starting": "green", "failed": "red"}


def color_of(state: str) -> str:
    """The colour of a step's or workflow's state; none for what is as it should be."""
    if state in {"stopped", "killed", "skipped"}:
        return "yellow"
    return _COLORS.get(state, "")


def step_line(step: Mapping[str, Any]) -> str:
    """`train[1]: running (run 5)`."""
    run = "" if step["run"] is None or step["state"] == "cached" else f" (run {step['run']})"
    message = f": {step['message']}" if step["message"] else ""
    return f"{step['key']}: {step['state']}{run}{message}"


def counts_text(counts: Mapping[str, int]) -> str:
    """`3 complete, 1 failed`."""
    return ", ".join(f"{count} {state}" for state, count in counts.items())
