"""Training a simulated pod: it learns what can be learned, and is honest about the rest."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_worlds import STEP, bets, tank, trader, world

from spice_engine.learning.features import Layout
from spice_engine.learning.hyperparameters import parse
from spice_engine.learning.policy import Policy
from spice_engine.learning.simulated_evaluation import Part
from spice_engine.learning.simulated_families import SCHEDULES
from spice_engine.learning.simulated_steps import Stepper
from spice_engine.learning.simulated_training import SimulatedRun, SimulatedTask
from spice_engine.learning.simulator import UNLAWFUL, Simulator, World
from spice_engine.learning.split import split_steps

pytestmark = pytest.mark.numbers

ROWS = 600
CHANCE = np.random.default_rng(11)
RUSH = (np.arange(ROWS) % 6 >= 4).astype(np.float64)
WAVE = 16_000 + 1_500 * np.sin(np.arange(ROWS) / 9) + CHANCE.normal(size=ROWS) * 60
NOISE = 16_000 + np.cumsum(CHANCE.normal(size=ROWS)) * 60
NETWORKS = ("dql", "sacd", "vpg")


def task(
    pod: World, algorithm: str = "auto", *, seed: int = 0, holdout: float = 0.2, **settings: Any
) -> SimulatedTask:
    span = 6
    if algorithm == "auto":
        # What it finds must not depend on how busy the machine is.
        settings = {"seconds": 600.0, **settings}
    split = split_steps(len(pod.values), span, 0, holdout)
    return SimulatedTask(
        world=replace(pod, first=int(split.every[0])),
        layout=Layout.choose(pod.fields, span, len(split.every), current=pod.local),
        span=span,
        granularity=STEP,
        split=split,
        fingerprint="print",
        seed=seed,
        holdout=holdout,
        algorithm=algorithm,
        hyperparameters=parse(algorithm, settings),
    )


def train(pod: World, algorithm: str = "auto", episodes: int = 10, **more: Any) -> Policy:
    run = SimulatedRun(task(pod, algorithm, **more))
    for _ in run.episodes(episodes, lambda: None):
        pass
    return run.finish()


def test_fitted_q_iteration_with_a_forest_looks_ahead() -> None:
    run = SimulatedRun(task(tank(RUSH), "fqi", trees=5))
    curve = [episode["detail"] for episode in run.episodes(6, lambda: None)]
    assert [one["candidate"] for one in curve[:4]] == ["constant 1", "tree 1", "tree 2", "forest 1"]
    assert curve[-1]["trees"] == 5
    assert curve[-1]["regret_closed"] > 0.9


@pytest.mark.parametrize("algorithm", ["auto", "fqi"])
def test_it_saves_up_for_what_comes(algorithm: str) -> None:
    """Filling always costs; only who looks ahead ever fills."""
    evaluation = train(tank(RUSH), algorithm).evaluation
    held_out = evaluation["held_out"]
    assert evaluation["problem_class"] == "simulated"
    assert held_out["best_constant"] == 0
    assert held_out["oracle_exact"]
    assert held_out["regret_closed"] > 0.9
    assert held_out["unlawful_steps"] == 0
    assert evaluation["beats_best_constant"]
    assert not evaluation["constant_policy"]


def test_without_looking_ahead_nothing_is_saved_up() -> None:
    evaluation = train(tank(RUSH), "fqi", gamma=0.0).evaluation
    assert evaluation["held_out"]["score"] == 0


@pytest.mark.parametrize("algorithm", sorted(SCHEDULES))
def test_every_algorithm_gains_on_predictable_prices(algorithm: str) -> None:
    few = {"updates": 60} if algorithm in NETWORKS else {}
    evaluation = train(trader(WAVE), algorithm, episodes=3 if few else 6, **few).evaluation
    for part in ("in_sample", "held_out", "refit"):
        one = evaluation[part]
        assert one["score"] > 10 * abs(one["best_constant"]) > 0
        assert one["score"] <= one["oracle"]
    assert evaluation["beats_best_constant"]
    assert evaluation["algorithm"] in {"fqi", "linear", "tabular", *NETWORKS}


def test_of_noise_nothing_is_learned() -> None:
    closed: list[float] = []
    for seed in range(6):
        steps = np.random.default_rng(seed).normal(size=ROWS) * 60
        held_out = train(trader(16_000 + np.cumsum(steps)), episodes=6).evaluation["held_out"]
        assert held_out["oracle"] > held_out["best_constant"]
        closed.append(held_out["regret_closed"])
    # A walk that happens to rise pays whoever holds much; on the whole nobody gains.
    assert abs(np.median(closed)) < 0.1


def test_a_bitcoin_price_is_honest(cases: Path) -> None:
    with (cases / "data" / "btcusd.csv").open() as file:
        prices = [float(row["close"]) for row in csv.DictReader(file)][:1440]
    evaluation = train(bets(np.array(prices))).evaluation
    assert abs(evaluation["held_out"]["regret_closed"]) < 0.1
    assert evaluation["in_sample"]["oracle"] > evaluation["in_sample"]["score"]


def test_a_tiny_pod_is_learned_to_its_optimum() -> None:
    """Ten steps again and again, whose best play is known by enumeration."""
    pod = tank(np.tile([0.0, 0, 0, 1, 1], 30), capacity=2)
    best = _enumerate(tank(np.array([0.0, 0, 0, 1, 1] * 2), capacity=2), 10)
    policy = train(pod, "fqi", holdout=0.0, min_leaf=5)
    refit = policy.evaluation["refit"]
    # 145 steps are fourteen and a half times ten.
    assert refit["oracle_exact"]
    assert refit["score"] >= 0.9 * best * 14
    assert refit["regret_closed"] > 0.95


def _enumerate(pod: World, steps: int) -> float:
    levels = {0: 0.0}
    for demand in pod.values[:steps, 0].tolist():
        after: dict[int, float] = {}
        for level, score in levels.items():
            for change, reward in ((0, 0.0), (1, -1.0), (-1, 3 * demand)):
                if 0 <= level + change <= 2:
                    to = level + change
                    after[to] = max(after.get(to, -math.inf), score + reward)
        levels = after
    return max(levels.values())


def test_the_policy_file_knows_the_laws() -> None:
    policy = Policy.from_bytes(train(tank(RUSH), "fqi").to_bytes())
    assert policy.local == ("town_tank_level",)
    window = np.zeros((6, 2))
    level = policy.fields.index("town_tank_level")
    np.testing.assert_array_equal(policy.lawful(window[-1]), [True, True, False])
    assert policy.recommend(window).action in {"wait", "fill"}
    window[:, level] = 4.0
    np.testing.assert_array_equal(policy.lawful(window[-1]), [True, False, True])
    assert policy.recommend(window).action in {"wait", "draw"}


def test_the_served_policy_does_what_the_evaluation_says() -> None:
    """Window by window, as the engine asks it, it repeats the rollout of `refit`."""
    for pod in (tank(RUSH), trader(WAVE)):
        policy = train(pod, episodes=4)
        simulator = Simulator(pod)
        columns = [pod.fields.index(name) for name in pod.local]
        counts, local = dict.fromkeys(pod.actions, 0), simulator.initial
        for row in range(5, ROWS - 1):
            window = pod.values[row - 5 : row + 1].copy()
            window[-1, columns] = local
            action = policy.recommend(window).action
            counts[action] += 1
            tried = simulator.expand(np.array([row]), local[None])
            local = tried.following[0, pod.actions.index(action)]
        refit = policy.evaluation["refit"]
        assert counts == refit["actions_taken"]
        assert dict(zip(pod.local, local.tolist(), strict=True)) == refit["final_local"]


def test_same_seed_same_bytes_another_seed_other_samples() -> None:
    one, same, other = (train(trader(WAVE), episodes=4, seed=seed).to_bytes() for seed in (3, 3, 4))
    assert one == same
    assert one != other


def test_the_first_episode_is_the_best_constant_action() -> None:
    run = SimulatedRun(task(trader(WAVE)))
    episodes = list(run.episodes(4, lambda: None))
    assert [one["episode"] for one in episodes] == [1, 2, 3, 4]
    first = episodes[0]
    assert sum(count > 0 for count in first["actions_taken"].values()) == 1
    assert first["score"] == first["detail"]["best_constant"]
    assert all(len(one["detail"]["folds"]) == 3 for one in episodes)
    # The bound may only be found to be higher.
    assert all(a["detail"]["oracle"] <= b["detail"]["oracle"] for a, b in pairwise(episodes))


def test_the_held_out_part_changes_nothing_before_it() -> None:
    other = WAVE.copy()
    cut = split_steps(ROWS, 6, 0, 0.2).cut
    other[cut:] = NOISE[cut:]
    runs = [SimulatedRun(task(trader(prices))) for prices in (WAVE, other)]
    records = [list(run.episodes(6, lambda: None)) for run in runs]
    for one, two in zip(*records, strict=True):
        assert one["score"] == two["score"]
        assert one["detail"]["folds"] == two["detail"]["folds"]
    assert runs[0].leader == runs[1].leader


def test_baselines_pay_for_what_the_laws_forbid() -> None:
    pod = tank(np.zeros(60))
    simulator = Simulator(pod)
    part = Part(simulator, Stepper(simulator), np.arange(50), seed=0)
    filled = part.constants[1]
    assert filled.score == -4 + 46 * UNLAWFUL
    judged = part.judge(part.greedy, part.best_constant(50))
    assert judged.base.random < 0
    assert judged.base.best_constant_action == "wait"


def test_where_no_action_is_lawful_five_is_paid_and_time_goes_on() -> None:
    pod = world(
        {"a_b_x": np.arange(200.0)},
        {"a_c_y": 0.0},
        {"up": "y += 1", "more": "y += 2"},
        ["y <= 3"],
        {"up": "reward = 1", "more": "reward = 1"},
    )
    in_sample = train(pod, "fqi", holdout=0.0).evaluation["refit"]
    assert in_sample["unlawful_steps"] == 194 - 3
    assert in_sample["score"] == in_sample["oracle"] == 3 + 191 * UNLAWFUL
    assert in_sample["final_local"] == {"a_c_y": 3.0}


def test_a_run_can_be_cancelled_at_any_time() -> None:
    class Stop(Exception):
        pass

    calls, limit = 0, 10_000_000

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > limit:
            raise Stop

    def go() -> None:
        nonlocal calls
        calls = 0
        run = SimulatedRun(task(trader(WAVE)), check)
        for _ in run.episodes(3, check):
            pass

    go()
    every = calls
    assert every > 50
    for share in (0.0, 0.3, 0.99):
        limit = int(every * share)
        with pytest.raises(Stop):
            go()
