"""Two policies on the same steps: chance is told from skill, and what was seen is said."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from spice_engine.learning.comparison import (
    PairedTest,
    adjusted,
    best_of,
    in_words,
    many_in_words,
    paired_test,
)


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


def test_of_many_pairs_each_counts_the_others() -> None:
    def test(p: float | None) -> PairedTest:
        return PairedTest(100, 1.0, 0.5, 1.5, p, 5.0)

    # 0.01 * 3, 0.02 * 2, then never less than before.
    found = [one.p for one in adjusted([test(0.03), test(None), test(0.01), test(0.02)])]
    assert found == [pytest.approx(0.04), None, pytest.approx(0.03), pytest.approx(0.04)]
    assert [one.p for one in adjusted([test(0.02)])] == [0.02]
    assert adjusted([test(0.9), test(0.8)])[1].p == 1.0
    # Of the 66 pairs of twelve equal ones, some look apart by themselves.
    rewards = [noise(seed) for seed in range(12)]
    tests = [paired_test(a, b) for a, b in combinations(rewards, 2)]
    assert any(one.better for one in tests)
    assert not any(one.better for one in adjusted(tests))


def judged(
    **rewards: np.ndarray,
) -> tuple[list[str], list[float], dict[tuple[int, int], PairedTest]]:
    names, all_of_them = list(rewards), list(rewards.values())
    places = list(combinations(range(len(names)), 2))
    tests = adjusted([paired_test(all_of_them[a], all_of_them[b]) for a, b in places])
    scores = [float(one.mean()) for one in all_of_them]
    return names, scores, dict(zip(places, tests, strict=True))


def test_three_or_more_are_said_in_words() -> None:
    names, scores, pairs = judged(low=noise(1) - 2, high=noise(2) + 2, mid=noise(3))
    assert best_of(names, pairs) == 1
    assert many_in_words(names, scores, pairs, unseen=True) == (
        "high is better than low and mid, beyond chance. Each p counts that 3 pairs were looked at."
    )
    names, scores, pairs = judged(a=noise(2) + 2, b=noise(3) + 2, c=noise(1))
    text = many_in_words(names, scores, pairs, unseen=False)
    assert best_of(names, pairs) is None
    assert "has the highest score: better than c beyond chance, but not to be told from " in text
    assert text.endswith("it says which fits better, no more.")
    names, scores, pairs = judged(a=noise(2), b=noise(3), c=noise(1))
    assert "No difference beyond chance among a, b and c." in many_in_words(
        names, scores, pairs, unseen=True
    )
    names, scores, pairs = judged(a=noise(2)[:4], b=noise(3)[:4], c=noise(1)[:4])
    assert "Too few steps" in many_in_words(names, scores, pairs, unseen=True)
