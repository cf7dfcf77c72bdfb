"""`auto` searches hyperparameters: the better half goes on, equal seeds find equal settings."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from spice_engine.learning.algorithms.fqi import FqiFit
from spice_engine.learning.algorithms.searched import (
    Bounds,
    NetworkSetting,
    TableSetting,
    TreeSetting,
    draw,
    exams_of,
)
from spice_engine.learning.clock import Clock
from spice_engine.learning.features import Layout
from spice_engine.learning.halving import survivors
from spice_engine.learning.hyperparameters import Auto, Fqi
from spice_engine.learning.learners import make_learner
from spice_engine.learning.split import split_steps
from spice_engine.learning.task import Task
from spice_engine.learning.training_run import TrainingRun

ROWS, SPAN = 1200, 4


def make_task(rewards: np.ndarray, values: np.ndarray, seed: int = 0) -> Task:
    split = split_steps(ROWS, SPAN, 0, 0.2)
    return Task(
        values=values,
        rewards=rewards[split.every],
        times=np.arange(ROWS, dtype=np.int64) * 60,
        actions=("hold", "act"),
        layout=Layout.choose(("a", "b"), SPAN, ROWS),
        span=SPAN,
        granularity=60,
        split=split,
        fingerprint="f",
        seed=seed,
        holdout=0.2,
    )


def waves(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Values, and rewards that the newest row tells."""
    steps = np.arange(ROWS)[:, None]
    values = np.sin(steps / [9.0, 23.0]) + np.random.default_rng(seed).normal(size=(ROWS, 2)) * 0.1
    pays = np.where(values[:, 0] * values[:, 1] > 0, 1.0, -1.0)
    return np.stack([np.zeros(ROWS), pays], axis=1), values


def episodes(task: Task, settings: Auto, count: int = 10, **more: Any) -> list[dict[str, Any]]:
    run = TrainingRun(task, make_learner(settings, count, task.seed), "auto", lambda: None, **more)
    return list(run.episodes())


def test_the_better_half_goes_on_to_the_next_budget() -> None:
    tried: list[tuple[int, int]] = []

    def score(setting: int, budget: int) -> float:
        tried.append((setting, budget))
        return math.nan if setting == 5 else float(setting)

    assert survivors([1, 2, 3, 4, 5, 6, 7, 8], [10, 20], score, 1) == [8]
    assert [budget for _, budget in tried] == [10] * 8 + [20] * 4
    assert {setting for setting, budget in tried if budget == 20} == {4, 6, 7, 8}
    assert survivors([3, 1, 2], [10], lambda _setting, _budget: 0.0, 2) == [3, 1]
    assert survivors([], [10], score, 2) == []


def test_settings_are_drawn_by_the_seed_within_what_the_user_set() -> None:
    bounds = Bounds(trees=6, max_depth=4)
    drawn = draw(64, 12, bounds, 7)
    assert drawn == draw(64, 12, bounds, 7) != draw(64, 12, bounds, 8)
    assert {setting.algorithm for setting in drawn} == {"fqi", "linear", "tabular", "dql"}
    trees = [setting for setting in drawn if isinstance(setting, TreeSetting)]
    assert trees
    assert max(setting.depth for setting in trees) <= 4


@pytest.mark.parametrize(
    "setting",
    [TableSetting(2, 6, 5.0), NetworkSetting((32,), 5e-3, 120), *draw(4, 20, Bounds(8, 12), 0)],
)
def test_every_family_gives_models_of_all_actions(setting: Any) -> None:
    rewards, values = waves()
    model = setting.fit(values, rewards, 0, 1.0, lambda: None)
    assert model.values(values[:5]).shape == (5, 2)
    assert np.isfinite(model.values(values)).all()


def test_the_search_learns_from_steps_before_those_that_judge() -> None:
    raw = np.arange(400.0)[:, None]
    for exam in exams_of(raw, raw, SPAN):
        assert exam.raw.max() + SPAN <= exam.later_raw.min()


def test_auto_ends_with_what_its_search_found_and_equal_seeds_find_equal_settings() -> None:
    task = make_task(*waves())
    one, same = episodes(task, Auto(trees=8)), episodes(task, Auto(trees=8))
    assert [e["score"] for e in one] == [e["score"] for e in same]
    names = [e["detail"]["candidate"] for e in one]
    assert names == [e["detail"]["candidate"] for e in same]
    assert len(names) == len(set(names)) == 10
    without = [e["detail"]["candidate"] for e in episodes(task, Auto(trees=8, search=0))]
    assert names[:7] == without[:7]
    assert set(names[7:]).isdisjoint(without)
    # Fewer episodes leave no room for a search.
    assert [e["detail"]["candidate"] for e in episodes(task, Auto(trees=8), 4)] == names[:4]


def test_a_searched_winner_can_be_served() -> None:
    task = make_task(*waves())
    learner = make_learner(Auto(trees=8), 10, 0)
    run = TrainingRun(task, learner, "auto", lambda: None)
    list(run.episodes())
    last = run._trials[-1]
    run._trials = [run._trials[0], last]
    evaluation = run.finish().evaluation
    assert evaluation["candidate"] == last.candidate.name
    assert evaluation["held_out"]["regret_closed"] > 0.3


def test_when_time_is_up_what_is_under_way_is_left_out() -> None:
    task = make_task(*waves())
    found = episodes(task, Auto(trees=8), seconds=1e-9)
    assert len(found) == 2  # the constant, and something to learn from
    run = TrainingRun(task, make_learner(Auto(trees=8), 10, 0), "auto", lambda: None, seconds=1e-9)
    assert len(list(run.episodes())) == 2
    assert run.finish().evaluation["in_sample"]["regret_closed"] > 0.3


def test_the_clock_counts_no_time_that_is_spent_waiting() -> None:
    clock = Clock(0.02)
    time.sleep(0.03)
    assert not clock.over()
    with clock.paused():
        while time.process_time() < (end := clock._processor + 0.05):
            pass
    assert end
    assert not clock.over()


def test_a_forest_may_try_few_features_in_each_node() -> None:
    rewards, values = waves()
    noise = np.random.default_rng(3).normal(size=(ROWS, 6))
    raw = np.concatenate([values, noise], axis=1)
    forests = [
        FqiFit(raw, rewards, Fqi(trees=4, features=tried), 0, [("trees", 4)], lambda: None).model(0)
        for tried in (0, 8, 2)
    ]
    every, same, few = (forest.values(raw) for forest in forests)
    assert np.array_equal(every, same)
    assert not np.array_equal(every, few)
