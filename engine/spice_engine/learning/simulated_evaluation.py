"""How good a policy of a simulated pod is: rollouts from the initializers, baselines, the oracle.

Every figure is the sum of the rewards of an episode over the steps of a part, which starts from
the initializers. A policy chooses among the lawful actions; the baselines *random* and *best
constant* choose any, and are paid UNLAWFUL for what the laws forbid.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.certainty import Judged, judged
from spice_engine.learning.evaluation import Evaluation, sum_rounding
from spice_engine.learning.features import Matrix
from spice_engine.learning.simulated_oracle import WIDTH, Oracle, bound
from spice_engine.learning.simulated_steps import Rollout, Stepper
from spice_engine.learning.simulator import Rows, Simulator
from spice_engine.records import record

RANDOM_MEMBERS = 8
RANDOM_STEPS = 80_000
"""Of long parts fewer members, but two at least: their mean is as steady, and they take seconds."""
MAX_SEARCHED = 10_000
"""Of longer parts no oracle is searched for, which would take seconds."""
MAX_TRIED = 4_000_000
"""States that a search tries, at most, each weighed by its local fields: about as many µs."""
_NARROWEST = 16
_FIELDS_APIECE = 3

_BEAM_ROUNDING = 1e-11


@record
class SimulatedEvaluation:
    """One policy on some steps: the figures of every pod, and those of the simulator.

    `final_local` is the local state that the episode ends with, by field. `oracle_exact` says
    whether the oracle is the optimum; otherwise it is the best that a search found.
    """

    base: Evaluation
    unlawful_steps: int
    final_local: dict[str, float]
    oracle_exact: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain data for frames and the policy file."""
        return {
            **self.base.as_dict(),
            "unlawful_steps": self.unlawful_steps,
            "final_local": dict(self.final_local),
            "oracle_exact": self.oracle_exact,
        }


class Part:
    """Consecutive steps that are one episode, with its baselines and its oracle.

    `head` steps of it can be judged as a part of their own, at no more cost: an episode's
    beginning does not depend on its end.
    """

    def __init__(self, simulator: Simulator, stepper: Stepper, steps: Rows, seed: int) -> None:
        self.steps = steps
        self._seed = seed
        self._simulator = simulator
        actions, count = len(simulator.world.actions), len(steps)
        self.constants = tuple(stepper.follow(steps, [a] * count) for a in range(actions))
        chance = np.random.default_rng([seed, 0])
        members = max(2, min(RANDOM_MEMBERS, RANDOM_STEPS // max(count, 1)))
        drawn: list[list[int]] = chance.integers(0, actions, (members, count)).tolist()
        self._random = tuple(stepper.follow(steps, one) for one in drawn)
        self.greedy = stepper.greedy(steps)
        weight = max(1, len(simulator.initial) // _FIELDS_APIECE) * actions
        self._width = min(WIDTH, MAX_TRIED // (weight * max(count, 1)))
        self._beam = Oracle(simulator, int(steps[0]), max(self._width, 1))
        self._oracles: dict[int, tuple[float, bool]] = {}

    def best_constant(self, count: int) -> int:
        """The action that pays most when taken at each of the first `count` steps."""
        totals = [float(one.rewards[:count].sum()) for one in self.constants]
        return totals.index(max(totals))

    def oracle(self, count: int, *, search: bool = True) -> tuple[float, bool]:
        """The oracle of the first `count` steps, and whether it is exact.

        Must be asked for fewer steps before more. Without `search` it may be just the score of
        taking what pays most at once, step by step; so it is where a search would take too long.
        """
        if count not in self._oracles:
            looked = float(self.greedy.rewards[:count].sum())
            rounding = sum_rounding(float(np.abs(self.greedy.rewards[:count]).sum()))
            if looked >= bound(self._simulator, self.steps[:count]) - rounding:
                self._oracles[count] = (looked, True)
            elif not search or count > MAX_SEARCHED or self._width < _NARROWEST:
                return looked, False
            else:
                found = self._beam.advance(int(self.steps[0]) + count)
                self._oracles[count] = (max(found, looked), self._beam.exact)
        return self._oracles[count]

    def judge(self, rollout: Rollout, constant: int, *, search: bool = True) -> SimulatedEvaluation:
        """Judges a policy's rollout over the first steps of this part; `search` as for `oracle`."""
        count = len(rollout.actions)
        names = self._simulator.world.actions
        taken, sums = counts(rollout, len(names))
        score = rollout.score
        baseline = float(self.constants[constant].rewards[:count].sum())
        oracle, exact = self.oracle(count, search=search)
        # A beam may miss what a policy finds, and what pays by breaking laws over and over.
        known = max(score, baseline)
        size = max(float(np.abs(rollout.rewards).sum()), abs(oracle))
        # The beam adds up one after another, which rounds more.
        if oracle <= known + _BEAM_ROUNDING * size:
            oracle = known
        gap, gain = oracle - baseline, score - baseline
        closes = gap > sum_rounding(size)
        base = Evaluation(
            steps=count,
            score=score,
            random=float(np.mean([one.rewards[:count].sum() for one in self._random])),
            best_constant=baseline,
            best_constant_action=names[constant],
            oracle=oracle,
            regret_closed=gain / gap if closes else None,
            actions_taken={name: int(taken[i]) for i, name in enumerate(names)},
            reward_per_action={
                name: float(sums[i] / taken[i]) if taken[i] else None
                for i, name in enumerate(names)
            },
            size=size,
            gain=gain,
        )
        final = rollout.local[-1].tolist()
        return SimulatedEvaluation(
            base=base,
            unlawful_steps=rollout.unlawful_steps,
            final_local=dict(zip(self._simulator.world.local, final, strict=True)),
            oracle_exact=exact,
        )

    def judge_surely(self, rollout: Rollout, constant: int) -> tuple[SimulatedEvaluation, Judged]:
        """As `judge`, with the intervals of its figures; the oracle counts as certain."""
        found, count = self.judge(rollout, constant), len(rollout.actions)
        always = self.constants[constant].rewards[:count]
        sure = judged(found.base, rollout.rewards, always, found.base.oracle, self._seed)
        return replace(found, base=sure.evaluation), sure


def counts(rollout: Rollout, actions: int) -> tuple[NDArray[np.int64], Matrix]:
    """How often each action was taken [A], and the sum of its rewards [A]."""
    sums: Matrix = np.zeros(actions)
    np.add.at(sums, rollout.actions, rollout.rewards)
    return np.bincount(rollout.actions, minlength=actions), sums
