"""What a router tells the autoscaler: how much is under way, how much waits, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

from spice_engine.records import record
from spice_engine.serving.lanes import Lane
from spice_engine.serving.waiting import Waiting


@record
class Signals:
    """What the autoscaler goes by. `oldest_wait` in seconds, `rate` of answers per second over
    the last seconds; `lanes` can be used, `busy` of them hold calls."""

    in_flight: int
    queued: int
    oldest_wait: float
    rate: float
    lanes: int
    busy: int


def of(
    lanes: Sequence[Lane], waiting: Waiting, held: int, queued: int, rate: float, now: float
) -> Signals:
    """The signals of this moment."""
    first = waiting.first()
    usable = [lane for lane in lanes if lane.link.stays()]
    return Signals(
        in_flight=held,
        queued=queued,
        oldest_wait=max(0.0, now - first.arrived) if first else 0.0,
        rate=rate,
        lanes=len(usable),
        busy=sum(1 for lane in usable if lane.calls),
    )
