"""Intervals cover what they say, also of slow series; overfitting is told from bad luck."""

from __future__ import annotations

import numpy as np
import pytest

from spice_engine.learning.bootstrap import MIN_STEPS, resample
from spice_engine.learning.certainty import is_overfitted, judged
from spice_engine.learning.evaluation import evaluate

ACTIONS = ("a", "b")


def slow(seed: int, count: int, memory: float) -> np.ndarray:
    """Normal numbers of mean 0, each like the one before."""
    noise = np.random.default_rng([seed, count]).normal(size=count + 50)
    series = np.zeros(count + 50)
    for step in range(1, count + 50):
        series[step] = memory * series[step - 1] + noise[step]
    return series[50:]


@pytest.mark.parametrize(("memory", "least"), [(0.0, 0.88), (0.7, 0.84)])
def test_intervals_hold_the_truth_as_often_as_they_say(memory: float, least: float) -> None:
    held = 0
    for seed in range(100):
        drawn = resample(slow(seed, 400, memory)[:, None], seed)
        assert drawn is not None
        low, high = drawn.interval(lambda sums: sums[:, 0])
        held += low <= 0 <= high
    assert least <= held / 100 <= 1


def test_blocks_are_longer_where_neighbours_are_alike() -> None:
    quick, lasting = resample(slow(1, 2000, 0.0)[:, None]), resample(slow(1, 2000, 0.97)[:, None])
    assert quick is not None
    assert lasting is not None
    assert quick.block < lasting.block
    assert resample(np.zeros((MIN_STEPS - 1, 1))) is None


def test_the_same_seed_gives_the_same_interval_whatever_the_scale() -> None:
    series = slow(3, 100_000, 0.5)[:, None] + 0.01
    one, same, huge = resample(series, 7), resample(series, 7), resample(series * 1e200, 7)
    assert one is not None
    assert same is not None
    assert huge is not None
    assert np.array_equal(one.draws, same.draws)
    assert np.allclose(huge.draws / 1e200, one.draws)
    low, high = one.interval(lambda sums: sums[:, 0])
    assert low < series.sum() < high


def judge(right: float, seed: int = 0, steps: int = 500):
    """A policy that is right on such a share of steps whose best action is a coin's throw."""
    chance = np.random.default_rng(seed)
    best = chance.integers(0, 2, steps)
    rewards = np.stack([best == 0, best == 1], axis=1).astype(np.float64)
    chosen = np.where(chance.random(steps) < right, best, 1 - best)
    found = evaluate(chosen, rewards, ACTIONS, 0)
    taken = rewards[np.arange(steps), chosen]
    return judged(found, taken, rewards[:, 0], rewards.max(axis=1), 0)


def test_an_evaluation_has_intervals_around_its_figures() -> None:
    found = judge(0.9).evaluation
    assert found.intervals is not None
    told = found.as_dict()
    for name in ("score", "gain", "regret_closed"):
        low, high = told["intervals"][name]
        assert low < told[name] < high
    assert told["gain"] == told["score"] - told["best_constant"]
    assert found.intervals.regret_closed[0] > 0.7
    assert found.intervals.regret_closed[1] < 0.9


def test_what_memorised_is_overfitted_and_what_had_bad_luck_is_not() -> None:
    assert is_overfitted(judge(0.95), judge(0.5, 1))
    assert is_overfitted(judge(0.95), judge(0.95, 1)) is False
    # Of so few steps that chance does it; and too close to matter.
    unlucky = [judge(0.75, seed, 30) for seed in range(20)]
    assert any(one.evaluation.regret_closed < 0.2 for one in unlucky)
    assert sum(is_overfitted(judge(0.75, 100), one) is True for one in unlucky) <= 1
    assert is_overfitted(judge(0.99, 0, 9000), judge(0.97, 1, 9000)) is False
    assert is_overfitted(judge(0.95), None) is None


def test_nothing_to_learn_and_a_handful_of_steps_have_no_interval_of_regret() -> None:
    same = np.full((50, 2), 1e30)
    found = evaluate(np.zeros(50, dtype=np.int64), same, ACTIONS, 0)
    told = judged(found, same[:, 0], same[:, 0], same.max(axis=1), 0).evaluation.as_dict()
    assert told["regret_closed"] is told["intervals"]["regret_closed"] is None
    assert told["intervals"]["gain"] == [0.0, 0.0]
    few = judge(1.0, 0, 5).evaluation.as_dict()
    assert few["intervals"] is None
