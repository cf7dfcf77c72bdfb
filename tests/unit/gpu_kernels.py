"""Every CUDA kernel beside the CPU's: on a GPU, or with NUMBA_ENABLE_CUDASIM=1 in the simulator.

    python -m tests.unit.gpu_kernels

Prints one JSON object: of each case whether tables and random numbers are equal, bit for bit.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numba.cuda.cudadrv import driver

from spice_engine.learning.kernels.devices import Devices
from spice_engine.learning.kernels.on_cpu import Cpu
from spice_engine.learning.kernels.on_cuda import Gpu
from spice_engine.learning.kernels.population import Course, Exploration, Population
from tests.unit import gpu_episodes, gpu_networks, gpu_simulator

CASES: dict[str, Any] = {
    # More than 1,000 updates of each member, over several tiles of shared memory.
    "table": {"tilings": 1, "steps": 260, "passes": 4, "members": 2, "trace": 0.0, "threads": 1},
    # More than one block, the last not full, and a tile and a bit.
    "blocks": {"tilings": 1, "steps": 130, "passes": 1, "members": 5, "trace": 0.0, "threads": 3},
    "traces": {"tilings": 1, "steps": 60, "passes": 2, "members": 3, "trace": 0.8, "threads": 2},
    "tilings": {"tilings": 3, "steps": 40, "passes": 2, "members": 3, "trace": 0.3, "threads": 2},
}
ACTIONS = 3
STATES = 12


def course(tilings: int, steps: int) -> Course:
    """Random states, some of which stay for a few steps, and random rewards."""
    random = np.random.default_rng(7)
    codes = random.integers(0, STATES, (steps + 1, tilings))
    codes[8:14] = codes[8]
    codes[20:24] = codes[18:22]
    tiles = codes + np.arange(tilings) * STATES
    rewards = random.normal(size=(steps, ACTIONS)).astype(np.float32)
    return Course(tiles.astype(np.uint32), rewards, STATES * tilings)


def population(given: Course, members: int, trace: float) -> Population:
    """Members that all differ in step size and discount."""
    return Population.make(
        given,
        np.linspace(0.05, 0.4, members).astype(np.float32),
        np.linspace(0.0, 0.9, members).astype(np.float32),
        np.full(members, trace, dtype=np.float32),
        Exploration(0.6, 0.8, 0.1),
        seed=3,
    )


def compare() -> dict[str, bool]:
    """Whether both devices come to the same, for each case."""
    equal: dict[str, bool] = {}
    for name, case in CASES.items():
        given = course(case["tilings"], case["steps"])
        devices = (Cpu(), Gpu(threads=case["threads"]))
        first, second = (population(given, case["members"], case["trace"]) for _ in devices)
        for device, one in zip(devices, (first, second), strict=True):
            device.learn(one, given, case["passes"], lambda: None)
        learned = first.values.any() and first.words.any()
        bits = np.array_equal(first.values.view(np.uint32), second.values.view(np.uint32))
        words = np.array_equal(first.words, second.words)
        equal[name] = bool(learned and bits and words)
    return equal


def trouble() -> dict[str, bool]:
    """Whether a GPU short of memory takes fewer members at once, and one that fails none."""
    given = course(1, 10)
    expected, scarce, failed = (population(given, 70, 0.0) for _ in range(3))
    Cpu().learn(expected, given, 1, lambda: None)
    learn_some = Gpu._learn_some
    tried: list[int] = []
    room = 40

    def learn_few(self: Gpu, members: Population, some: slice, *rest: Any) -> None:
        tried.append(some.stop - some.start)
        if tried[-1] > room:
            raise driver.CudaAPIError(2, "CUDA_ERROR_OUT_OF_MEMORY")
        learn_some(self, members, some, *rest)

    Gpu._learn_some = learn_few  # type: ignore[method-assign]
    Gpu().learn(scarce, given, 1, lambda: None)
    halved = tried == [70, 32, 32, 6] and np.array_equal(scarce.values, expected.values)
    room = 0
    devices = Devices("cuda")
    devices.learn(failed, given, 1, lambda: None)
    Gpu._learn_some = learn_some  # type: ignore[method-assign]
    (note,) = devices.notes
    told = note.startswith("The GPU gave up: ") and note.endswith(". The processor is used.")
    replaced = devices.name == "cpu" and np.array_equal(failed.values, expected.values)
    return {"halved": bool(halved), "replaced": bool(told and replaced)}


if __name__ == "__main__":
    gpu_simulator.prepare()
    episodes = gpu_episodes.compare() | gpu_episodes.trouble() | gpu_episodes.training()
    print(json.dumps(compare() | trouble() | gpu_networks.compare() | episodes))
