"""The page of started calls, shared with the router, and its twin of times, with our workers."""

from __future__ import annotations

import mmap
import os
import time

from spice_runtime.wire import STARTED_SLOTS

PAGE_BYTES = 8 * STARTED_SLOTS


class Page:
    """`ids[slot]` is the call that a lane began last, 0 when it is idle; `times` says when.

    Both are plain arrays that a worker writes without a call; they are shared by forked workers.
    """

    def __init__(self, path: str) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, PAGE_BYTES)
            page = mmap.mmap(fd, PAGE_BYTES)
            # In place: the router may have mapped it.
            page[:] = bytes(PAGE_BYTES)
            self.ids = memoryview(page).cast("Q")
        finally:
            os.close(fd)
        self.times = memoryview(mmap.mmap(-1, PAGE_BYTES)).cast("d")

    def busy(self, lanes: int) -> list[list[float]]:
        """[lane, id, seconds] of each lane that works."""
        now = time.perf_counter()
        # A copy first: a worker may end meanwhile.
        return [
            [lane, ident, round(now - self.times[lane], 6)]
            for lane, ident in enumerate(self.ids[:lanes].tolist())
            if ident
        ]
