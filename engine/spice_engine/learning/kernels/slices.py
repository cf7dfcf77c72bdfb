"""Long work in slices, between which progress is told and cancellation heard."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_SECONDS = 0.05
_AIM_SECONDS = 0.025
"""Aimed at, so that a slice on a busy machine stays below MOST_SECONDS, too."""
_GROWTH = 4


def in_slices(
    total: int,
    work: Callable[[int, int], None],
    check: Callable[[], None],
    *,
    first: int,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Has `work(begin, end)` done from 0 to `total`, as many steps at a time as take some 25 ms.

    `first` steps are tried first, and no fewer than a tenth of them later: where a slice takes long
    whatever it does, shorter ones would take for ever. `check` is called before every slice and
    may raise to end it. Where it is cut depends on the clock: work must come to the same however
    it is cut.
    """
    least = max(1, first // 10)
    done, count = 0, max(1, first)
    while done < total:
        check()
        end = min(total, done + count)
        began = clock()
        work(done, end)
        took = clock() - began
        fitting = (end - done) * _AIM_SECONDS / max(took, 1e-9)
        done, count = end, max(least, min(int(fitting), count * _GROWTH))
