"""Which replicas to start and to drain: the steps of a rollout, and when a version is given up.

Pure functions of what is there; `deployment.py` carries them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spice_engine.records import record

SURGE = 1
"""So many replicas more than wanted run while a version is rolled out."""

TRIAL_SECONDS = 300.0
"""A version is on trial until it is so old."""
MOST_CRASHES = 3
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
SHORT_LIFE = 5.0
"""A replica that was ready for less has not lived well, and its successor waits longer."""


@record
class Seen:
    """A replica that neither drains nor has ended."""

    number: int
    version: int
    ready: bool


@record
class Step:
    """What to do now: start so many of the wanted version, drain these."""

    start: int = 0
    drain: tuple[int, ...] = ()


def step(seen: Sequence[Seen], version: int, wanted: int) -> Step:
    """The next step towards `wanted` replicas of `version`.

    Ready replicas never get fewer than `wanted` through it, and never is there more than one
    more than wanted, while old ones are there.
    """
    new = [one for one in seen if one.version == version]
    old = [one for one in seen if one.version != version]
    old_ready = sorted((one for one in old if one.ready), key=lambda one: one.number)
    # An old one that is not ready yet never will be needed.
    drain = [one.number for one in old if not one.ready]
    new_ready = [one for one in new if one.ready]
    spare = len(new_ready) + len(old_ready) - wanted
    for one in old_ready[: max(0, spare)]:
        drain.append(one.number)
    kept_old = len(old_ready) - min(len(old_ready), max(0, spare))
    if len(new) > wanted:
        # Those that are not ready go first, then the youngest.
        order = sorted(new, key=lambda one: (one.ready, -one.number))
        drain += [one.number for one in order[: len(new) - wanted]]
    room = wanted - len(new)
    if kept_old:
        room = min(room, wanted + SURGE - len(new) - kept_old)
    return Step(max(0, room), tuple(drain))


def is_done(seen: Sequence[Seen], version: int, wanted: int) -> bool:
    """Whether as many as wanted of the version are ready, and no other one is left."""
    ready = sum(1 for one in seen if one.version == version and one.ready)
    return ready >= wanted and all(one.version == version for one in seen)


@dataclass(slots=True)
class Trial:
    """How a version does: its crashes while it is young, and how long its next start waits.

    `begun` and the times given are of one clock, in seconds.
    """

    version: int
    begun: float
    was_ready: bool = False
    crashes: int = 0
    reasons: list[str] = field(default_factory=list[str])
    not_before: float = 0.0
    _pause: float = 0.0

    def crashed(self, now: float, lived: float | None, reason: str, *, blamed: bool) -> None:
        """A replica of it ended by itself. `lived` is for how long it was ready (None: never).

        What was killed from outside is not held against the version.
        """
        if blamed and now - self.begun < TRIAL_SECONDS:
            self.crashes += 1
        self.reasons = [*self.reasons[-4:], reason]
        if blamed and (lived is None or lived < SHORT_LIFE):
            self._pause = min(LONGEST_PAUSE, 2 * self._pause or FIRST_PAUSE)
        else:
            self._pause = 0.0
        self.not_before = max(self.not_before, now + (self._pause or 0.0))

    def is_over(self, *, has_other: bool) -> bool:
        """Whether it is given up: it crashed too often, and there is another version to go back
        to, or none of its replicas was ever ready."""
        return self.crashes >= MOST_CRASHES and (has_other or not self.was_ready)
