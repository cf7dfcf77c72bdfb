"""This machine's GPUs: how many there are, who has which, and how a process is told of its own.

Servers' replicas and runs take from one count, so that they keep out of each other's way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "CUDA_VISIBLE_DEVICES"


def gpus_here() -> int:
    """How many GPUs this machine shows (NVIDIA's device files)."""
    return sum(1 for path in Path("/dev").glob("nvidia[0-9]*") if path.name[6:].isdecimal())


def variables_of(devices: Sequence[int]) -> dict[str, str]:
    """The environment variables that show a process these GPUs alone; none for no devices."""
    return {VARIABLE: ",".join(str(device) for device in devices)} if devices else {}


def devices_in(environment: Mapping[str, Any]) -> tuple[int, ...]:
    """The numbers of the GPUs that a process with this environment sees, as it was told."""
    text = str(environment.get(VARIABLE, ""))
    return tuple(int(part) for part in text.split(",") if part.isdecimal())


class Devices:
    """Counts the uses of each GPU. Belongs to the engine's loop."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._uses = Counter[int]()

    def least_used(self, count: int) -> tuple[int, ...]:
        """That many GPUs (fewer if there are not so many), the least used ones, in order."""
        order = sorted(range(self.count), key=lambda number: (self._uses[number], number))
        return tuple(sorted(order[:count]))

    def take(self, devices: Sequence[int]) -> None:
        """Count one more use of each."""
        self._uses.update(devices)

    def give_back(self, devices: Sequence[int]) -> None:
        """Count one use less of each."""
        self._uses.subtract(devices)
