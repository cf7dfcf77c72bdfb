"""What becomes of the calls of a lane whose worker died, by the page of started calls."""

from __future__ import annotations

from spice_engine.serving.calls import Call
from spice_engine.serving.lanes import Lane
from spice_engine.serving.workers import Batch

_MAX_LOST = 5
"""So often a call may be lost before it was begun; then it counts as begun."""


def sort_out(lane: Lane) -> tuple[list[Call], list[Call], list[Call]]:
    """Empty a lost lane: streams that are cut, calls that were begun, and calls that were not.

    Each list is in the order in which the calls were sent; those that nobody waits for are in none.
    """
    calls = list(lane.calls.values())
    number = _begun(calls, lane)
    lane.calls.clear()
    lane.batches.clear()
    cut: list[Call] = []
    begun: list[Call] = []
    back: list[Call] = []
    for place, call in enumerate(calls):
        if call.done:
            continue
        call.batch = None
        call.lane = None
        call.lost += 1
        if call.streaming:
            cut.append(call)
        elif place < number or call.lost > _MAX_LOST:
            begun.append(call)
        else:
            back.append(call)
    return cut, begun, back


def _begun(calls: list[Call], lane: Lane) -> int:
    """How many of the calls, in the order in which they were sent, had been begun.

    A worker that does one after another began all before the one it began last: their answers
    may have been made, but are lost. One that does many at once began whatever it was sent.
    """
    started = lane.link.started(lane)
    if started is None or lane.concurrency > 1:
        return len(calls)
    if started:
        for place in range(len(calls) - 1, -1, -1):
            call = calls[place]
            batch = call.batch
            if call.ident == started or (isinstance(batch, Batch) and batch.ident == started):
                return place + 1
    return 0
