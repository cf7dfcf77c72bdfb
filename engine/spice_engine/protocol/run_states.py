"""The states of runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from spice_engine.errors import InvalidRequest

UNDER_WAY: Final = frozenset(
    {"requested", "queued", "building", "mounting", "running", "saving", "stopping", "killing"}
)
"""A run in one of these has not ended."""

OVER: Final = frozenset(
    {"complete", "failed", "build_failed", "mount_failed", "interrupted", "killed", "stopped"}
)
"""A run in one of these is over and never changes its state again."""

STATES: Final = UNDER_WAY | OVER
"""All there are."""

STAGES: Final = ("snapshot", "queued", "environment", "files", "running", "saving")
"""What a run goes through, in order; each is timed."""


def check(states: Iterable[str]) -> None:
    """Refuse names that are no state.

    Raises:
        InvalidRequest: one is none.
    """
    for one in states:
        if one not in STATES:
            raise InvalidRequest(
                f"there is no state {one[:40]!r}.", hint=f"States: {', '.join(sorted(STATES))}."
            )
