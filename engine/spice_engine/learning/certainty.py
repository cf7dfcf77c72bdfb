"""How sure an evaluation is: intervals by block bootstrap, and whether a policy is overfitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.bootstrap import LEVEL, Interval, quantiles, resample
from spice_engine.learning.evaluation import Evaluation, Intervals, evaluate, highest
from spice_engine.learning.features import Matrix
from spice_engine.records import record

MARGIN = 0.1
"""Of the regret: a policy that closes so much less held out is worth a warning."""
_GAPLESS = 0.1
"""The share of draws without any lead of the oracle, from which on regret closed has no interval:
so rare are the steps that make the difference."""


@record
class Judged:
    """An evaluation with its intervals; `regrets` [draws] are regret closed of the steps drawn
    anew, from so many `blocks`. None where it is not defined, or the steps are too few."""

    evaluation: Evaluation
    regrets: Matrix | None
    blocks: float


def judged(
    evaluation: Evaluation, taken: Matrix, always: Matrix, best: Matrix | float, seed: int
) -> Judged:
    """Adds the intervals to an evaluation.

    From the rewards [N], in the order of time, that were `taken`, that the best constant action
    had, and the `best` of all. Where only the sum of those is known (simulated pods), the oracle's
    lead counts as certain.
    """
    columns = [taken, taken - always]
    if isinstance(best, np.ndarray):
        columns.append(best - always)
    drawn = resample(np.stack(columns, axis=1), seed)
    if drawn is None:
        return Judged(evaluation, None, 0.0)
    regrets = None
    if evaluation.regret_closed is not None:
        if isinstance(best, np.ndarray):
            gap = drawn.draws[:, 2]
            some = gap > 0
            if (~some).mean() < _GAPLESS:
                regrets = np.where(some, drawn.draws[:, 1] / np.where(some, gap, 1.0), 0.0)
        else:
            regrets = drawn.draws[:, 1] / (best - float(always.sum()))
    closed = None if regrets is None else quantiles(regrets, drawn.blocks)
    intervals = Intervals(
        level=LEVEL,
        block=drawn.block,
        score=drawn.interval(lambda sums: sums[:, 0]),
        gain=drawn.interval(lambda sums: sums[:, 1]),
        regret_closed=closed,
    )
    return Judged(replace(evaluation, intervals=intervals), regrets, drawn.blocks)


def judge_choices(
    chosen: NDArray[np.int64], rewards: Matrix, actions: Sequence[str], constant: int, seed: int
) -> Judged:
    """`evaluate` of choices [N] by the rewards [N, A] of all actions, with the intervals."""
    taken = rewards[np.arange(len(chosen)), chosen]
    always, best = rewards[:, constant], highest(rewards)
    return judged(evaluate(chosen, rewards, actions, constant), taken, always, best, seed)


def shortfall(inside: Judged, outside: Judged) -> Interval | None:
    """By how much regret closed falls from in sample to held out, as an interval.

    None where one of them has no regret to close, or too few steps.
    """
    if inside.regrets is None or outside.regrets is None:
        return None
    return quantiles(inside.regrets - outside.regrets, min(inside.blocks, outside.blocks))


def is_overfitted(inside: Judged, outside: Judged | None) -> bool | None:
    """Whether regret closed held out falls short by more than chance, and by MARGIN at least.

    None where nothing was held out.
    """
    if outside is None:
        return None
    one, other = inside.evaluation.regret_closed, outside.evaluation.regret_closed
    interval = shortfall(inside, outside)
    if interval is None or one is None or other is None:
        return False
    return interval[0] > 0 and one - other >= MARGIN
