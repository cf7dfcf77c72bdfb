"""One state at a time: rollouts through a simulator in plain Python, some microseconds a step.

A policy's choice depends on the local state that its last choice made, so an episode can't be
done in columns. The results are those of `Simulator.expand` bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.evaluation import best_of_list
from spice_engine.learning.features import Matrix
from spice_engine.learning.notes import Notes
from spice_engine.learning.reward_program import NOTES, RewardProgram
from spice_engine.learning.rewards import MAX_REWARD
from spice_engine.learning.simulated_code import State, compile_moves
from spice_engine.learning.simulator import UNLAWFUL, Rows, Simulator
from spice_engine.records import record

_BLOCK = 512
_NUMBERS = frozenset({float, int, bool})


@record
class Rollout:
    """An episode of N steps: `actions`, `rewards` and whether each was `lawful` [N].

    `local` [N + 1, K] is the local state before each step, and at the end.
    """

    actions: NDArray[np.int64]
    rewards: Matrix
    lawful: NDArray[np.bool_]
    local: Matrix

    @property
    def score(self) -> float:
        """The sum of the rewards."""
        return float(self.rewards.sum())

    @property
    def unlawful_steps(self) -> int:
        """How many steps were paid UNLAWFUL."""
        return int((~self.lawful).sum())

    def first(self, steps: int) -> Rollout:
        """The first so many steps of it."""
        actions, rewards, lawful = self.actions, self.rewards, self.lawful
        return Rollout(actions[:steps], rewards[:steps], lawful[:steps], self.local[: steps + 1])


class Chooser(Protocol):
    """Values every action in one state."""

    def __call__(self, row: int, local: State, /) -> Sequence[float]:
        """Values of all actions at a row of the table, with the local fields as given."""
        ...


class Stepper:
    """Rollouts of one simulator; `steps` are always consecutive rows, each with a next one."""

    def __init__(self, simulator: Simulator) -> None:
        world = simulator.world
        self._simulator = simulator
        self._local: list[int] = simulator.local.tolist()
        self._actions = range(len(world.actions))
        moves = compile_moves(world.effects)
        self._moves = tuple(moves.get(name) for name in world.actions)
        self._carried = tuple((*self._local, *outside) for outside in simulator.outside)
        self._fixed: dict[int, list[float]] = {}
        self._rewards = tuple(
            _reward_function(world.program, action, world.notes, world.times)
            for action in self._actions
        )

    def follow(self, steps: Rows, actions: Sequence[int]) -> Rollout:
        """Takes one given action after another, lawful or not."""
        kernel = self._simulator.kernel
        if kernel is not None and (taken := kernel.follow(steps, actions)) is not None:
            return Rollout(*taken)
        first = int(steps[0])

        def pick(row: int, _state: State, _following: State) -> int:
            return actions[row - first]

        return self._roll(steps, pick)

    def wander(self, steps: Rows, orders: Sequence[Sequence[int]]) -> Rollout:
        """Takes at each step the first lawful action of its order, the first of all if none is."""
        kernel = self._simulator.kernel
        if kernel is not None and (taken := kernel.wander(steps, orders)) is not None:
            return Rollout(*taken)
        first, moves = int(steps[0]), self._moves

        def pick(row: int, state: State, _following: State) -> int:
            order = orders[row - first]
            for action in order:
                move = moves[action]
                if move is None or move(state) is not None:
                    return action
            return order[0]

        return self._roll(steps, pick)

    def act(self, steps: Rows, chooser: Chooser) -> Rollout:
        """Takes the lawful action with the highest value; of equals the first declared.

        Which values are equal is as in `evaluation.best_of`. Where no action is lawful, the one
        with the highest value.
        """
        local = self._local

        def pick(row: int, state: State, _following: State) -> int:
            values = chooser(row, [state[field] for field in local])
            allowed = self._allowed(state)
            least = best_of_list([values[action] for action in allowed])
            return next(action for action in allowed if values[action] >= least)

        return self._roll(steps, pick)

    def greedy(self, steps: Rows) -> Rollout:
        """Takes the lawful action that this step pays most for: looks one row ahead, no policy."""
        kernel = self._simulator.kernel
        if kernel is not None and (taken := kernel.greedy(steps)) is not None:
            return Rollout(*taken)

        def pick(row: int, state: State, following: State) -> int:
            rewards = [
                (self._step(action, row, state, following)[0], -action)
                for action in self._allowed(state)
            ]
            return -max(rewards)[1]

        return self._roll(steps, pick)

    def _allowed(self, state: State) -> list[int]:
        lawful = [
            action
            for action, move in zip(self._actions, self._moves, strict=True)
            if move is None or move(state) is not None
        ]
        return lawful or list(self._actions)

    def _step(
        self, action: int, row: int, state: State, following: State
    ) -> tuple[float, State | None]:
        """The reward of an action, and the state after its effect; None if that is unlawful."""
        move = self._moves[action]
        after = state if move is None else move(state)
        if after is None:
            return UNLAWFUL, None
        if self._simulator.fixed[action]:
            return self._fixed[action][row], after
        following = following.copy()
        for field in self._carried[action]:
            following[field] = after[field]
        return self._reward(action, row, state, following), after

    def _reward(self, action: int, row: int, state: State, following: State) -> float:
        reward = self._rewards[action]
        if reward is not None:
            value = reward(row, state, following)
            if type(value) in _NUMBERS and abs(value) <= MAX_REWARD:
                return float(value)
            # Bad, or code that only runs in the simulator: it says which, with its place.
        return self._simulator.reward_of(action, row, state, following)

    def _roll(self, steps: Rows, pick: Callable[[int, State, State], int]) -> Rollout:
        count, local = len(steps), self._local
        for action, fixed in enumerate(self._simulator.fixed):
            if fixed and action not in self._fixed:
                self._fixed[action] = self._simulator.fixed_rewards(action).tolist()
        actions: list[int] = []
        rewards: list[float] = []
        lawful: list[bool] = []
        trail: list[State] = [self._simulator.initial.tolist()]
        carried = trail[0]
        for row, state, following in self._pairs(steps):
            for field, value in zip(local, carried, strict=True):
                # The next state of an action without effect: the local state is carried on.
                state[field] = following[field] = value
            try:
                action = pick(row, state, following)
                reward, after = self._step(action, row, state, following)
            except Exception:
                self._simulator.expand(np.array([row]), np.array([carried]))
                raise
            actions.append(action)
            rewards.append(reward)
            lawful.append(after is not None)
            if after is not None:
                carried = [after[field] for field in local]
            trail.append(carried)
        states = np.array(trail, dtype=np.float64).reshape(count + 1, len(local))
        broken = np.flatnonzero(~np.isfinite(states).all(axis=1))
        if len(broken):
            before = int(broken[0]) - 1
            self._simulator.expand(steps[before : before + 1], states[before : before + 1])
        return Rollout(
            np.array(actions, dtype=np.int64), np.array(rewards), np.array(lawful), states
        )

    def _pairs(self, steps: Rows) -> Iterator[tuple[int, State, State]]:
        """Each step's row number, its row and the next one as lists that are the caller's."""
        values = self._simulator.world.values
        first, end = int(steps[0]), int(steps[-1]) + 1
        for start in range(first, end, _BLOCK):
            self._simulator.check()
            stop = min(start + _BLOCK, end)
            block: list[State] = values[start : stop + 1].tolist()
            for index in range(stop - start):
                yield start + index, block[index], block[index + 1]


def _reward_function(
    program: RewardProgram, action: int, notes: Notes | None, times: Rows
) -> Callable[[int, State, State], Any] | None:
    """A function of row, state and next state; None where the code can't be called by itself."""
    if program.reads(action) is None or not program.rewards:
        return None
    reward = program.rewards[action]
    function = reward.function
    fields = [(which == "current", field) for which, field in reward.arguments]
    if all(field != NOTES for _, field in fields):
        return lambda _row, state, following: function(
            *[(state if now else following)[field] for now, field in fields]
        )
    found = notes or Notes([], 1)

    def call(row: int, state: State, following: State) -> Any:
        time = int(times[row])
        values: list[Any] = []
        for now, field in fields:
            if field == NOTES:
                values.append(found.at(time) if now else found.after(time))
            else:
                values.append((state if now else following)[field])
        return function(*values)

    return call
