"""What numba's simulator of CUDA needs so that its threads are quick, and share what they share."""

from __future__ import annotations

import sys
import threading
from typing import Any


class Allocations(dict[Any, Any]):
    """The shared arrays of a block. The simulator looks whether there is one, and makes it if not;
    of two threads that look at once each would have its own: the second one waits for the first."""

    def __init__(self) -> None:
        super().__init__()
        self._making = threading.Lock()

    def get(self, key: Any, default: Any = None) -> Any:
        """An array; whoever hears of none makes it next."""
        self._making.acquire()
        found = super().get(key, default)
        if found is not None:
            self._making.release()
        return found

    def __setitem__(self, key: Any, made: Any) -> None:
        super().__setitem__(key, made)
        self._making.release()


def prepare() -> None:
    """Have the simulator work so; on a GPU nothing changes."""
    kernelapi = sys.modules.get("numba.cuda.simulator.kernelapi")
    if kernelapi is None:
        return
    sys.setswitchinterval(1e-4)  # it waits for its threads without ever sleeping
    begin = kernelapi.FakeCUDAShared.__init__

    def with_allocations(self: Any, *sizes: Any) -> None:
        begin(self, *sizes)
        self._allocations = Allocations()

    kernelapi.FakeCUDAShared.__init__ = with_allocations
