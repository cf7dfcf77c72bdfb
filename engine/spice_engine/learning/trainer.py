"""The trainer's process: from a state table and reward code to a policy and its evaluation.

Started as `python -I -m spice_engine.learning.trainer`. Nothing here knows of YAML or HTTP.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from spice_engine.learning.assignment import Assignment
from spice_engine.learning.checkpoints import Checkpoints
from spice_engine.learning.continual import (
    Run,
    against_serving,
    drift,
    serving_candidate,
    serving_model,
    with_fold_held_out,
)
from spice_engine.learning.features import Layout
from spice_engine.learning.gym_check import check_gym
from spice_engine.learning.hindsight import hindsight, rollout
from spice_engine.learning.hyperparameters import Auto, Hyperparameters
from spice_engine.learning.learners import make_learner
from spice_engine.learning.policy import Policy
from spice_engine.learning.reward_file import forget
from spice_engine.learning.reward_questions import reward_tests
from spice_engine.learning.split import split_steps
from spice_engine.learning.step_question import explain_step
from spice_engine.learning.stopping import Stopping
from spice_engine.learning.task import Task
from spice_engine.learning.training_log import TrainingLog
from spice_engine.learning.training_run import TrainingRun

if TYPE_CHECKING:
    from spice_engine.workers.child import Handler, Report

Trained = tuple[Policy, int, str]
"""The policy, how many episodes there were, and why they ended."""

SECONDS_BETWEEN_POLICIES = 1.0
_SHARE = 5


def train(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `train`: one training run.

    `params`, as `spice_engine.pods.plan.trainer_params` makes them: `values` [T, F] and `times`
    [T] as array references with `training_rows`, `first_datum` and `fields` as the loader gave
    them; `actions`; `rewards` (None for uniform, `init` and `actions`: sources, or `file`,
    `functions` and `place`); `simulation` (None, or effects and laws); `gym` (None, or the
    environment that is acted in: then the arrays are not looked at); `interpretations`; `span`,
    `granularity`, `interpolation`; `algorithm`, `hyperparameters`, `episodes`, `holdout`, `seed`,
    `goal`, `patience`, `features`, `confidence`, `accelerator`, `fingerprint`; `indicators`, the
    fields of zeros and ones for categories, tags and times; `continual` (None or left out, or the
    serving policy that a new one is held against: its file's path `policy`, its `version`, the
    `reason`, and what was found of `drift`); `tensorboard` (empty or left out, or the folder of
    this training's event file); `ranges` (of the actions that have one: `from`, `to`, `unit`).

    Reports each episode as it happens: `kind` episode, `episode`, `start`, `end`, `score`,
    `actions_taken` and `detail`; score and counts are those of the training part. Of `auto` also
    policies worth serving while better ones are still sought: `kind` policy, `policy`,
    `evaluation` and `algorithm`.

    Returns `policy` (bytes of the policy file), `evaluation`, `episodes` (how many there were),
    `algorithm`, `problem_class`, `stopped` (`episodes`, `goal`, `equal_scores` or `patience`) and
    `fingerprint`.

    Raises InsufficientData, InvalidRewards, InvalidEffect, InvalidRequest; `Cancelled` where the
    caller gave up.
    """
    assignment = with_fold_held_out(Assignment(params))
    drive = _train_contextual
    if params.get("gym") is not None:
        drive = _train_gym
    elif params.get("simulation") is not None:
        drive = _train_simulated
    with contextlib.closing(TrainingLog.of(params, report)) as log:
        policy, episodes, stopped = drive(assignment, log)
        log.evaluated(policy.evaluation)
    return {
        "policy": policy.to_bytes(),
        "evaluation": dict(policy.evaluation),
        "episodes": episodes,
        "algorithm": policy.algorithm,
        "problem_class": policy.evaluation["problem_class"],
        "stopped": stopped,
        "fingerprint": params["fingerprint"],
    }


def _train_contextual(assignment: Assignment, report: Report) -> Trained:
    params, algorithm = assignment.params, assignment.params["algorithm"]
    settings, episodes = assignment.hyperparameters, params["episodes"]
    accelerator = params.get("accelerator", "auto")
    learner = make_learner(settings, episodes, params["seed"], accelerator)
    task = assignment.task(report.check)
    start = serving_model(assignment, task.layout)
    first = serving_candidate(assignment) if isinstance(settings, Auto) else ""
    seconds = settings.seconds if isinstance(settings, Auto) else math.inf
    run = TrainingRun(task, learner, algorithm, report.check, start, first, seconds)
    stopping = Stopping(
        params["goal"], params.get("patience", 0), equal_scores=learner.ends_on_equal_scores
    )
    judged = against_serving(run, assignment, report.check)
    count = episodes if isinstance(settings, Auto) else len(learner.candidates)
    return _drive(judged, run.episodes(), stopping, settings, count, report)


