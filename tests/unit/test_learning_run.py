"""Training runs learn what is there, are honest where nothing is, and look at nothing held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spice_engine.learning.features import Layout
from spice_engine.learning.hyperparameters import HYPERPARAMETERS, Auto, Fqi, Linear, Tabular, parse
from spice_engine.learning.learners import make_learner
from spice_engine.learning.policy import Policy
from spice_engine.learning.split import split_steps
from spice_engine.learning.stopping import Stopping
from spice_engine.learning.task import Task
from spice_engine.learning.training_run import TrainingRun

ROWS, SPAN = 1200, 4
NETWORKS = {"updates": 10, "hidden": [16], "lanes": 32}
FAST = {
    "auto": {"trees": 10},
    "fqi": {"trees": 4},
    "dql": {**NETWORKS, "warm_up": 0},
    "sacd": {**NETWORKS, "warm_up": 0},
    "vpg": NETWORKS,
}


def table(seed: int = 1) -> np.ndarray:
    """Two fields that go up and down slowly: the past tells about the next row."""
    time = np.arange(ROWS)[:, None]
    waves = np.sin(time / [17.0, 29.0]) + np.random.default_rng(seed).normal(size=(ROWS, 2)) * 0.05
    return waves * [1.0, 1000.0] + [0.0, 5000.0]


def planted(values: np.ndarray) -> np.ndarray:
    """`hold` pays 1; `act` pays 4 where both fields of the *next* row are high, else -1."""
    following = np.vstack([values[1:], values[-1:]])
    high = (following[:, 0] > 0.2) & (following[:, 1] > 5000.0)
    return np.stack([np.ones(ROWS), np.where(high, 4.0, -1.0), np.zeros(ROWS)], axis=1)


def make_task(values: np.ndarray, rewards: np.ndarray, holdout: float = 0.2) -> Task:
    split = split_steps(ROWS, SPAN, 0, holdout)
    return Task(
        values=values,
        rewards=rewards[split.every],
        times=np.arange(ROWS, dtype=np.int64) * 60,
        actions=("hold", "act", "idle")[: rewards.shape[1]],
        layout=Layout.choose(("a", "b"), SPAN, ROWS),
        span=SPAN,
        granularity=60,
        split=split,
        fingerprint="f",
        seed=0,
        holdout=holdout,
    )


def run(
    task: Task, algorithm: str, episodes: int = 12, check: Callable[[], None] = lambda: None
) -> tuple[Policy, list[dict[str, Any]]]:
    learner = make_learner(parse(algorithm, FAST.get(algorithm, {})), episodes, task.seed)
    training = TrainingRun(task, learner, algorithm, check)
    curve = list(training.episodes())
    return training.finish(), curve


@pytest.mark.parametrize(("algorithm", "least"), [("auto", 0.7), ("fqi", 0.7), ("tabular", 0.7)])
def test_planted_structure_is_learned_held_out(algorithm: str, least: float) -> None:
    values = table()
    policy, curve = run(make_task(values, planted(values)), algorithm)
    evaluation = policy.evaluation
    # The first episode is the best constant action.
    assert curve[0]["score"] == evaluation["in_sample"]["best_constant"]
    for part in ("in_sample", "held_out", "refit"):
        judged = evaluation[part]
        assert judged["random"] < judged["best_constant"] < judged["score"] <= judged["oracle"]
        assert judged["regret_closed"] > least
    assert evaluation["beats_best_constant"]
    assert not evaluation["constant_policy"]
    assert evaluation["problem_class"] == "contextual"
    assert [one["name"] for one in evaluation["candidates"]] == [
        one["detail"]["candidate"] for one in curve
    ]
    (chosen,) = [one["name"] for one in evaluation["candidates"] if one["chosen"]]
    assert chosen == evaluation["candidate"] != "best constant"


def test_linear_learns_where_values_are_linear() -> None:
    values = table()
    following = np.vstack([values[1:], values[-1:]])
    lead = following[:, 0] * 1000 + following[:, 1] - 5000
    policy, _ = run(make_task(values, np.stack([lead, -lead], axis=1)), "linear")
    assert policy.evaluation["held_out"]["regret_closed"] > 0.9
    assert policy.evaluation["algorithm"] == "linear"


@pytest.mark.parametrize("algorithm", ["auto", "fqi", "tabular"])
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_noise_is_told_from_learning(algorithm: str, seed: int) -> None:
    rewards = np.random.default_rng(seed).normal(size=(ROWS, 3))
    policy, _ = run(make_task(table(seed), rewards), algorithm)
    held_out = policy.evaluation["held_out"]
    assert abs(held_out["regret_closed"]) < 0.15
    # Nor does it pretend to be sure.
    assert policy.evaluation["reliability"]["confidence"] < 0.5


@pytest.mark.parametrize("algorithm", HYPERPARAMETERS)
def test_the_same_seed_gives_the_same_bytes(algorithm: str) -> None:
    values = table()
    task = make_task(values, planted(values))
    assert run(task, algorithm)[0].to_bytes() == run(task, algorithm)[0].to_bytes()


@pytest.mark.parametrize("algorithm", HYPERPARAMETERS)
def test_held_out_rows_select_nothing(algorithm: str) -> None:
    values = table()
    rewards = planted(values)
    task = make_task(values, rewards)
    other_rewards = rewards.copy()
    other_rewards[task.split.held_out] *= -7.0
    other_values = values.copy()
    other_values[task.split.cut :] += 1e6
    one, curve = run(task, algorithm)
    other, other_curve = run(make_task(other_values, other_rewards), algorithm)
    clock = {"start": 0, "end": 0}
    assert [e | clock for e in curve] == [e | clock for e in other_curve]
    for same in ("in_sample", "candidate", "candidates"):
        assert one.evaluation[same] == other.evaluation[same]
    assert one.evaluation["held_out"] != other.evaluation["held_out"]


def test_confidence_is_the_share_of_right_choices() -> None:
    values = table()
    rewards = planted(values)
    rewards += np.random.default_rng(0).normal(size=rewards.shape) * 1.5
    policy, _ = run(make_task(values, rewards, holdout=0.3), "auto")
    trust = policy.evaluation["reliability"]
    assert trust["error"] < 0.12
    assert abs(trust["confidence"] - trust["right"]) < 0.12


def test_a_trained_policy_answers_as_it_was_judged() -> None:
    values = table()
    task = make_task(values, planted(values))
    policy = Policy.from_bytes(run(task, "fqi")[0].to_bytes())
    rewards = task.rewards
    score = 0.0
    for row in task.split.every:
        got = policy.recommend(values[row - SPAN + 1 : row + 1], explain=True)
        score += rewards[row - SPAN + 1, task.actions.index(got.action)]
        assert 1 / 3 <= got.confidence <= 1
    assert score == pytest.approx(policy.evaluation["refit"]["score"])


def test_equal_rewards_are_nothing_to_learn() -> None:
    policy, _ = run(make_task(table(), np.ones((ROWS, 3))), "auto")
    assert policy.evaluation["nothing_to_learn"]
    assert policy.evaluation["constant_policy"]
    got = policy.recommend(table()[:SPAN])
    assert (got.action, got.confidence) == ("hold", 1 / 3)


def test_one_action_alone_and_no_folds_are_no_trouble() -> None:
    values = table()
    alone, _ = run(make_task(values, planted(values)[:, :1]), "auto")
    assert alone.recommend(values[:SPAN]).confidence == 1.0
    split = split_steps(12, SPAN, 0, 0.0)
    rewards = planted(values)
    short = replace(make_task(values, rewards), split=split, rewards=rewards[split.every])
    policy, curve = run(short, "auto")
    assert policy.evaluation["candidate"] == "best constant"
    assert curve[-1]["detail"]["folds_score"] is None


@pytest.mark.parametrize("algorithm", HYPERPARAMETERS)
def test_a_cancelled_run_ends_soon(algorithm: str) -> None:
    class Stop(Exception):
        pass

    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise Stop

    values = table()
    with pytest.raises(Stop):
        run(make_task(values, planted(values)), algorithm, check=check)
    assert calls == 5


@pytest.mark.parametrize("settings", [Auto(), Fqi(), Fqi(trees=30), Linear(), Tabular()])
@pytest.mark.parametrize("episodes", [1, 2, 5, 40])
def test_episodes_bound_the_candidates(settings: Any, episodes: int) -> None:
    candidates = make_learner(settings, episodes, 0).candidates
    assert 1 <= len(candidates) <= episodes
    assert len({one.name for one in candidates}) == len(candidates)


def episode(score: float, folds: float | None = None, constant: float = 0.0) -> dict[str, Any]:
    detail = {"best_constant": constant, "regret_closed": 0.5, "folds_score": folds}
    return {"score": score, "detail": detail}


def after_each(stopping: Stopping, episodes: list[dict[str, Any]]) -> list[str]:
    return [stopping.after(one) for one in episodes]


def test_a_goal_ends_a_run() -> None:
    stopping = Stopping("score >= 10", 0, equal_scores=False)
    assert after_each(stopping, [episode(9), episode(10)]) == ["", "goal"]


def test_three_equal_scores_end_a_run_once_something_is_learned() -> None:
    stopping = Stopping("", 0, equal_scores=True)
    scores = [0, 0, 0, 0, 5, 5, 6, 6, 6]
    assert after_each(stopping, [episode(one) for one in scores]) == [""] * 8 + ["equal_scores"]
    fixed = Stopping("", 0, equal_scores=False)
    assert not any(after_each(fixed, [episode(5)] * 20))


def test_three_equal_scores_end_a_run_that_can_do_no_better() -> None:
    stopping = Stopping("", 0, equal_scores=True)
    best = episode(5, constant=5)
    best["detail"]["regret_closed"] = None
    assert after_each(stopping, [best] * 3) == ["", "", "equal_scores"]


def test_patience_looks_at_the_folds() -> None:
    stopping = Stopping("", 2, equal_scores=False)
    found = [episode(i, folds) for i, folds in enumerate([1.0, 3.0, 2.0, 3.0])]
    assert after_each(stopping, found) == ["", "", "", "patience"]
