"""Ridge regression along the path equals its definition, and starts at the best constant."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spice_engine.learning.algorithms.linear import MAX_STRENGTHS, RidgePath, strengths

CHANCE = np.random.default_rng(3)
RAW = CHANCE.normal(size=(300, 6)) * [1, 10, 0.1, 1, 1, 1] + [0, 100, 0, 0, 0, 5]
REWARDS = RAW @ CHANCE.normal(size=(6, 3)) + CHANCE.normal(size=(300, 3))


@pytest.mark.parametrize("strength", [10.0, 1.0, 1e-3])
def test_a_step_solves_the_normal_equations(strength: float) -> None:
    path = RidgePath(RAW, REWARDS)
    scaled = (RAW - RAW.mean(axis=0)) / RAW.std(axis=0)
    gram = scaled.T @ scaled / len(RAW) + strength * np.eye(6)
    weights = np.linalg.solve(gram, scaled.T @ (REWARDS - REWARDS.mean(axis=0)) / len(RAW))
    expected = scaled @ weights + REWARDS.mean(axis=0)
    np.testing.assert_allclose(path.model(strength).values(RAW), expected, rtol=1e-9, atol=1e-9)


def test_infinite_strength_predicts_the_means() -> None:
    values = RidgePath(RAW, REWARDS).model(math.inf).values(RAW)
    np.testing.assert_array_equal(values, np.tile(REWARDS.mean(axis=0), (300, 1)))


def test_dependent_and_constant_columns_are_no_trouble() -> None:
    raw = np.column_stack([RAW, RAW[:, 0] - RAW[:, 1], np.full(300, 7.0)])
    values = RidgePath(raw, REWARDS).model(1e-6).values(raw)
    assert np.isfinite(values).all()
    assert np.abs(values - REWARDS).mean() < 1.0


@pytest.mark.parametrize(("episodes", "count"), [(1, 1), (2, 2), (10, 10), (10_000, MAX_STRENGTHS)])
def test_the_path_falls_from_infinity(episodes: int, count: int) -> None:
    path = strengths(episodes)
    assert len(path) == count
    assert path[0] == math.inf
    assert list(path) == sorted(set(path), reverse=True)
