"""Two policies on the same steps: chance is told from skill, and what was seen is said."""

from __future__ import annotations

import numpy as np

from spice_engine.learning.comparison import in_words, paired_test


def noise(seed: int, steps: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=steps)


def test_equal_policies_seldom_differ_and_better_ones_do() -> None:
    found = [paired_test(noise(2 * seed), noise(2 * seed + 1), seed) for seed in range(60)]
    assert sum(one.better != 0 for one in found) <= 6
    common = 100 * noise(1)  # what both gain alike hides nothing
    better = paired_test(common + 0.3 * noise(2) + 0.1, common, 0)
    assert better.better == 1
    assert better.p is not None
    assert better.p < 0.01
    assert paired_test(common, common + 0.3 * noise(2) + 0.1, 0).better == -1
    assert better.low is not None
    assert better.low < better.difference < (better.high or 0)


def test_it_is_said_in_words() -> None:
    first = noise(3)
    same = paired_test(first, first.copy())
    assert (same.p, same.better) == (1.0, 0)
    assert in_words(same, "v1", "v2", unseen=True) == (
        "v1 and v2 get the same reward on every step."
    )
    better = paired_test(first + 1, first)
    text = in_words(better, "v2", "v1", unseen=True)
    assert text == "v2 is better by 1 a step (1 to 1), p < 0.001."
    assert "learned from" in in_words(better, "v2", "v1", unseen=False)
    chance = in_words(paired_test(first, noise(4)), "linear", "fqi", unseen=True)
    assert chance.startswith("No difference beyond chance: linear gets ")
    few = in_words(paired_test(first[:4], first[4:8]), "a", "b", unseen=True)
    assert few == "Too few steps to compare a and b: 4."
    assert paired_test(first[:0], first[:0]).p is None


def test_scale_and_rounding_make_no_difference() -> None:
    one, other = noise(5), noise(6) + 0.2
    small, huge = paired_test(one, other), paired_test(one * 1e30, other * 1e30)
    assert small.p == huge.p
    assert paired_test(one, one + 1e-15).better == 0
