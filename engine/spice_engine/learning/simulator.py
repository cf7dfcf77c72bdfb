"""The simulator of a pod whose actions change local state: states, effects, laws and rewards.

The state at row t is that row of the state table, with the local fields as the episode carried
them there; an episode starts from their initializers. An action with an effect changes a copy of
the state. Where a law fails on the result nothing changes and the action is paid UNLAWFUL; else
its local fields go on to row t+1, and fields with data that it wrote are seen in the next state
of this one step, before the data take over again. Time always goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import Place
from spice_engine.learning.effects import Effects, InvalidEffect
from spice_engine.learning.features import Matrix
from spice_engine.learning.levels import Level
from spice_engine.learning.notes import Notes
from spice_engine.learning.reward_program import RewardProgram
from spice_engine.learning.rewards import reward_column
from spice_engine.records import record
from spice_engine.units import format_time

if TYPE_CHECKING:
    from spice_engine.learning.simulated_kernel import Kernel

UNLAWFUL = -5.0
"""The reward of an action whose effect breaks a law."""

Rows = NDArray[np.int64]
Cube = NDArray[np.float64]
Lawful = NDArray[np.bool_]


def _nothing() -> None:
    return None


@record
class Expansion:
    """All actions tried in N states: `rewards` [N, A], `following` [N, A, K], `lawful` [N, A].

    An unlawful action has the reward UNLAWFUL, and the local state it was tried in follows.
    """

    rewards: Matrix
    following: Cube
    lawful: Lawful


@record
class World:
    """What a simulator is made of.

    `values` [T, F] and `times` [T] are the state table with columns `fields`; `local` names the K
    fields that actions carry on, `initial` their values at the start of an episode. Rows before
    `first` are never stepped: no rewards are computed there. Where actions have ranges, `actions`
    are the names of the `levels`.
    """

    values: Matrix
    times: Rows
    fields: tuple[str, ...]
    actions: tuple[str, ...]
    local: tuple[str, ...]
    initial: Mapping[str, float]
    effects: Effects
    program: RewardProgram
    first: int = 0
    notes: Notes | None = None
    levels: tuple[Level, ...] = ()


class Simulator:
    """Steps states of a world, many at once; every method raises what user code raises.

    That is InvalidEffect and InvalidLaw of `effects`, InvalidRewards and InvalidRewardValue of
    `rewards`, with the place in the manifest, the action, and the time of the state.
    """

    def __init__(self, world: World, check: Callable[[], None] = _nothing) -> None:
        self.world = world
        self.check = check
        index = world.fields.index
        self.local: Rows = np.array([index(name) for name in world.local], dtype=np.int64)
        self.initial: Matrix = np.array([float(world.initial[name]) for name in world.local])
        effects, carried = world.effects, set(self.local.tolist())
        self.moves = tuple(name in effects.actions for name in world.actions)
        """Whether each action has an effect."""
        self.outside: tuple[tuple[int, ...], ...] = tuple(
            tuple(i for i in effects.written(name) if i not in carried) if moves else ()
            for name, moves in zip(world.actions, self.moves, strict=True)
        )
        """For each action the fields with data that its effect writes."""
        self.fixed = tuple(self._is_fixed(index) for index in range(len(world.actions)))
        """For each action whether its reward is the same in every local state."""
        self._columns: dict[int, Matrix] = {}
        self.kernel: Kernel | None = None
        """What is compiled of it, once it is: the same results sooner."""

    def _is_fixed(self, action: int) -> bool:
        read = self.world.program.reads(action)
        if read is None:
            return False
        carried = set(self.local.tolist())
        changed = carried.union(self.outside[action])
        return all(f not in (carried if which == "current" else changed) for which, f in read)

    def states(self, rows: Rows, local: Matrix) -> Matrix:
        """The states [N, F] at `rows` [N] with the local fields `local` [N, K]."""
        states = self.world.values[rows]
        states[:, self.local] = local
        return states

    def fixed_rewards(self, action: int) -> Matrix:
        """Rewards [T - 1] of an action of `fixed` for every row but the last; 0 before `first`."""
        column = self._columns.get(action)
        if column is None:
            values, times, first = self.world.values, self.world.times, self.world.first
            column = np.zeros(len(values) - 1)
            column[first:] = self._reward(
                action, values[first:-1], values[first + 1 :], times[first:-1]
            )
            self._columns[action] = column
        return column

    def expand(self, rows: Rows, local: Matrix) -> Expansion:
        """Every action tried at `rows` [N], each with a next row, in the states `local` [N, K]."""
        if self.kernel is not None and (found := self.kernel.expand(rows, local)) is not None:
            return Expansion(*found)
        count, actions = len(rows), len(self.world.actions)
        rewards = np.empty((count, actions))
        following = np.repeat(local[:, None, :], actions, axis=1)
        lawful = np.ones((count, actions), dtype=bool)
        before = self.states(rows, local)
        for action in range(actions):
            after = before
            if self.moves[action]:
                after, lawful[:, action] = self._move(action, before, rows)
            allowed = lawful[:, action]
            if allowed.all():
                following[:, action] = after[:, self.local]
                rewards[:, action] = self._rewards(action, rows, before, after)
            else:
                rewards[~allowed, action] = UNLAWFUL
                following[allowed, action] = after[allowed][:, self.local]
                rewards[allowed, action] = self._rewards(
                    action, rows[allowed], before[allowed], after[allowed]
                )
        return Expansion(rewards, following, lawful)

    def rewards(self, action: int, rows: Rows, local: Matrix) -> Matrix:
        """Rewards [N] of one action at `rows` [N] in the states `local` [N, K]."""
        before = self.states(rows, local)
        if not self.moves[action]:
            return self._rewards(action, rows, before, before)
        after, lawful = self._move(action, before, rows)
        rewards = np.full(len(rows), UNLAWFUL)
        rewards[lawful] = self._rewards(action, rows[lawful], before[lawful], after[lawful])
        return rewards

    def lawful(self, rows: Rows, local: Matrix) -> Lawful:
        """Which actions [N, A] the laws allow at `rows` [N] in the states `local` [N, K]."""
        if self.kernel is not None and (found := self.kernel.lawful(rows, local)) is not None:
            return found
        lawful = np.ones((len(rows), len(self.world.actions)), dtype=bool)
        before = self.states(rows, local)
        for action, moves in enumerate(self.moves):
            if moves:
                lawful[:, action] = self._move(action, before, rows)[1]
        return lawful

    def _move(self, action: int, before: Matrix, rows: Rows) -> tuple[Matrix, Lawful]:
        effects, name = self.world.effects, self.world.actions[action]
        try:
            after = effects.apply(name, before)
            lawful = effects.lawful(before, after, name)
        except InvalidEffect:
            self._raise_at_row(name, before, rows)
            raise
        written = after[:, effects.written(name)]
        if not np.isfinite(written).all():
            self._raise_not_finite(name, written, lawful, rows)
        return after, lawful

    def _raise_at_row(self, name: str, before: Matrix, rows: Rows) -> None:
        """Raises the same error, saying at which state it was."""
        effects = self.world.effects
        for state, row in zip(before, rows.tolist(), strict=True):
            try:
                effects.lawful(state[None], effects.apply(name, state[None]), name)
            except InvalidEffect as error:
                raise type(error)(
                    f"{error.message} This was for action '{name}' at {self._time(row)}.",
                    hint=error.hint,
                    place=error.place,
                ) from error

    def _raise_not_finite(self, name: str, written: Matrix, lawful: Lawful, rows: Rows) -> None:
        """Raises where a lawful result can't be a state."""
        bad = np.flatnonzero(lawful & ~np.isfinite(written).all(axis=1))
        if not len(bad):
            return
        values = dict(zip(self._written_fields(name), written[bad[0]].tolist(), strict=True))
        field = next(field for field, value in values.items() if not math.isfinite(value))
        raise InvalidEffect(
            f"The effect of action '{name}' set '{field}' to {values[field]!r} at "
            f"{self._time(int(rows[bad[0]]))}.",
            hint="A state holds finite numbers: bound it, by the effect or by a law.",
            place=self._place(name),
        )

    def _written_fields(self, name: str) -> list[str]:
        return [self.world.fields[index] for index in self.world.effects.written(name)]

    def _place(self, name: str) -> Place:
        """Where the effect of an action begins."""
        data = self.world.effects.to_data()
        file, formula = next(one[1:] for one in data["effects"] if one[0] == name)
        return Place(str(file), *(_first_place(formula) or ()))

    def _time(self, row: int) -> str:
        time = int(self.world.times[row])
        return f"{format_time(time)} ({time})"

    def _rewards(self, action: int, rows: Rows, before: Matrix, after: Matrix) -> Matrix:
        if not len(rows):
            return np.empty(0)
        if self.fixed[action]:
            return self.fixed_rewards(action)[rows]
        following = self.world.values[rows + 1]
        carried = [*self.local.tolist(), *self.outside[action]]
        following[:, carried] = after[:, carried]
        return self._reward(action, before, following, self.world.times[rows])

    def reward_of(self, action: int, row: int, state: list[float], following: list[float]) -> float:
        """The reward of one step from `state` to `following`, both whole states."""
        current, after = np.array([state]), np.array([following])
        return float(self._reward(action, current, after, self.world.times[row : row + 1])[0])

    def _reward(self, action: int, current: Matrix, following: Matrix, times: Rows) -> Matrix:
        return reward_column(
            self.world.program, action, current, following, times, self.check, self.world.notes
        )


def _first_place(node: list[Any]) -> list[int] | None:
    """The first place in a formula: its only lists of four integers."""
    if len(node) == 4 and all(type(item) is int for item in node):
        return node
    found = (_first_place(cast("list[Any]", item)) for item in node if isinstance(item, list))
    return next((place for place in found if place), None)
