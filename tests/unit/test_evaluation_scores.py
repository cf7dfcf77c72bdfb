"""Scores stand between random, best constant and oracle; confidence means what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.learning.confidence import UNCALIBRATED, calibrate, reliability
from spice_engine.learning.evaluation import best_constant_action, choose, evaluate

ACTIONS = ("a", "b", "c")
REWARDS = np.array([[1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [2.0, 0.0, 1.0], [1.0, 2.0, 0.0]])


def test_an_evaluation_by_hand() -> None:
    got = evaluate(np.array([0, 1, 2, 1]), REWARDS, ACTIONS, 1)
    assert (got.steps, got.score, got.oracle) == (4, 7.0, 8.0)
    assert (got.best_constant_action, got.best_constant) == ("b", 5.0)
    assert got.random == pytest.approx(10 / 3)
    assert got.regret_closed == (7 - 5) / (8 - 5)
    assert got.actions_taken == {"a": 1, "b": 2, "c": 1}
    assert got.reward_per_action == {"a": 1.0, "b": 2.5, "c": 1.0}
    assert got.beats_best_constant
    assert not got.nothing_to_learn
    assert not got.is_constant


def test_regret_closed_does_not_move_with_a_constant() -> None:
    one = evaluate(np.array([0, 1, 2, 1]), REWARDS, ACTIONS, 1)
    other = evaluate(np.array([0, 1, 2, 1]), REWARDS + 50, ACTIONS, 1)
    assert one.regret_closed is not None
    assert other.regret_closed is not None
    assert abs(one.regret_closed - other.regret_closed) < 1e-12


def test_equal_rewards_are_nothing_to_learn() -> None:
    got = evaluate(np.zeros(5, dtype=np.int64), np.full((5, 3), 0.1), ACTIONS, 0)
    assert got.nothing_to_learn
    assert got.regret_closed is None
    assert not got.beats_best_constant
    assert got.reward_per_action == {"a": got.score / 5, "b": None, "c": None}


def test_a_constant_that_is_the_oracle_is_told_from_nothing_to_learn() -> None:
    rewards = np.tile([0.0, 1.0, 0.0], (5, 1))
    got = evaluate(np.ones(5, dtype=np.int64), rewards, ACTIONS, 1)
    assert got.is_constant
    assert not got.nothing_to_learn
    assert got.regret_closed is None


def test_ties_go_to_the_first_declared_action() -> None:
    values = np.array([[1.0, 1.0, 0.0], [0.0, 1.0 + 1e-15, 1.0], [0.1 + 0.2, 0.3, 0.3]])
    assert choose(values).tolist() == [0, 1, 0]
    assert best_constant_action(np.array([[0.0, 2.0, 2.0]])) == 1


def test_ties_have_the_confidence_of_chance() -> None:
    values = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    assert UNCALIBRATED.confidence(values).tolist() == [1 / 3, 1 / 2]
    fitted = calibrate(np.eye(3), np.eye(3))
    assert fitted.confidence(values).tolist() == [1 / 3, 1 / 2]


def test_confidence_is_the_share_of_right_choices() -> None:
    """Predictions with noise: at every level of confidence that share is right."""
    chance = np.random.default_rng(1)
    rewards = chance.normal(size=(20_000, 3))
    values = rewards + chance.normal(size=rewards.shape)
    half = len(rewards) // 2
    fitted = calibrate(values[:half], rewards[:half])
    assert (np.diff(fitted.confidences) >= 0).all()
    told = reliability(fitted, values[half:], rewards[half:])
    assert told is not None
    assert told.error < 0.02
    assert abs(told.right - told.confidence) < 0.02
    assert 0.5 < told.right < 0.7


def test_noise_gets_the_confidence_of_chance() -> None:
    chance = np.random.default_rng(2)
    fitted = calibrate(chance.normal(size=(5000, 4)), chance.normal(size=(5000, 4)))
    assert np.abs(fitted.confidences - 0.25).max() < 0.05


def test_without_folds_confidence_is_that_of_chance() -> None:
    none = np.empty((0, 2))
    assert calibrate(none, none).confidence(np.array([[0.0, 9.0]])).tolist() == [0.5]


def test_a_single_action_is_certain() -> None:
    assert UNCALIBRATED.confidence(np.array([[3.0]])).tolist() == [1.0]


@given(st.integers(1, 200), st.integers(2, 5), st.integers(0, 10))
def test_confidence_is_a_probability_that_never_falls(count: int, actions: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    values, rewards = chance.normal(size=(2, count, actions))
    fitted = calibrate(values, rewards)
    assert ((fitted.confidences > 0) & (fitted.confidences < 1)).all()
    assert (np.diff(fitted.confidences) >= 0).all()
    assert (np.diff(fitted.margins) >= 0).all()


def test_equal_margins_get_one_confidence_whatever_their_order_in_time() -> None:
    """A constant policy has one margin; being right more often lately makes it no surer."""
    chance = np.random.default_rng(3)
    right = chance.random(400) < np.linspace(0.1, 0.9, 400)
    rewards = np.stack([right, ~right], axis=1).astype(np.float64)
    fitted = calibrate(np.tile([1.0, 0.5], (400, 1)), rewards)
    for second in (0.4, 0.5 - 1e-9, 0.5, 0.5 + 1e-9, 0.6):
        (found,) = fitted.confidence(np.array([[1.0, second]]))
        assert found == pytest.approx(right.mean(), abs=0.01)


def test_ties_say_nothing_about_reliability() -> None:
    chance = np.random.default_rng(4)
    tied = np.ones((50, 2))
    assert reliability(UNCALIBRATED, tied, tied) is None
    rewards = chance.normal(size=(1000, 2))
    fitted = calibrate(rewards, rewards)
    alone = reliability(fitted, rewards, rewards)
    mixed = reliability(fitted, np.vstack([rewards, tied]), np.vstack([rewards, tied]))
    assert alone == mixed
