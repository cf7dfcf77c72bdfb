"""Whether one policy is better than another on the same steps, or chance made it look so."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spice_engine.learning.bootstrap import LEVEL, resample
from spice_engine.learning.features import Matrix

DRAWS = 2000
_SAME = 1e-12
"""Of the rewards: differences this small are roundings."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """What the first gains over the second, per step, with its interval of the probability LEVEL.

    `p` is how often chance alone would part two equal policies as far, either way; None of so few
    steps that nothing can be said. Blocks of `block` steps on average were drawn anew.
    """

    steps: int
    difference: float
    low: float | None
    high: float | None
    p: float | None
    block: float | None

    @property
    def better(self) -> int:
        """1 where the first is better beyond chance, -1 where the second is, otherwise 0."""
        if self.p is None or self.low is None or self.high is None or self.p >= 1 - LEVEL:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def paired_test(first: Matrix, second: Matrix, seed: int = 0) -> PairedTest:
    """Compares the rewards [N] of two policies on the same steps, in the order of time.

    Their differences are drawn anew in blocks (`learning.bootstrap`): what both gain or lose alike
    on a step counts for nothing, which tells far smaller differences from chance than two
    intervals would.
    """
    gains = first - second
    largest = max(float(np.abs(first).max(initial=0)), float(np.abs(second).max(initial=0)))
    gains = np.where(np.abs(gains) <= _SAME * largest, 0.0, gains)
    steps = len(gains)
    mean = float(gains.mean()) if steps else 0.0
    if not gains.any():
        nothing = 0.0 if steps else None
        return PairedTest(steps, 0.0, nothing, nothing, 1.0 if steps else None, None)
    drawn = resample(gains[:, None], seed, DRAWS)
    if drawn is None:
        return PairedTest(steps, mean, None, None, None, None)
    low, high = drawn.interval(lambda sums: sums[:, 0] / steps)
    # Of few blocks the draws lie closer together than the truth.
    wider = math.sqrt(drawn.blocks / max(drawn.blocks - 1, 1.0))
    apart = np.abs(drawn.draws[:, 0] / steps - mean) * wider
    as_far = int((apart >= abs(mean)).sum())
    return PairedTest(steps, mean, low, high, (1 + as_far) / (1 + DRAWS), drawn.block)


def in_words(test: PairedTest, first: str, second: str, *, unseen: bool) -> str:
    """The result in a sentence or two; `unseen`: neither was fitted to the steps."""
    if test.p is None or test.low is None or test.high is None:
        return f"Too few steps to compare {first} and {second}: {test.steps}."
    if not test.low and not test.high and not test.difference:
        text = f"{first} and {second} get the same reward on every step."
    elif test.better:
        one = first if test.better > 0 else second
        low, high = sorted((abs(test.low), abs(test.high)))
        text = (
            f"{one} is better by {abs(test.difference):.4g} a step "
            f"({low:.4g} to {high:.4g}), {_p(test.p)}."
        )
    else:
        text = (
            f"No difference beyond chance: {first} gets {test.difference:+.4g} a step more than "
            f"{second} ({test.low:+.4g} to {test.high:+.4g}), {_p(test.p)}."
        )
    if unseen:
        return text
    return f"{text} These steps were learned from: it says which fits better, no more."


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
