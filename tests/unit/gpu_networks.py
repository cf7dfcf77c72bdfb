"""Networks on a GPU beside the processor's, or with NUMBA_ENABLE_CUDASIM=1 in the simulator.

    python -m tests.unit.gpu_networks

Prints one JSON object: of each case whether both agree. Sums have another order there, so they do
within CLOSE of how far parameters went, or of the largest number; what they choose is the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from numba.cuda.cudadrv import driver

from spice_engine.learning.algorithms.network_learner import NetworkLearner
from spice_engine.learning.features import Layout
from spice_engine.learning.hyperparameters import parse
from spice_engine.learning.kernels import network_on_cuda
from spice_engine.learning.kernels.cuda import cuda
from spice_engine.learning.kernels.network_cuda import Tile
from spice_engine.learning.kernels.network_on_cuda import GpuNetworks
from spice_engine.learning.learners import make_learner
from spice_engine.learning.networks import Floats, Networks
from spice_engine.learning.policy import Policy
from spice_engine.learning.split import split_steps
from spice_engine.learning.task import Task
from spice_engine.learning.training_run import TrainingRun

CASES = tuple(
    f"networks: {one}"
    for one in (
        "steps", "gradient", "dql", "dql that acts", "vpg", "sacd", "training", "no room",
        "gave up",
    )
)  # fmt: skip
CLOSE = 1e-4
SIMULATED = bool(cuda.config.ENABLE_CUDASIM)
MANY, ONE = (Tile(4, 2, 3, 3, 2), Tile(8, 8, 8, 1, 2)) if SIMULATED else (Tile(), Tile())
"""Of many threads, as on a GPU; the simulator is faster with one in a block."""
SIZES, ROWS = ((4, 5, 6, 3), 5) if SIMULATED else ((37, 64, 70, 5), 100)

RANDOM = np.random.default_rng(3)
RAW = RANDOM.normal(size=(60, 3))
REWARDS = np.stack([RAW[:, 0], -RAW[:, 0], np.full(60, 0.3)], axis=1)


def both() -> tuple[Networks, GpuNetworks]:
    """Two members that are equal on both."""
    one, other = (kind(2, SIZES, np.random.default_rng(0)) for kind in (Networks, GpuNetworks))
    assert isinstance(other, GpuNetworks)
    return one, other


def near(one: Any, other: Any, scale: float | None = None) -> bool:
    """Whether numbers differ by no more than CLOSE of the scale, or of the largest."""
    size = float(np.abs(one).max()) if scale is None else scale
    return size > 0 and float(np.abs(one - other).max()) <= CLOSE * size


def steps() -> bool:
    """Some steps, shortened gradients and shrinking weights; all members at once and in turn."""
    one, other = both()
    before, agree = one.flat.copy(), True
    for turn, parts in enumerate(([slice(0, 2)], [slice(0, 1), slice(1, 2)], [slice(0, 2)])):
        inputs = RANDOM.normal(size=(2, ROWS, SIZES[0])).astype(np.float32)
        goals = RANDOM.normal(size=(2, ROWS, SIZES[-1])).astype(np.float32)
        longest = 10.0 if turn else 0.5
        for some in parts:
            made: list[Floats] = []
            for networks in (one, other):
                layers = networks.forward(inputs[some], some)
                outputs = layers[-1].copy()
                made.append(outputs)
                outward = (outputs - goals[some]) / np.float32(ROWS)
                networks.step(layers, outward, 0.01, longest, 0.1, some)
            agree = agree and near(*made)
    alike = inputs[0]
    agree = agree and near(one.forward(alike)[-1], other.forward(alike)[-1])
    inputs, goals = (RANDOM.normal(size=(2, ROWS, SIZES[i])).astype(np.float32) for i in (0, -1))
    for networks in (one, other):
        target = networks.copy()
        networks.step(networks.forward(inputs), goals, 0.01, 10.0)
        target.follow(networks, 0.25)
        networks.follow(target, 1.0)
        networks.network()  # what lies on a device comes back with it
    way = float(np.abs(one.flat - before).max())
    return agree and near(one.flat, other.flat, way) and list(other.blocks(ROWS)) == [slice(0, 2)]


def gradient() -> bool:
    """The first step's mean is the gradient; a step from an earlier pass is refused."""
    one, other = both()
    inputs = RANDOM.normal(size=(2, ROWS, SIZES[0])).astype(np.float32)
    outward = RANDOM.normal(size=(2, ROWS, SIZES[-1])).astype(np.float32)
    expected = one.gradient(one.forward(inputs), outward)
    first = other.forward(inputs)
    other.step(other.forward(inputs), outward, 0.01, 1e9)
    found = other._moment("mean", 0, 2).copy_to_host().reshape(expected.shape)
    try:
        other.step(first, outward, 0.01, 1e9)
    except ValueError:
        return near(expected, found)
    return False


