"""The tests of rewards that a manifest holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spice_engine.learning.assignment import read_program
from spice_engine.learning.reward_tests import run_reward_tests

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
