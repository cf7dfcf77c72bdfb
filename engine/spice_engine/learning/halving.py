"""Successive halving: many settings are tried on little, the better half of them on more.

Jamieson and Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter
optimization"; Li et al. (2018), "Hyperband". What is bad is mostly bad on few data already, so that
most of the work goes to what is promising.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Setting = TypeVar("Setting")
Budget = TypeVar("Budget")


def survivors(
    settings: Sequence[Setting],
    budgets: Sequence[Budget],
    score: Callable[[Setting, Budget], float],
    keep: int,
) -> list[Setting]:
    """Up to `keep` settings, the best first, by a round for each budget.

    After each round the better half goes on, but `keep` of them at least. Of equals the first is
    the better one; a score that is no number is the worst. Nothing here goes by the clock.
    """
    alive = list(settings)
    for budget in budgets:
        if not alive:
            break
        scores = [score(setting, budget) for setting in alive]
        order = sorted(
            range(len(alive)),
            key=lambda place: scores[place] if scores[place] == scores[place] else float("-inf"),
            reverse=True,
        )
        alive = [alive[place] for place in order[: max(keep, -(-len(alive) // 2))]]
    return alive[:keep]
