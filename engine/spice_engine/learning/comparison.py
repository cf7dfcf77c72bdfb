"""Whether one policy is better than another on the same steps, or chance made it look so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spice_engine.learning.bootstrap import LEVEL, resample
from spice_engine.learning.features import Matrix
from spice_engine.records import record

DRAWS = 2000
_SAME = 1e-12
"""Of the rewards: differences this small are roundings."""
_SEEN = "These steps were learned from: it says which fits better, no more."


@record
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


def adjusted(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """The tests with `p` for all of them at once, by Holm's step-down procedure.

    Of many pairs one is found apart by chance alone sooner than of one. Holm, S. (1979), "A Simple
    Sequentially Rejective Multiple Test Procedure". Tests without `p` say nothing, and count for
    nothing.
    """
    known = [place for place, test in enumerate(tests) if test.p is not None]
    order = sorted(known, key=lambda place: tests[place].p or 0.0)
    found, most = list(tests), 0.0
    for rank, place in enumerate(order):
        most = max(most, min(1.0, (len(order) - rank) * (tests[place].p or 0.0)))
        found[place] = replace(tests[place], p=most)
    return found


def best_of(names: Sequence[str], pairs: Mapping[tuple[int, int], PairedTest]) -> int | None:
    """The place of the one that is better than every other beyond chance, if there is one."""
    for place in range(len(names)):
        if all(
            test.better == (1 if first == place else -1)
            for (first, second), test in pairs.items()
            if place in (first, second)
        ):
            return place
    return None


def many_in_words(
    names: Sequence[str],
    scores: Sequence[float],
    pairs: Mapping[tuple[int, int], PairedTest],
    *,
    unseen: bool,
) -> str:
    """What came out of three or more, in a few sentences; `pairs` of places, `p` adjusted."""
    best = best_of(names, pairs)
    highest = max(range(len(names)), key=lambda place: scores[place])
    worse: list[str] = []
    for (first, second), test in pairs.items():
        if test.better and highest == (first if test.better > 0 else second):
            worse.append(names[second if highest == first else first])
    alike = [name for i, name in enumerate(names) if i != highest and name not in worse]
    if best is not None:
        text = f"{names[best]} is better than {_listed(worse)}, beyond chance."
    elif all(test.p is None for test in pairs.values()):
        text = f"Too few steps to compare {_listed(names)}."
    elif not any(test.better for test in pairs.values()):
        text = f"No difference beyond chance among {_listed(names)}."
    else:
        text = f"{names[highest]} has the highest score"
        text += f": better than {_listed(worse)} beyond chance, but" if worse else ", but"
        text += f" not to be told from {_listed(alike)}."
    text += f" Each p counts that {len(pairs)} pairs were looked at."
    return text if unseen else f"{text} {_SEEN}"


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
    return f"{text} {_SEEN}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
