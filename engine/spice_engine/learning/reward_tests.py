"""Reward tests: two states and an action should give a reward, as the manifest says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spice_engine.errors import InvalidRewards
from spice_engine.learning.reward_file import FileReward
from spice_engine.learning.reward_program import NOTES, ActionReward, RewardProgram
from spice_engine.learning.reward_syntax import ACTION_VALUE
from spice_engine.learning.rewards import reward_of

TOLERANCE = 1e-9
"""Relative to the expected reward; absolute near zero."""


def run_reward_tests(
    program: RewardProgram, fields: Sequence[str], tests: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The results of `tests`, which are as `pods.plan.reward_tests` gives them.

    Each is `action`, `expected`, `passed`, `place` (as it came) and `got`, a number, or `error`,
    a sentence. A state need hold only what the reward reads; there are no interpretations.
    """
    return [_run(program, fields, test) for test in tests]


def _run(program: RewardProgram, fields: Sequence[str], test: Mapping[str, Any]) -> dict[str, Any]:
    expected = float(test["expect"])
    result: dict[str, Any] = {
        "action": test["action"],
        "expected": expected,
        "passed": False,
        "place": test["place"],
    }
    if test["action"] not in program.actions:
        return {**result, "error": f"There is no action '{test['action']}'."}
    for name in (*test["current"], *test["next"]):
        if name not in fields:
            return {**result, "error": f"The pod has no field '{name}'."}
    if not program.rewards:
        return {**result, "got": 1.0, "passed": expected == 1.0}
    reward = program.rewards[program.actions.index(test["action"])]
    states = {"current": test["current"], "next": test["next"]}
    if test.get("value") is not None:
        states["current"] = {**test["current"], ACTION_VALUE: test["value"]}
        fields = (*fields, ACTION_VALUE)
    try:
        got = _reward(reward, fields, states)
    except InvalidRewards as error:
        return {**result, "error": str(error)}
    passed = math.isclose(got, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return {**result, "got": got, "passed": passed}


def _reward(
    reward: ActionReward, fields: Sequence[str], states: Mapping[str, Mapping[str, float]]
) -> float:
    in_file = isinstance(reward, FileReward)
    values: list[float | None] = []
    for which, field in reward.arguments:
        value = _value(states[which], fields, field)
        if value is None and field != NOTES and not in_file:
            name = fields[field]
            raise InvalidRewards(
                f"The reward reads '{name}', which the test's {which}_state does not give.",
                hint=f"Add '{name}' to the test's {which}_state.",
            )
        values.append(value)
    return reward_of(reward.with_gaps() if isinstance(reward, FileReward) else reward, values)


def _value(state: Mapping[str, float], fields: Sequence[str], field: int) -> float | None:
    if field == NOTES or fields[field] not in state:
        return None
    return float(state[fields[field]])
