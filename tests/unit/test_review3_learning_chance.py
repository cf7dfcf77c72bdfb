"""What is chosen beats the best constant action by more than chance, also where data are slow."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spice_engine.learning.chance import beyond_chance
from spice_engine.learning.features import Layout
from spice_engine.learning.hyperparameters import parse
from spice_engine.learning.learners import make_learner
from spice_engine.learning.split import split_steps
from spice_engine.learning.task import Task
from spice_engine.learning.training_run import TrainingRun

pytestmark = pytest.mark.numbers

Matrix = NDArray[np.float64]


def slow(chance: np.random.Generator, rows: int, columns: int) -> Matrix:
    """Columns that remember 97 % of each step."""
    values = chance.normal(size=(rows, columns))
    for row in range(1, rows):
        values[row] += 0.97 * values[row - 1]
    return values


def candidate_of(values: Matrix, rewards: Matrix) -> str:
    split = split_steps(len(values), 8, 0, 0.2)
    task = Task(
        values=values,
        rewards=rewards[split.every],
        times=np.arange(len(values), dtype=np.int64),
        actions=("a", "b", "c"),
        layout=Layout.choose(("w", "x", "y", "z"), 8, len(split.every)),
        span=8,
        granularity=1,
        split=split,
        fingerprint="",
        seed=0,
        holdout=0.2,
    )
    run = TrainingRun(task, make_learner(parse("auto", {"trees": 8}), 12, 0), "auto", lambda: None)
    for _ in run.episodes():
        pass
    return run.finish().evaluation["candidate"]


def test_of_slow_noise_hardly_anything_is_learned() -> None:
    found: list[str] = []
    for seed in range(8):
        chance = np.random.default_rng(100 + seed)
        found.append(candidate_of(slow(chance, 900, 4), slow(chance, 900, 3)))
    assert found.count("best constant") >= 5


def test_weak_rules_are_learned_all_the_same() -> None:
    """Rewards of which the rule explains a fiftieth."""
    chance = np.random.default_rng(1)
    values = slow(chance, 3000, 4)
    best = (values[:, 0] > 1).astype(int) + (values[:, 1] > 0)
    rewards = chance.normal(size=(3000, 3)) + 0.3 * np.eye(3)[best]
    assert candidate_of(values, rewards) != "best constant"


def test_events_of_one_step_in_fifty_are_learned() -> None:
    chance = np.random.default_rng(0)
    values = chance.normal(size=(3000, 4))
    rewards = 0.1 * chance.normal(size=(3000, 3))
    rewards[:, 0] += np.where(values[:, 0] > 2, -49.0, 1.0)
    assert candidate_of(values, rewards) != "best constant"


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e100])
def test_stretches_that_gain_together_count_once(unit: float) -> None:
    steady = np.full(900, 0.3) + np.random.default_rng(0).normal(size=900)
    assert beyond_chance(unit * steady, 2.5)
    one_stretch = np.zeros(900)
    one_stretch[100:150] = 1.0
    assert not beyond_chance(unit * one_stretch, 2.5)
    assert not beyond_chance(-unit * steady, 0.0)
    assert not beyond_chance(np.zeros(900), 0.0)
    assert beyond_chance(np.array([unit]), 0.0)
    assert not beyond_chance(np.empty(0), 0.0)
