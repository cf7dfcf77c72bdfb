"""Looking back over a table: what every action gets at some rows, and a policy's own episode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spice_engine.learning.assignment import Assignment, check_fits, read_program
from spice_engine.learning.levels import unpack_levels
from spice_engine.learning.policy import Policy
from spice_engine.learning.ranges import level_matrix

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

MOST_STEPS = 200_000
MOST_BYTES = 8 * 2**20
"""Of a rollout's answer: longer episodes are cut, they would fit into no frame."""


def hindsight(params: dict[str, Any], report: Report) -> bytes:
    """Handler `hindsight`: the rewards of all actions of the steps from some rows to the next.

    `params` as for `train`, and `rows`, int64 as bytes, each a training row with a next one; where
    actions have ranges also `levels`, plain data. Returns rewards [N, A] of all actions, or levels,
    float64 as bytes. Raises InvalidRewards where the code cannot be used.
    """
    assignment = Assignment(params)
    rows = np.frombuffer(params["rows"], dtype=np.int64)
    values, times = assignment.values, assignment.times
    rewards = level_matrix(
        read_program(params),
        unpack_levels(params.get("levels", ())),
        (values[rows], values[rows + 1], times[rows]),
        report.check,
        assignment.notes,
    )
    return rewards.tobytes()


def rollout(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `rollout`: the episode that a policy makes of a simulated pod's training rows.

    `params` as for `train`, and `policy`, the bytes of its file. Returns `first`, the row of the
    first of N steps, `actions` [N] (int32), `rewards` [N] and `local` [N + 1, K] (float64) as
    bytes: the fields that actions change before each step, and at the end. Raises InvalidPolicy
    where the policy is of another shape, and what training raises for the pod's code.
    """
    from spice_engine.learning.simulated_choosers import chooser
    from spice_engine.learning.simulated_steps import Stepper
    from spice_engine.learning.simulated_values import View
    from spice_engine.learning.simulator import Simulator

    assignment = Assignment(params)
    policy = Policy.from_bytes(params["policy"])
    check_fits(policy, params)
    world = assignment.simulated_task(report.check, policy.levels).world
    count = min(MOST_STEPS, MOST_BYTES // (12 + 8 * len(world.local)))
    steps = assignment.split.every[:count]
    layout = policy.layout
    view = View(
        layout.raw(world.values, np.arange(int(steps[0]), int(steps[-1]) + 2, dtype=np.int64)),
        int(steps[0]),
        np.array([layout.position(name) for name in world.local], dtype=np.int64),
    )
    stepper = Stepper(Simulator(world, report.check))
    found = stepper.act(steps, chooser(policy.model, view, steps))
    return {
        "first": int(steps[0]),
        "actions": found.actions.astype(np.int32).tobytes(),
        "rewards": found.rewards.tobytes(),
        "local": found.local.tobytes(),
    }
