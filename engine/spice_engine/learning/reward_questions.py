"""Rewards of single steps: the tests that a manifest holds, and looking at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidRequest, InvalidRewards
from spice_engine.learning.assignment import Assignment, read_program
from spice_engine.learning.reward_tests import run_reward_tests
from spice_engine.learning.rewards import reward_column

if TYPE_CHECKING:
    from spice_engine.workers.child import Report


def reward_tests(params: dict[str, Any], report: Report) -> list[dict[str, Any]]:
    """Handler `reward_tests`: runs the reward tests of a manifest.

    `params`: `actions`, `fields` and `rewards` as for `train`, and `tests` as
    `spice_engine.pods.plan.reward_tests` makes them. Returns for each test `action`, `expected`,
    `place`, `passed`, and `got` or `error`, a sentence. Raises InvalidRewards where the code as a
    whole cannot be used.
    """
    report.check()
    return run_reward_tests(read_program(params), params["fields"], params["tests"])


def explain_step(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `explain_step`: the step from one row to the next, and what every action gets.

    `params` as for `train`, and `row`, an index into the table's training rows. Effects of actions
    are left out: the next state is that of the data.

    Returns `time` (unix seconds), `current` and `next` by field, and for each action under
    `rewards` its `value` or `error`, and the `place` of its code. Raises InvalidRequest for a row
    that has no next one, InvalidRewards where the code as a whole cannot be used.
    """
    assignment = Assignment(params)
    row, fields = params["row"], params["fields"]
    if not 0 <= row < len(assignment.values) - 1:
        raise InvalidRequest(f"There is no step from row {row}.")
    program = read_program(params)
    steps = slice(row, row + 1)
    current, following = assignment.values[steps], assignment.values[row + 1 : row + 2]
    rewards: dict[str, dict[str, Any]] = {}
    for index, action in enumerate(program.actions):
        report.check()
        place = program.rewards[index].source.place(1, 0) if program.rewards else None
        answer: dict[str, Any] = {
            "place": {"file": place.file, "line": place.line, "column": place.column}
            if place
            else None
        }
        try:
            column = reward_column(
                program,
                index,
                current,
                following,
                assignment.times[steps],
                notes=assignment.notes,
            )
            answer["value"] = float(column[0])
        except InvalidRewards as error:
            answer["error"] = error.as_dict()
        rewards[action] = answer
    return {
        "time": int(assignment.times[row]),
        "current": dict(zip(fields, current[0].tolist(), strict=True)),
        "next": dict(zip(fields, following[0].tolist(), strict=True)),
        "rewards": rewards,
    }
