"""How late the loop is: an always-on histogram of timer delays.

A timer every 50 ms notes by how much it came late, which is how long something held the loop.
Buckets grow by a quarter, from 0.1 ms to about 10 s; percentiles are read off their upper edges.
"""

from __future__ import annotations

import asyncio
import bisect

PERIOD = 0.05
EDGES: tuple[float, ...] = tuple(0.0001 * 1.25**k for k in range(52))
"""Upper edges of the buckets, seconds."""


class LoopLag:
    """Measures one loop from `start` to `stop`."""

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES) + 1)
        self.total = 0.0
        self.max = 0.0
        self.samples = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._arm()

    def _arm(self) -> None:
        self._due = self._loop.time() + PERIOD
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        # uvloop rounds timers to whole milliseconds: coming early is not being late.
        late = max(0.0, self._loop.time() - self._due)
        self.counts[bisect.bisect_left(EDGES, late)] += 1
        self.total += late
        self.max = max(self.max, late)
        self.samples += 1
        self._arm()

    def stop(self) -> None:
        """End measuring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def percentile(self, share: float) -> float:
        """Seconds under which `share` of the samples were late, at most a quarter too high."""
        wanted = share * self.samples
        seen = 0
        for edge, count in zip(EDGES, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return min(edge, self.max)
        return self.max

    def reset(self) -> None:
        """Forget everything, for measuring a stretch of time."""
        self.counts = [0] * (len(EDGES) + 1)
        self.total = self.max = 0.0
        self.samples = 0

    def cumulative(self) -> list[tuple[float, int]]:
        """Pairs of upper edge (seconds) and samples at or under it."""
        seen = 0
        pairs: list[tuple[float, int]] = []
        for edge, count in zip(EDGES, self.counts, strict=False):
            seen += count
            pairs.append((edge, seen))
        return pairs
