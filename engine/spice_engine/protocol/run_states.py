"""The states of runs."""

from __future__ import annotations

from typing import Final

UNDER_WAY: Final = frozenset(
    {"requested", "queued", "building", "mounting", "running", "saving", "stopping", "killing"}
)
"""A run in one of these has not ended."""
