"""What fitted Q iteration learns from: states an episode may come to, and what every action does.

The states are those on the paths of a few behaviours: by chance with more or less persistence,
the action that pays most at each step, and every action over and over; and local states of these
paths at later rows, so that what is due to the local state can be told from what is due to the
time. No behaviour looks further than one row ahead, so the samples of the rows before a cut know
nothing of those after.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix
from spice_engine.learning.levels import Level
from spice_engine.learning.simulated_steps import Rollout, Stepper
from spice_engine.learning.simulator import Cube, Lawful, Rows, Simulator
from spice_engine.records import record

MAX_SAMPLES = 8_000
FEWEST_SAMPLES = 2_000
MAX_PAIRS = 1_000_000
"""Samples times pairs of actions; of many actions there are fewer samples, but FEWEST_SAMPLES."""
PERSISTENCE = (0.0, 0.7, 0.95)
"""How likely each behaviour by chance wants the same action again."""

MAX_CONSTANTS = 6
MOVED = 3
"""Samples of each step whose local state is one of an earlier step."""


@record
class Batch:
    """N samples: `rows` [N], `local` [N, K], and for each action `rewards` [N, A], the local state
    that `following` [N, A, K], `lawful` [N, A], and what is lawful then, `later` [N, A, A].
    """

    rows: Rows
    local: Matrix
    rewards: Matrix
    following: Cube
    lawful: Lawful
    later: NDArray[np.bool_]

    def within(self, steps: Rows) -> Batch:
        """The samples at some consecutive steps."""
        taken = (self.rows >= steps[0]) & (self.rows <= steps[-1])
        if taken.all():
            return self
        return Batch(
            self.rows[taken],
            self.local[taken],
            self.rewards[taken],
            self.following[taken],
            self.lawful[taken],
            self.later[taken],
        )


def wanderings(
    stepper: Stepper,
    steps: Rows,
    actions: int,
    seed: int,
    groups: Sequence[int] | None = None,
) -> list[Rollout]:
    """Lawful behaviour by chance, one rollout for each persistence.

    Where the actions are levels of ranges, `groups` [A] says which belong together.
    """
    chance = np.random.default_rng([seed, 2])
    return [
        stepper.wander(steps, _orders(chance, len(steps), actions, persistence, groups))
        for persistence in PERSISTENCE
    ]


def constants_of(constants: Sequence[Rollout], levels: Sequence[Level]) -> list[Rollout]:
    """The first MAX_CONSTANTS of the constant behaviours; of levels some of all values."""
    if not levels or len(constants) <= MAX_CONSTANTS:
        return list(constants[:MAX_CONSTANTS])
    places: list[int] = (
        np.linspace(0, len(constants) - 1, MAX_CONSTANTS).round().astype(int).tolist()
    )
    return [constants[place] for place in places]


def _orders(
    chance: np.random.Generator,
    steps: int,
    actions: int,
    persistence: float,
    groups: Sequence[int] | None,
) -> list[list[int]]:
    if groups is None:
        orders = chance.permuted(np.tile(np.arange(actions), (steps, 1)), axis=1)
    else:
        # An action with a range is as likely as any other, however many levels it has.
        first = chance.random((steps, max(groups) + 1))[:, list(groups)]
        orders = np.lexsort((chance.random((steps, actions)), first))
    again = chance.random(steps) < persistence
    again[0] = False
    # Each step takes the order of the last one that was drawn anew.
    source = np.maximum.accumulate(np.where(again, 0, np.arange(steps)))
    return orders[source].tolist()


def make_batch(simulator: Simulator, steps: Rows, rollouts: Sequence[Rollout], seed: int) -> Batch:
    """The distinct states of rollouts over `steps` and moved ones, thinned evenly."""
    paths = [*(rollout.local[:-1] for rollout in rollouts), *_moved(rollouts, len(steps), seed)]
    count = len(paths)
    actions = len(simulator.world.actions)
    most = min(MAX_SAMPLES, max(FEWEST_SAMPLES, MAX_PAIRS // actions**2))
    stride = -(-len(steps) * count // most)
    rows = np.concatenate([steps[index % stride :: stride] for index in range(count)])
    local = np.concatenate([path[index % stride :: stride] for index, path in enumerate(paths)])
    states = np.unique(np.column_stack([rows.astype(np.float64), local + 0.0]), axis=0)
    rows, local = states[:, 0].astype(np.int64), np.ascontiguousarray(states[:, 1:])
    tried = simulator.expand(rows, local)
    later = np.stack(
        [
            simulator.lawful(rows + 1, tried.following[:, action])
            for action in range(tried.rewards.shape[1])
        ],
        axis=1,
    )
    return Batch(rows, local, tried.rewards, tried.following, tried.lawful, later)


def _moved(rollouts: Sequence[Rollout], steps: int, seed: int) -> list[Matrix]:
    """For each step some local states of steps before it [N, K], every different one as likely."""
    chance = np.random.default_rng([seed, 4])
    # Step by step, so that the states met up to a step come first.
    met = np.stack([rollout.local[:-1] for rollout in rollouts], axis=1)
    flat = met.reshape(steps * len(rollouts), -1) + 0.0
    first = np.sort(np.unique(flat, axis=0, return_index=True)[1])
    known = np.searchsorted(first, (np.arange(steps) + 1) * len(rollouts))
    return [flat[first[(chance.random(steps) * known).astype(np.int64)]] for _ in range(MOVED)]
