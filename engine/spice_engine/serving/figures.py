"""What one server (or one replica) did: counts, histograms, and the last half minute.

The router gives each replica figures of its own and writes only there; those of the server are
the sum, so that a request costs one observation. Times go in as seconds of `time.monotonic()`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import field

from spice_engine.records import record

EDGES: tuple[float, ...] = tuple(5e-5 * 1.2**k for k in range(78))
"""Upper edges of the time buckets in seconds: 50 µs to about 60 s, each a fifth wider."""
BATCH_EDGES: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Upper edges of the buckets of batch sizes."""
WINDOW = 30
"""Seconds that rates and percentiles of the last time cover."""
_RING = 32
_SHOWN = 4
"""Every so many-th edge is told to Prometheus."""


@record
class Histogram:
    """Pairs of upper edge and how many lay at or under it, then all of them and their sum."""

    buckets: list[tuple[float, int]]
    count: int
    total: float


@record
class Snapshot:
    """Figures at one moment. Rates are per second and times milliseconds, both of the last
    `WINDOW` seconds; `statuses` and `retries` count since the start. `errors` are 5xx answers."""

    count: int
    statuses: dict[int, int]
    rate: float
    errors: float
    p50: float | None
    p99: float | None
    queue_p50: float | None
    queue_p99: float | None
    service_p50: float | None
    batch: float | None
    in_flight: int
    queued: int
    retries: int
    classes: dict[str, int] = field(default_factory=dict[str, int])


class _Second:
    """What happened in one second of the ring."""

    __slots__ = ("answered", "batches", "errors", "latency", "queue", "rows", "service", "stamp")

    def __init__(self) -> None:
        self.stamp = -1
        self.clear(-1)

    def clear(self, stamp: int) -> None:
        self.stamp = stamp
        self.answered = 0
        self.errors = 0
        self.batches = 0
        self.rows = 0
        self.latency = [0] * (len(EDGES) + 1)
        self.queue = [0] * (len(EDGES) + 1)
        self.service = [0] * (len(EDGES) + 1)

    def add(self, other: _Second) -> None:
        self.answered += other.answered
        self.errors += other.errors
        self.batches += other.batches
        self.rows += other.rows
        if not other.answered:
            return
        _add(self.latency, other.latency)
        _add(self.queue, other.queue)
        _add(self.service, other.service)


