"""A population of networks that learns on a GPU, where its parameters stay from step to step.

At a step only inputs and derivatives by the outputs go there and only outputs come back; parameters
do when a network is shown. Importing this module imports numba.cuda.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np

from spice_engine.learning.kernels import network_cuda as kernels
from spice_engine.learning.kernels.budget import SHARE
from spice_engine.learning.kernels.cuda import cuda
from spice_engine.learning.kernels.network_cuda import HIDDEN, INWARD, OUTPUTS, SLOPES, Tile
from spice_engine.learning.kernels.on_cuda import Unusable, free_bytes
from spice_engine.learning.networks import Floats, Network, Networks, adam_factors
from spice_engine.records import record

TILE = Tile()
FOR_LAYERS = 0.25
"""Share of free memory for one population's layers; target networks and moments want theirs."""
_NUMBER = 4


@record
class _Pass:
    """The last pass: what it gave, of how many rows, and how far members' inputs are apart."""

    outputs: Floats
    rows: int
    apart: int


class GpuNetworks(Networks):
    """As `Networks`, in the memory of the first GPU; equal to it up to rounding.

    `flat` and its views are the host's copy, as old as the last `network`. Raises Unusable where
    its memory is too small, before anything is written there, and whatever the driver raises.
    """

    def __init__(self, members: int, sizes: Sequence[int], chance: np.random.Generator) -> None:
        super().__init__(members, sizes, chance)
        self._hold()

    def _hold(self) -> None:
        """Everything there is on the device: for now, parameters."""
        self._size = self.flat.shape[1]
        self._starts = [0]
        for before, after in pairwise(self.sizes):
            self._starts.append(self._starts[-1] + (before + 1) * after)
        self._done = np.zeros(self.members, np.int64)
        self._rooms: dict[str | int, Any] = {}
        self._together: dict[int, int] = {}
        self._last: _Pass | None = None
        self._flat = self._room("flat", self.flat.size)
        self._flat.copy_to_device(self.flat.reshape(-1))

    def _room(self, name: str | int, count: int) -> Any:
        """So many numbers on the device: of the array of that name, which grows where it must."""
        found = self._rooms.get(name)
        if found is None or found.size < count:
            self._rooms[name] = found = None
            free = free_bytes()
            if count * _NUMBER > free * SHARE:
                raise Unusable(
                    f"Networks want {count * _NUMBER / 2**20:.0f} MiB more of the GPU, which has "
                    f"{free / 2**20:.0f} MiB free"
                )
            found = self._rooms[name] = cuda.device_array(count, np.float32)
        return found if found.size == count else found[:count]

    def copy(self) -> Self:
        """A population of the same parameters that learns by itself."""
        self._fetch()
        made = super().copy()
        made._hold()
        return made

    def _fetch(self) -> None:
        self._flat.copy_to_host(self.flat.reshape(-1))

    def resume(self, network: Network) -> None:
        """As `Networks.resume`."""
        self._fetch()
        super().resume(network)
        self._flat.copy_to_device(self.flat.reshape(-1))

    def network(self, *, leads: bool = False) -> Network:
        """As `Networks.network`; here parameters come back."""
        self._fetch()
        return super().network(leads=leads)

    def follow(self, other: Networks, share: float) -> None:
        """As `Networks.follow`, of another population on the GPU."""
        if not isinstance(other, GpuNetworks):
            raise TypeError("Networks on a GPU follow others there.")
        if share == 1.0:
            self._flat.copy_to_device(other._flat)
            return
        blocks = self._parts() * self.members
        kernels.make_follow()[blocks, TILE.stretch](self._flat, other._flat, np.float32(share))

    def blocks(self, rows: int) -> Iterator[slice]:
        """Which members to take together: all whose layers have room."""
        together = self._together.get(rows)
        if together is None:
            room = int(free_bytes() * FOR_LAYERS) // (_NUMBER * max(1, rows) * sum(self.sizes))
            together = self._together[rows] = max(1, min(room, self.members))
        for start in range(0, self.members, together):
            yield slice(start, min(start + together, self.members))

    def forward(self, inputs: Floats, some: slice = slice(None)) -> list[Floats]:
        """As `Networks.forward`, but for hidden layers, which stay there: the outputs alone."""
        first, end, _ = some.indices(self.members)
        members, rows, width = end - first, inputs.shape[-2], inputs.shape[-1]
        apart = rows * width if inputs.ndim == 3 else 0
        outputs = np.empty((members, rows, self.sizes[-1]), np.float32)
        if not rows:
            return [outputs]
        flat = self._of(self._flat, first, end)
        before = self._room(0, inputs.size)
        before.copy_to_device(np.ascontiguousarray(inputs).reshape(-1))
        last, step = len(self.sizes) - 2, apart
        for layer, (taken, given) in enumerate(pairwise(self.sizes)):
            after = self._room(layer + 1, members * rows * given)
            self._multiply(
                (before, flat, after), members, HIDDEN if layer < last else OUTPUTS,
                rows, taken + 1, given, step, self._starts[layer],
            )  # fmt: skip
            before, step = after, rows * given
        before.copy_to_host(outputs.reshape(-1))
        self._last = _Pass(outputs, rows, apart)
        return [outputs]

    def step(
        self,
        layers: list[Floats],
        outward: Floats,
        rate: float,
        longest: float,
        decay: float = 0.0,
        some: slice = slice(None),
    ) -> None:
        """As `Networks.step`, for the pass that `forward` made last."""
        made = self._last
        if made is None or layers[-1] is not made.outputs:
            raise ValueError("Networks on a GPU step from their last pass alone.")
        first, end, _ = some.indices(self.members)
        members, rows = end - first, made.rows
        flat = self._of(self._flat, first, end)
        slopes = self._room("slopes", members * self._size)
        outer = self._room(len(self.sizes) - 1, outward.size)
        outer.copy_to_device(np.ascontiguousarray(outward, np.float32).reshape(-1))
        for layer in range(len(self.sizes) - 2, -1, -1):
            taken, given = self.sizes[layer : layer + 2]
            start = self._starts[layer]
            apart = rows * taken if layer else made.apart
            inner = self._room(layer, self._count(made, members, layer))
            self._multiply(
                (inner, outer, slopes), members, SLOPES, taken + 1, rows, given, apart, start
            )
            if layer:
                self._multiply(
                    (outer, flat, inner), members, INWARD, rows, given, taken, rows * given, start
                )
            outer = inner
        self._last = None
        self._descend(first, end, rate, longest, decay)

    def _count(self, made: _Pass, members: int, layer: int) -> int:
        alike = layer == 0 and not made.apart
        return (1 if alike else members) * made.rows * self.sizes[layer]

    def _descend(self, first: int, end: int, rate: float, longest: float, decay: float) -> None:
        """A step of Adam along the slopes of some members."""
        self._done[first:end] += 1
        size, epsilon = adam_factors(int(self._done[first]), rate)
        members, threads, parts = end - first, TILE.stretch, self._parts()
        slopes = self._room("slopes", members * self._size)
        totals = self._room("totals", members * parts)
        kernels.make_squares(threads)[(parts, members), threads](slopes, totals, self._size)
        kernels.make_adam()[(parts, members), threads](
            self._of(self._flat, first, end), self._moment("mean", first, end),
            self._moment("square", first, end), slopes, totals, self._size,
            np.float32(longest), size, epsilon, np.float32(max(0.0, 1.0 - rate * decay)),
        )  # fmt: skip

    def _parts(self) -> int:
        """Blocks that go over a member's parameters."""
        return min(TILE.parts, -(-self._size // TILE.stretch))

    def _moment(self, name: str, first: int, end: int) -> Any:
        """Those of some members; zeros at first."""
        if name not in self._rooms:
            self._room(name, self.flat.size).copy_to_device(np.zeros(self.flat.size, np.float32))
        return self._of(self._rooms[name], first, end)

    def _of(self, array: Any, first: int, end: int) -> Any:
        """The part of parameters or moments that is of some members."""
        if end - first == self.members:
            return array
        return array[first * self._size : end * self._size]

    def _multiply(
        self,
        arrays: tuple[Any, Any, Any],
        members: int,
        kind: int,
        rows: int,
        inner: int,
        columns: int,
        apart: int,
        start: int,
    ) -> None:
        grid = (math.ceil(rows / TILE.side), math.ceil(columns / TILE.side), members)
        kernels.make_multiply(TILE)[grid, TILE.threads](
            *arrays, kind, rows, inner, columns, apart, self._size, start
        )