def learned(algorithm: str, accelerator: Any, **more: Any) -> tuple[Floats, dict[str, Any]]:
    """Values of all rows after some steps, and what is told of the device."""
    given = {"updates": 2, "hidden": [4], "lanes": 6, "learning_rate": 0.05, **more}
    learner = NetworkLearner(parse(algorithm, given), 3, 0, accelerator)  # type: ignore[arg-type]
    fit = learner.fit(RAW, REWARDS, lambda: None)
    return fit.values(2), dict(fit.told)


def same(algorithm: str, **more: Any) -> bool:
    """Whether the algorithm comes to the same, and says where it computed."""
    (one, plain), (other, told) = (learned(algorithm, kind, **more) for kind in ("cpu", "cuda"))
    there = told["device"].startswith("cuda (") and "device" not in plain
    # So few samples are not worth a GPU, which is told.
    weighed = told["notes"][0].startswith("The processor may well be faster: ")
    return there and weighed and near(one, other) and bool((one.argmax(1) == other.argmax(1)).all())


def training() -> bool:
    """Whether a whole training ends with a network that chooses the same."""
    split = split_steps(len(RAW), 1, 0, 0.2)
    task = Task(
        values=RAW[:, :1],
        rewards=REWARDS[split.every, :2],
        times=np.arange(len(RAW), dtype=np.int64) * 60,
        actions=("up", "down"),
        layout=Layout.choose(("a",), 1, len(RAW)),
        span=1,
        granularity=60,
        split=split,
        fingerprint="",
        seed=0,
        holdout=0.2,
    )
    given = {"updates": 3, "hidden": [4], "lanes": 16, "batch": 8, "warm_up": 0, "replay": 8.0}
    policies: list[Policy] = []
    last: dict[str, Any] = {}
    for accelerator in ("cpu", "cuda"):
        settings = parse("dql", {**given, "learning_rate": 0.3, "averaging": 1.0})
        run = TrainingRun(task, make_learner(settings, 2, 0, accelerator), "dql", lambda: None)
        *_, last = run.episodes()
        policies.append(run.finish())
    raw = task.raw(split.every)
    one, other = (policy.model.values(raw) for policy in policies)
    chosen = [policy.evaluation["refit"]["actions_taken"] for policy in policies]
    there = last["detail"]["device"].startswith("cuda (")
    won = all(policy.model.kind == "network" for policy in policies)
    return won and there and near(one, other) and chosen[0] == chosen[1]


def trouble() -> dict[str, bool]:
    """Whether the processor goes on, and to the same policy, where a GPU has no room or fails."""
    expected, _ = learned("dql", "cpu", warm_up=0)

    def replaced(change: Any, note: str) -> bool:
        with change:
            values, told = learned("dql", "cuda", warm_up=0)
        said = told["notes"][-1]
        ends = said.startswith(note) and said.endswith(". The processor is used.")
        return bool(ends and told["device"] == "cpu" and np.array_equal(values, expected))

    full = driver.CudaAPIError(2, "CUDA_ERROR_OUT_OF_MEMORY")
    # After the first network was given.
    failing = mock.patch.object(GpuNetworks, "step", mock.Mock(side_effect=[None] * 2 + [full]))
    scarce = mock.patch.object(network_on_cuda, "free_bytes", return_value=100)
    return {
        "no room": replaced(scarce, "Networks want "),
        "gave up": replaced(failing, "The GPU gave up: "),
    }


def compare() -> dict[str, bool]:
    """All cases."""
    cases: dict[str, Callable[[], bool]] = {"steps": steps, "gradient": gradient}
    found: dict[str, bool] = {}
    with mock.patch.object(network_on_cuda, "TILE", MANY):
        for name, case in cases.items():
            found[name] = case()
    few = {"batch": 4, "warm_up": 0}
    with mock.patch.object(network_on_cuda, "TILE", ONE):
        found["dql"] = same("dql", dueling=True, **few)
        found["dql that acts"] = same("dql", all_actions=False, **few)
        found["vpg"] = same("vpg", all_actions=False, steps=1)
        found["sacd"] = same("sacd", **few)
        found["training"] = training()
        found |= trouble()
    return {f"networks: {name}": bool(one) for name, one in found.items()}


if __name__ == "__main__":
    sys.setswitchinterval(1e-4)  # the simulator waits for its threads without ever sleeping
    print(json.dumps(compare()))