class Figures:
    """Figures of a server or of one replica.

    `level` tells how many calls are under way and how many wait; the router sets it.
    """

    __slots__ = (
        "_batch_counts",
        "_batches",
        "_latency",
        "_latency_sum",
        "_now",
        "_parts",
        "_queue",
        "_queue_sum",
        "_recent",
        "_ring",
        "_rows",
        "_second",
        "_service",
        "_service_sum",
        "_since",
        "_statuses",
        "level",
        "retries",
    )

    def __init__(self) -> None:
        self.level: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.retries = 0
        self._statuses: dict[int, int] = {}
        self._latency = [0] * (len(EDGES) + 1)
        self._queue = [0] * (len(EDGES) + 1)
        self._service = [0] * (len(EDGES) + 1)
        self._latency_sum = self._queue_sum = self._service_sum = 0.0
        self._batch_counts = [0] * (len(BATCH_EDGES) + 1)
        self._batches = 0
        self._rows = 0
        self._ring = [_Second() for _ in range(_RING)]
        self._second = -1
        self._since = 0.0
        self._now = self._ring[0]
        self._parts: list[Figures] = []
        self._recent: tuple[float, Snapshot | None] = (0.0, None)

    def observe(
        self, status: int, latency: float, queue: float, service: float, now: float
    ) -> None:
        """Count one answered call: seconds from its arrival to the answer, in the queue, and in
        the replica. About a microsecond."""
        if now >= self._second + 1:
            self._turn(now)
        second = self._now
        statuses = self._statuses
        statuses[status] = statuses.get(status, 0) + 1
        second.answered += 1
        if status >= 500:
            second.errors += 1
        second.latency[bisect_left(EDGES, latency)] += 1
        second.queue[bisect_left(EDGES, queue)] += 1
        second.service[bisect_left(EDGES, service)] += 1
        self._latency_sum += latency
        self._queue_sum += queue
        self._service_sum += service

    def refused(self, status: int, now: float) -> None:
        """Count a call that no replica answered (turned away, given up, cancelled)."""
        if now >= self._second + 1:
            self._turn(now)
        self._statuses[status] = self._statuses.get(status, 0) + 1
        if status >= 500:
            self._now.errors += 1

    def batch(self, size: int, now: float) -> None:
        """Count a batch that left with so many items."""
        if now >= self._second + 1:
            self._turn(now)
        self._batch_counts[bisect_left(BATCH_EDGES, size)] += 1
        self._batches += 1
        self._rows += size
        self._now.batches += 1
        self._now.rows += size

    def _turn(self, now: float) -> None:
        """A new second begins: what is in its place in the ring is old, and counts for ever."""
        if not self._since:
            self._since = now
        self._second = int(now)
        slot = self._ring[self._second % _RING]
        if slot.stamp != self._second:
            self._keep(slot)
            slot.clear(self._second)
        self._now = slot

    def _keep(self, slot: _Second) -> None:
        _add(self._latency, slot.latency)
        _add(self._queue, slot.queue)
        _add(self._service, slot.service)

    def add(self, part: Figures) -> None:
        """From now on `part` counts here, too."""
        self._parts.append(part)

    def absorb(self, part: Figures) -> None:
        """`part` has ended: what it counted stays."""
        if part not in self._parts:
            return
        self._parts.remove(part)
        self.retries += part.retries
        for status, count in part._statuses.items():
            self._statuses[status] = self._statuses.get(status, 0) + count
        for kept, other in self._totals_with(part):
            _add(kept, other)
        self._latency_sum += part._latency_sum
        self._queue_sum += part._queue_sum
        self._service_sum += part._service_sum
        self._batches += part._batches
        self._rows += part._rows
        self._since = min(self._since or part._since, part._since or self._since)
        for mine, its in zip(self._ring, part._ring, strict=True):
            if its.stamp > mine.stamp:
                self._keep(mine)
                mine.clear(its.stamp)
                mine.add(its)
            elif its.stamp == mine.stamp:
                mine.add(its)
            else:
                self._keep(its)

    def _totals_with(self, part: Figures) -> tuple[tuple[list[int], list[int]], ...]:
        return (
            (self._latency, part._latency),
            (self._queue, part._queue),
            (self._service, part._service),
            (self._batch_counts, part._batch_counts),
        )

    def _all(self) -> list[Figures]:
        return [self, *self._parts]

    def _last(self, now: float, seconds: int) -> tuple[_Second, float]:
        """The sum of the last whole seconds, and how many seconds that is."""
        total = _Second()
        last = int(now) - 1
        first = last - seconds + 1
        since = 0.0
        for part in self._all():
            for slot in part._ring:
                if first <= slot.stamp <= last:
                    total.add(slot)
            if part._since:
                since = min(since or part._since, part._since)
        span = min(float(seconds), max(1.0, last + 1 - int(since))) if since else 1.0
        return total, span

    def rate(self, now: float, seconds: int = WINDOW) -> float:
        """Answered calls per second over the last whole seconds."""
        last, first = int(now) - 1, int(now) - seconds
        answered, since = 0, 0.0
        for part in self._all():
            answered += sum(s.answered for s in part._ring if first <= s.stamp <= last)
            if part._since:
                since = min(since or part._since, part._since)
        span = min(float(seconds), max(1.0, last + 1 - int(since))) if since else 1.0
        return answered / span

    @property
    def statuses(self) -> dict[int, int]:
        """Answers by HTTP status since the start; 499: the client left."""
        found: dict[int, int] = {}
        for part in self._all():
            for status, count in part._statuses.items():
                found[status] = found.get(status, 0) + count
        return found

    def snapshot(self, now: float) -> Snapshot:
        """The figures of this moment."""
        last, span = self._last(now, WINDOW)
        statuses = self.statuses
        in_flight, queued = self.level()
        classes: dict[str, int] = {}
        for status, count in statuses.items():
            name = f"{status // 100}xx"
            classes[name] = classes.get(name, 0) + count
        return Snapshot(
            count=sum(statuses.values()),
            statuses=statuses,
            rate=last.answered / span,
            errors=last.errors / span,
            p50=_percentile(last.latency, 0.5),
            p99=_percentile(last.latency, 0.99),
            queue_p50=_percentile(last.queue, 0.5),
            queue_p99=_percentile(last.queue, 0.99),
            service_p50=_percentile(last.service, 0.5),
            batch=last.rows / last.batches if last.batches else None,
            in_flight=in_flight,
            queued=queued,
            retries=sum(part.retries for part in self._all()),
            classes=classes,
        )

    def recent(self, now: float, age: float = 0.5) -> Snapshot:
        """As `snapshot`, which takes a millisecond where much is going on; one that is at most
        `age` seconds old will do."""
        made, known = self._recent
        if known is None or now - made > age:
            known = self.snapshot(now)
            self._recent = (now, known)
        return known

    def latency(self) -> Histogram:
        """Seconds from arrival to answer, since the start."""
        return self._histogram("_latency", "latency")

    def queue_time(self) -> Histogram:
        """Seconds in the queue, since the start."""
        return self._histogram("_queue", "queue")

    def service_time(self) -> Histogram:
        """Seconds of work in the replica, since the start."""
        return self._histogram("_service", "service")

    def _histogram(self, kept: str, name: str) -> Histogram:
        counts, total = [0] * (len(EDGES) + 1), 0.0
        for part in self._all():
            _add(counts, getattr(part, kept))
            total += getattr(part, f"{kept}_sum")
            for slot in part._ring:
                _add(counts, getattr(slot, name))
        return Histogram(_cumulative(EDGES, counts, _SHOWN), sum(counts), total)

    def batch_sizes(self) -> Histogram:
        """Items of the batches that left, since the start."""
        counts, rows = [0] * (len(BATCH_EDGES) + 1), 0
        for part in self._all():
            _add(counts, part._batch_counts)
            rows += part._rows
        return Histogram(_cumulative(BATCH_EDGES, counts, 1), sum(counts), float(rows))


def _add(into: list[int], other: list[int]) -> None:
    into[:] = map(int.__add__, into, other)


def _cumulative(
    edges: tuple[float, ...] | tuple[int, ...], counts: list[int], step: int
) -> list[tuple[float, int]]:
    seen = 0
    pairs: list[tuple[float, int]] = []
    for place, (edge, count) in enumerate(zip(edges, counts, strict=False)):
        seen += count
        if place % step == 0:
            pairs.append((float(edge), seen))
    return pairs


def _percentile(counts: list[int], share: float) -> float | None:
    """Milliseconds under which `share` of the times lie, between a bucket's edges by its share."""
    number = sum(counts)
    if not number:
        return None
    wanted = share * number
    seen = 0
    for place, count in enumerate(counts):
        if count and seen + count >= wanted:
            low = EDGES[place - 1] if place else 0.0
            high = EDGES[place] if place < len(EDGES) else EDGES[-1] * 2
            return 1000.0 * (low + (high - low) * (wanted - seen) / count)
        seen += count
    return 1000.0 * EDGES[-1]
