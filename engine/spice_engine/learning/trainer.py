"""The trainer's process: from a state table and reward code to a policy and its evaluation.

Started as `python -I -m spice_engine.learning.trainer`. Nothing here knows of YAML or HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spice_engine.errors import InsufficientData, InvalidRequest
from spice_engine.learning.goal import Goal
from spice_engine.learning.linear_training import LinearRun, Task
from spice_engine.learning.reward_program import compile_rewards
from spice_engine.learning.rewards import reward_matrix
from spice_engine.learning.source import Source
from spice_engine.learning.split import split_steps
from spice_engine.workers.arrays import ArrayRef, load

if TYPE_CHECKING:
    from spice_engine.learning.features import Matrix
    from spice_engine.workers.child import Report

ALGORITHMS = ("linear",)


def train(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `train`: one training run.

    `params`, as `spice_engine.pods.plan.trainer_params` makes them: `values` [T, F] and `times`
    [T] as array references with `training_rows`, `first_datum` and `fields` as the loader gave
    them; `actions`; `rewards` (None for uniform, else `init` and `actions`: sources); `span`,
    `granularity`; `algorithm`, `episodes`, `holdout`, `seed`, `goal`, `fingerprint`.

    Reports each episode as it happens: `episode`, `start`, `end`, `score`, `actions_taken` and
    `detail`; score and counts are those of the training part.

    Returns `policy` (bytes of the policy file), `evaluation`, `episodes` (how many there were),
    `algorithm`, `stopped` (`episodes` or `goal`) and `fingerprint`.

    Raises InsufficientData, InvalidRewards, InvalidRequest; `Cancelled` where the caller gave up.
    """
    algorithm = "linear" if params["algorithm"] == "auto" else params["algorithm"]
    if algorithm not in ALGORITHMS:
        raise InvalidRequest(
            f"The algorithm '{algorithm}' is not supported in this version.",
            hint=f"Use one of {', '.join(ALGORITHMS)} or auto.",
        )
    goal = Goal(params["goal"]) if params["goal"] else None
    task = _task(params, report)
    run = LinearRun(task)
    episodes = 0
    stopped = "episodes"
    for episode in run.episodes(params["episodes"], report.check):
        report.report(episode)
        episodes += 1
        if goal and goal.reached(episode["score"]):
            stopped = "goal"
            break
    report.check()
    policy = run.finish()
    return {
        "policy": policy.to_bytes(),
        "evaluation": dict(policy.evaluation),
        "episodes": episodes,
        "algorithm": algorithm,
        "stopped": stopped,
        "fingerprint": params["fingerprint"],
    }


def _task(params: dict[str, Any], report: Report) -> Task:
    rows, span = params["training_rows"], params["span"]
    covered = rows - params["first_datum"]
    if covered < span + 1:
        raise InsufficientData(
            f"insufficient data for training: {max(covered, 0)} complete buckets from the first "
            f"datum on, at least {span + 1} are needed.",
            hint="Add data, lengthen the period, or shorten the interval.",
        )
    # asarray makes plain views of the mapped files: slicing a memmap costs ten times as much.
    values: Matrix = np.asarray(load(ArrayRef.from_dict(params["values"])))[:rows]
    times = np.asarray(load(ArrayRef.from_dict(params["times"])))[:rows]
    rewards = params["rewards"]
    init = codes = None
    if rewards is not None:
        init = Source.from_dict(rewards["init"]) if rewards["init"] else None
        codes = {name: Source.from_dict(code) for name, code in rewards["actions"].items()}
    program = compile_rewards(params["actions"], params["fields"], init, codes)
    split = split_steps(rows, span, params["first_datum"], params["holdout"])
    steps = split.every
    matrix = np.zeros((rows, len(params["actions"])))
    matrix[steps] = reward_matrix(
        program, values[steps], values[steps + 1], times[steps], report.check
    )
    return Task(
        values=values,
        rewards=matrix,
        times=times,
        fields=tuple(params["fields"]),
        actions=tuple(params["actions"]),
        span=span,
        granularity=params["granularity"],
        split=split,
        fingerprint=params["fingerprint"],
        seed=params["seed"],
        holdout=params["holdout"],
    )


def warm() -> None:
    """Pays the first-use costs of NumPy's linear algebra, so that the first run does not."""
    rows = np.random.default_rng(0).normal(size=(200, 2))
    rewards = np.random.default_rng(1).normal(size=(200, 2))
    split = split_steps(200, 4, 0, 0.2)
    times = np.arange(200, dtype=np.int64)
    task = Task(rows, rewards, times, ("a", "b"), ("x", "y"), 4, 1, split, "", 0, 0.2)
    run = LinearRun(task)
    for _ in run.episodes(3, lambda: None):
        pass
    run.finish().to_bytes()


if __name__ == "__main__":
    from spice_engine.workers.child import serve

    serve({"train": train}, warm=warm)