def _train_simulated(assignment: Assignment, report: Report) -> Trained:
    from spice_engine.learning.simulated_training import SimulatedRun

    params, task = assignment.params, assignment.simulated_task(report.check)
    start, accelerator = serving_model(assignment, task.layout), params.get("accelerator", "auto")
    run = SimulatedRun(task, report.check, start, accelerator)
    # No path is fixed here, yet scores of rollouts often stay for a while before they rise.
    stopping = Stopping(params["goal"], params.get("patience", 0), equal_scores=False)
    settings = assignment.hyperparameters
    judged = against_serving(run, assignment, report.check)
    checkpoints = Checkpoints.of(params)
    with checkpoints.until_done():
        episodes = run.episodes(params["episodes"], report.check, checkpoints)
        return _drive(judged, episodes, stopping, settings, params["episodes"], report)


def _train_gym(assignment: Assignment, report: Report) -> Trained:
    params, task = assignment.params, assignment.gym_task()
    from spice_engine.learning.gym_training import GymRun

    # Before anything is learned, all episodes may return the same.
    alike = task.facts.threshold is not None
    stopping = Stopping(params["goal"], params.get("patience", 0), equal_scores=alike)
    count = params["episodes"]
    checkpoints, accelerator = Checkpoints.of(params), params.get("accelerator", "auto")
    closing = contextlib.closing(GymRun(task, report.check, accelerator))
    with closing as run, checkpoints.until_done():
        episodes = run.episodes(count, checkpoints)
        return _drive(run, episodes, stopping, task.settings, count, report, True)


def _drive(
    run: Run,
    episodes: Iterator[dict[str, Any]],
    stopping: Stopping,
    settings: Hyperparameters,
    count: int,
    report: Report,
    anytime: bool = False,
) -> Trained:
    """Goes through the episodes; of `auto` also reports what is worth serving meanwhile.

    So it does of others that are `anytime`: those take long.

    The clock decides how many candidates `auto` begins, and which policies serve meanwhile;
    nothing else. Pods of ordinary size are done long before their time is up.
    """
    served, serve_from, done = 0, -math.inf, 0
    for episode in episodes:
        report.report({"kind": "episode", **episode})
        done += 1
        if stopped := stopping.after(episode):
            return run.finish(), done, stopped
        now = time.monotonic()
        auto = isinstance(settings, Auto)
        if not (auto or anytime) or done == count:
            continue
        if now >= serve_from and run.leader != served:
            served = run.leader
            policy = run.meanwhile()
            # Of large pods that takes seconds, most of which shall go to what is still sought.
            took = time.monotonic() - now
            serve_from = now + took + max(SECONDS_BETWEEN_POLICIES, _SHARE * took)
            report.report(
                {
                    "kind": "policy",
                    "policy": policy.to_bytes(),
                    "evaluation": dict(policy.evaluation),
                    "algorithm": policy.algorithm,
                }
            )
    return run.finish(), done, "episodes"


def warm() -> None:
    """Pays the first-use costs of NumPy's linear algebra, so that the first run does not."""
    rows = np.random.default_rng(0).normal(size=(200, 2))
    rewards = np.random.default_rng(1).normal(size=(200, 2))
    split = split_steps(200, 4, 0, 0.2)
    task = Task(
        values=rows,
        rewards=rewards[split.every],
        times=np.arange(200, dtype=np.int64),
        actions=("x", "y"),
        layout=Layout.choose(("a", "b"), 4, 200),
        span=4,
        granularity=1,
        split=split,
        fingerprint="",
        seed=0,
        holdout=0.2,
    )
    run = TrainingRun(task, make_learner(Auto(trees=2, search=0), 12, 0), "auto", lambda: None)
    for _ in run.episodes():
        pass
    run.finish().to_bytes()


def _forgetting(handler: Handler) -> Handler:
    """The handler, after which nothing of a user's file stays in this process."""

    def handle(params: dict[str, Any], report: Report) -> Any:
        try:
            return handler(params, report)
        finally:
            forget()

    return handle


if __name__ == "__main__":
    from spice_engine.learning.compare_question import compare
    from spice_engine.learning.policy_question import explain_policy
    from spice_engine.workers.child import serve

    handlers: dict[str, Handler] = {
        "train": train,
        "drift": drift,
        "reward_tests": reward_tests,
        "explain_step": explain_step,
        "hindsight": hindsight,
        "rollout": rollout,
        "check_gym": check_gym,
        "compare": compare,
        "explain_policy": explain_policy,
    }
    serve({name: _forgetting(handler) for name, handler in handlers.items()}, warm=warm)
