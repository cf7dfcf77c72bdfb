"""Populations in a simulated pod's episodes, on the CPU and on CUDA: see `gpu_kernels`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from numba.cuda.cudadrv import driver

from spice_engine.learning import simulated_on_cpu, simulated_on_cuda, simulated_population
from spice_engine.learning.features import Layout
from spice_engine.learning.hyperparameters import parse
from spice_engine.learning.kernels import compiled
from spice_engine.learning.kernels.devices import Devices
from spice_engine.learning.kernels.on_cuda import Gpu
from spice_engine.learning.simulated_kernel import Kernel
from spice_engine.learning.simulated_members import Course, Population
from spice_engine.learning.simulated_steps import Stepper
from spice_engine.learning.simulated_training import SimulatedRun, SimulatedTask
from spice_engine.learning.simulator import Simulator, World
from spice_engine.learning.split import split_steps
from tests.unit.simulated_worlds import STEP, tank, world

CASES = (
    "episodes", "division by zero", "episodes in parts", "episodes replaced",
    "training in episodes",
)  # fmt: skip
"""What `compare`, `trouble` and `training` tell of."""
ROWS = 90
ACTIONS = 3
CELLS = 4 * 3 * 3
_MONEY = 'w = next_state["a_c_usd"] - current_state["a_c_usd"]\nx = next_state["a_b_x"]\n'
_ALL = """
y = next_state["a_b_y"]
if math.isnan(y) or math.isinf(y):
  reward = 0 if math.isfinite(y) else 1
else:
  reward = math.floor(y) + math.ceil(3 * y) - int(y) - math.trunc(2 * y) + round(y)
  reward += math.copysign(0.5, y) * math.fabs(y) + (0 if current_state["a_c_btc"] > 3 else 0.1)
