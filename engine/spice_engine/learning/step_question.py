"""One step of a pod looked at: both states, and what every action gets, by which line of code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidRequest, InvalidRewards, Place
from spice_engine.learning.assignment import Assignment, read_program
from spice_engine.learning.levels import Level
from spice_engine.learning.reward_program import NOTES, RewardProgram
from spice_engine.learning.reward_trace import traced_reward
from spice_engine.learning.simulator import UNLAWFUL, Simulator
from spice_engine.learning.source import Source
from spice_engine.units import format_time

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

State = list[float]


def explain_step(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `explain_step`: the step from one row to the next, and what every action gets.

    `params` as for `train`, with `row`, an index into the table's training rows, and `local`: the
    values of the fields that actions change, where an episode has carried them (default: their
    initializers). `action_values` are the values of actions that have ranges (default: the least,
    in simulated pods).

    Returns `time` and `next_time` (unix seconds), `current` and `next` by field, and for each
    action under `rewards` its `value` or `error`, whether it is `lawful`, the `place` of the line
    that gave the reward and that line's `code`. `next` is the data's; each action is judged by
    what its effect makes of it. Raises InvalidRequest for a row that has no next one,
    InvalidRewards where the code as a whole cannot be used.
    """
    assignment = Assignment(params)
    row, fields = params["row"], params["fields"]
    if not 0 <= row < len(assignment.values) - 1:
        raise InvalidRequest(f"There is no step from row {row}.")
    given: dict[str, float] = params.get("action_values") or {}
    simulated = params.get("simulation") is not None
    # Of a simulated pod the value is in an action's code, for its effect, laws and reward alike.
    ranges: dict[str, dict[str, Any]] = params.get("ranges") or {}
    values = {name: given.get(name, float(one["from"])) for name, one in ranges.items()}
    levels = tuple(Level(name, values.get(name)) for name in params["actions"]) if simulated else ()
    program = read_program(params, levels)
    current: State = assignment.values[row].tolist()
    following: State = assignment.values[row + 1].tolist()
    step = _Step(assignment, program, row)
    if simulated:
        step.simulate(current, following, params.get("local"), levels)
    rewards: dict[str, dict[str, Any]] = {}
    for index, action in enumerate(params["actions"]):
        report.check()
        # Behind the fields, where the reward of an action with a range reads its value.
        value = [given[action]] if action in given and not simulated else []
        rewards[action] = step.reward(index, current + value, following + value)
    return {
        "time": int(assignment.times[row]),
        "next_time": int(assignment.times[row + 1]),
        "current": dict(zip(fields, current, strict=True)),
        "next": dict(zip(fields, following, strict=True)),
        "rewards": rewards,
    }


class _Step:
    """A step from `row`, with the rewards' program."""

    def __init__(self, assignment: Assignment, program: RewardProgram, row: int) -> None:
        rewards: dict[str, Any] = assignment.params["rewards"] or {}
        self._init = Source.from_dict(rewards["init"]) if rewards.get("init") else None
        self._notes = assignment.notes
        self._assignment = assignment
        self._program = program
        self._time = int(assignment.times[row])
        self._simulator: Simulator | None = None

    def simulate(
        self,
        current: State,
        following: State,
        local: State | None,
        levels: tuple[Level, ...],
    ) -> None:
        """Put the local fields into both states, as an action without effect leaves them."""
        self._simulator = Simulator(self._assignment.simulated_task(levels=levels).world)
        values = local or self._simulator.initial.tolist()
        for field, value in zip(self._simulator.local.tolist(), values, strict=True):
            current[field] = following[field] = value

    def reward(self, action: int, current: State, following: State) -> dict[str, Any]:
        """What an action gets."""
        try:
            after = self._following(action, current, following)
            if after is None:
                return {"value": UNLAWFUL, "lawful": False, "place": None, "code": ""}
            return self._traced(action, current, after)
        except InvalidRewards as error:
            return {"error": error.as_dict(), "lawful": True, "place": _plain(error.place)}

    def _following(self, action: int, current: State, following: State) -> State | None:
        """The next state after an action; None where a law forbids it."""
        simulator = self._simulator
        if simulator is None or not simulator.moves[action]:
            return following
        effects, name = simulator.world.effects, self._program.actions[action]
        after = effects.apply_one(name, current)
        if not effects.lawful_one(after, name):
            return None
        changed = following.copy()
        for field in (*simulator.local.tolist(), *simulator.outside[action]):
            changed[field] = after[field]
        return changed

    def _traced(self, action: int, current: State, following: State) -> dict[str, Any]:
        if not self._program.rewards:
            return {"value": 1.0, "lawful": True, "place": None, "code": ""}
        reward = self._program.rewards[action]
        states = {"current": current, "next": following}
        notes = {"current": self._notes.at, "next": self._notes.after}
        row = [
            notes[which](self._time) if field == NOTES else states[which][field]
            for which, field in reward.arguments
        ]
        moment = f"at {format_time(self._time)} ({self._time})"
        traced = traced_reward(reward, row, self._init, moment)
        return {
            "value": traced.value,
            "lawful": True,
            "place": _plain(traced.place),
            "code": traced.code,
        }


def _plain(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {"file": place.file, "line": place.line, "column": place.column}
