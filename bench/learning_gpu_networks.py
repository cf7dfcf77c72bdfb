"""Networks on a GPU and through BLAS, as trainings have them: a part of `learning_gpu.py`.

Every action's value is regressed on its reward, as `dql` does. A step is whole: batches are drawn
on the processor, inputs and derivatives go to the device and outputs come back. Where all members
see the same batch hardly anything is copied, which shows what the kernels do.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from spice_engine.learning.kernels.network_devices import WORTH_STEP
from spice_engine.learning.kernels.network_on_cuda import GpuNetworks
from spice_engine.learning.networks import MakeNetworks, Networks

ROWS = 4_096
RATE, CLIP = 1e-3, 1e9
SHAPE = (64, 64, 64, 3)
WEIGHTS = 65 * 64 + 65 * 64 + 65 * 3
FLOP = 6 * WEIGHTS
"""Of one sample, forwards and backwards."""
MOST_ON_CPU = 64
"""Its time grows with the members: so many are enough to see it."""


class Case:
    """Members that know nothing, rows to learn from, and a batch for all or each its `own`.

    BLAS has no steps from one batch for all.
    """

    def __init__(
        self, make: MakeNetworks, members: int, sizes: tuple[int, ...], batch: int, *, own: bool
    ) -> None:
        self._random = np.random.default_rng(0)
        self._inputs = self._random.normal(size=(ROWS, sizes[0])).astype(np.float32)
        self._targets = self._random.normal(size=(ROWS, sizes[-1])).astype(np.float32)
        self._batch, self._own = batch, own
        self.networks = make(members, sizes, self._random)

    def step(self) -> None:
        """One gradient step of all members."""
        networks, batch = self.networks, self._batch
        for some in networks.blocks(batch):
            members = len(networks.flat[some]) if self._own else 1
            drawn = self._random.integers(0, ROWS, (members, batch))
            inputs = self._inputs[drawn]
            layers = networks.forward(inputs if self._own else inputs[0], some)
            outward = (layers[-1] - self._targets[drawn]) * np.float32(1 / batch)
            networks.step(layers, outward, RATE, CLIP, some=some)


def agreement() -> float:
    """How far GPU and BLAS are apart after some steps, in shares of how far they have come."""
    cases = [Case(make, 2, (5, 8, 8, 3), 16, own=True) for make in (Networks, GpuNetworks)]
    before = cases[0].networks.flat.copy()
    for case in cases:
        for _ in range(4):
            case.step()
        case.networks.network()  # copies what has been learned from the device
    one, other = (case.networks.flat for case in cases)
    return float(np.abs(one - other).max() / np.abs(one - before).max())


def samples_per_second(
    make: MakeNetworks, members: int, batch: int, steps: int, rounds: int, *, own: bool = True
) -> float:
    """Of 64-64 networks with 64 features and three actions; the median of some rounds."""
    case = Case(make, members, SHAPE, batch, own=own)
    taken: list[float] = []
    for turn in range(rounds + 1):
        begin = time.perf_counter()
        for _ in range(steps):
            case.step()
        case.networks.network()  # waits for the device
        if turn:
            taken.append(time.perf_counter() - begin)
    return members * batch * steps / statistics.median(taken)


def figures(members: int, steps: int, rounds: int) -> dict[str, Any]:
    """How far both are apart, and samples a second of many networks and of one, by the batch."""
    return {
        "members": members,
        "apart_from_blas": agreement(),
        "many": {str(batch): _measure(members, batch, steps, rounds) for batch in (32, 256)},
        "one": {str(batch): _measure(1, batch, 5 * steps, rounds) for batch in (64, 256, 1_024)},
        "estimated_to_pay_from": -(-WORTH_STEP // WEIGHTS),
    }


def _measure(members: int, batch: int, steps: int, rounds: int) -> dict[str, float]:
    """By what learns: batches of their own or alike on the GPU, their own on the processor."""
    gpu = samples_per_second(GpuNetworks, members, batch, steps, rounds)
    alike = samples_per_second(GpuNetworks, members, batch, steps, rounds, own=False)
    few = min(members, MOST_ON_CPU)
    cpu = samples_per_second(Networks, few, batch, steps, rounds)
    return {
        "gpu": round(gpu),
        "gpu_alike": round(alike),
        "gpu_alike_g_flop_per_second": round(alike * FLOP / 1e9),
        "cpu": round(cpu),
        "times": round(gpu / cpu, 2),
        "times_alike": round(alike / cpu, 2),
    }


def rows(found: dict[str, Any], wanted: float) -> str:
    """The figures as rows of a table."""
    lines = [
        f"| {found['members']} networks 64-64, batch {batch}: samples a second, whole steps "
        f"| {one['gpu']:,}, {one['times']} times two cores | {wanted:g} times |\n"
        f"| the same batch for all: | {one['gpu_alike']:,}, {one['times_alike']} times; "
        f"{one['gpu_alike_g_flop_per_second']:,} GFLOP/s | |\n"
        for batch, one in found["many"].items()
    ]
    lines += [
        f"| one network, batch {batch}: samples a second | {one['gpu']:,}, {one['times']} times "
        f"two cores | pays from {found['estimated_to_pay_from']}, as the product says |\n"
        for batch, one in found["one"].items()
    ]
    apart = found["apart_from_blas"]
    return (
        f"{''.join(lines)}| the same networks through BLAS, apart by | {apart:.1e} of the way | |\n"
    )