"""


def pod(trouble: bool = False) -> World:
    """Buys, rests, sells; with conditions and every function that a compiled pod may call.

    With `trouble` there is a row in which selling divides by zero.
    """
    chance = np.random.default_rng(7)
    change = np.round(chance.normal(size=ROWS), 1)
    price = 18.0 + np.cumsum(chance.normal(size=ROWS)) * 0.4
    if trouble:
        price[ROWS // 2] = 0.0
    return world(
        {"a_b_x": price, "a_b_y": change},
        {"a_c_usd": 40.0, "a_c_btc": 2.0},
        {
            "buy": "n = 1 if y > 0 else min(btc, 2)\nusd -= x * n * 1.01\nbtc += n",
            "rest": None,
            "sell": "n = round(17 / x)\nbtc, usd = btc - n, usd + x * n * 0.99 - usd % 0.3",
        },
        ["usd >= 0", "btc >= 0 and btc < 9"],
        {
            "buy": f"{_MONEY}reward = w * 0.7 + 0.5 * x",
            "rest": _ALL,
            "sell": f"{_MONEY}if x > 16 and w > 0:\n  reward = w / math.sqrt(abs(x))\n"
            "else:\n  reward = -0.25 * (w // 3)",
        },
    )


def course(simulator: Simulator) -> Course:
    """Cells of three kinds of each balance and four of the price; half begin anywhere."""
    steps = np.arange(ROWS - 1)
    price = simulator.world.values[:, simulator.world.fields.index("a_b_x")]
    local = Stepper(simulator).greedy(steps).local[:-1]
    return Course(
        base=np.searchsorted(np.quantile(price, [0.25, 0.5, 0.75]), price) * 9,
        edges=(np.array([1.5, 3.0]), np.array([20.0, 45.0])),
        strides=np.array([3, 1], dtype=np.int64),
        first=0,
        gamma=0.9,
        unit=1.7,
        share=0.5,
        rows=np.ascontiguousarray(steps[::7]),
        local=np.ascontiguousarray(local[::7]),
    )


def population(members: int) -> Population:
    """Members that know nothing."""
    return Population.begin(members, CELLS, ACTIONS, seed=3)


def same(one: Population, other: Population) -> bool:
    """Whether both learned something, and the same to the bit."""
    bits = np.array_equal(one.table.view(np.uint32), other.table.view(np.uint32))
    return bool(one.table.any() and bits and np.array_equal(one.words, other.words))


def compare() -> dict[str, bool]:
    """Whether both devices come to the same: of more than 1,000 updates a member, and of trouble.

    Blocks are of two threads, the last one not full.
    """
    equal: dict[str, bool] = {}
    given = course(Simulator(pod()))
    for name, trouble in (("episodes", False), ("division by zero", True)):
        kernel = Kernel(Simulator(pod(trouble)))
        one, other = population(3), population(3)
        fine = simulated_on_cpu.learn(kernel, one, given, 20, lambda: None)
        gpu = Gpu(threads=2)
        also = simulated_on_cuda.learn(gpu, kernel, other, given, 20, lambda: None)
        visits = one.table[:, :, ACTIONS:].sum(axis=(1, 2))
        done = same(one, other) and bool((visits > 1_000).all())
        equal[name] = not (fine or also) if trouble else fine and also and done
    return equal


def trouble() -> dict[str, bool]:
    """Whether a GPU short of memory takes fewer members at once, and one that fails none."""
    kernel = Kernel(Simulator(pod()))
    whole = course(Simulator(pod()))
    given = replace(whole, base=whole.base[:9], share=0.0)
    expected, scarce, failed = (population(70) for _ in range(3))
    simulated_on_cpu.learn(kernel, expected, given, 1, lambda: None)
    learn_some = simulated_on_cuda._learn_some
    tried: list[int] = []
    room = 40

    def learn_few(gpu: Gpu, given: Kernel, members: Population, some: slice, *rest: Any) -> bool:
        tried.append(some.stop - some.start)
        if tried[-1] > room:
            raise driver.CudaAPIError(2, "CUDA_ERROR_OUT_OF_MEMORY")
        return learn_some(gpu, given, members, some, *rest)

    def on_gpu(members: Population) -> Any:
        return lambda gpu: simulated_on_cuda.learn(gpu, kernel, members, given, 1, lambda: None)

    def on_cpu(members: Population) -> Any:
        return lambda: simulated_on_cpu.learn(kernel, members, given, 1, lambda: None)

    with mock.patch.object(simulated_on_cuda, "_learn_some", learn_few):
        Devices("cuda").run(on_gpu(scarce), on_cpu(scarce), pays=True)
        halved = tried == [70, 32, 32, 6] and same(expected, scarce)
        room = 0
        devices = Devices("cuda")
        devices.run(on_gpu(failed), on_cpu(failed), pays=True)
    told = devices.name == "cpu" and devices.notes[0].startswith("The GPU gave up: ")
    return {"episodes in parts": halved, "episodes replaced": told and same(expected, failed)}


def training() -> dict[str, bool]:
    """Whether a whole training gives the same policy on both devices.

    The CPU's side is its text as plain Python, so that nothing has to be compiled.
    """
    world = tank((np.arange(120) % 6 >= 4).astype(np.float64))
    split = split_steps(len(world.values), 6, 0, 0.2)
    task = SimulatedTask(
        world=replace(world, first=int(split.every[0])),
        layout=Layout.choose(world.fields, 6, len(split.every), current=world.local),
        span=6,
        granularity=STEP,
        split=split,
        fingerprint="",
        seed=0,
        holdout=0.2,
        algorithm="tabular",
        hyperparameters=parse("tabular", {"features": 2, "bins": 8, "lanes": 2}),
    )
    policies: list[bytes] = []
    told: list[Any] = []
    with (
        mock.patch.object(compiled, "njit", lambda function, **_: function),
        mock.patch.object(simulated_population, "BUDGET", 1),
    ):
        for accelerator in ("cpu", "cuda"):
            run = SimulatedRun(task, accelerator=accelerator)
            *_, last = run.episodes(8, lambda: None)
            policies.append(run.finish().to_bytes())
            told.append(last["detail"])
    there = [one["device"].split()[0] for one in told] == ["cpu", "cuda"]
    right = there and all(one["members"] == 2 and "notes" not in one for one in told)
    return {"training in episodes": right and policies[0] == policies[1]}
