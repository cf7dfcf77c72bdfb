"""Simulated pods at their edges: reward files, laws over data, many fields, exact arithmetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from simulated_worlds import PRICE, STEP, source, trader, world

from spice_engine.learning.features import Layout
from spice_engine.learning.hyperparameters import parse
from spice_engine.learning.policy import Policy
from spice_engine.learning.simulated_batch import FEWEST_SAMPLES
from spice_engine.learning.simulated_evaluation import Part
from spice_engine.learning.simulated_steps import Stepper
from spice_engine.learning.simulated_training import SimulatedRun, SimulatedTask
from spice_engine.learning.simulator import UNLAWFUL, Simulator, World
from spice_engine.learning.split import split_steps
from spice_engine.learning.trainer import train
from spice_engine.workers.arrays import save
from spice_engine.workers.child import LocalReport

pytestmark = pytest.mark.numbers

ROWS, SPAN = 300, 4
CHANCE = np.random.default_rng(5)
PRICES = 16_000 + 1_500 * np.sin(np.arange(ROWS) / 9) + CHANCE.normal(size=ROWS) * 60
DATA = "market_btc_price"


def run_of(pod: World, algorithm: str = "auto", **given: Any) -> SimulatedRun:
    split = split_steps(len(pod.values), SPAN, 0, 0.2)
    return SimulatedRun(
        SimulatedTask(
            world=replace(pod, first=int(split.every[0])),
            layout=Layout.choose(pod.fields, SPAN, len(split.every), current=pod.local),
            span=SPAN,
            granularity=STEP,
            split=split,
            fingerprint="",
            seed=0,
            holdout=0.2,
            algorithm=algorithm,
            hyperparameters=parse(algorithm, given),
        )
    )


def trained(pod: World, algorithm: str = "auto", episodes: int = 10, **given: Any) -> Policy:
    run = run_of(pod, algorithm, **given)
    for _ in run.episodes(episodes, lambda: None):
        pass
    return Policy.from_bytes(run.finish().to_bytes())


def served(policy: Policy, pod: World) -> tuple[dict[str, int], list[float]]:
    """Actions taken, and the last local state, where the engine asks step by step."""
    simulator = Simulator(replace(pod, first=SPAN - 1))
    counts, local = dict.fromkeys(pod.actions, 0), simulator.initial
    for row in range(SPAN - 1, len(pod.values) - 1):
        window = pod.values[row - SPAN + 1 : row + 1].copy()
        window[-1, simulator.local] = local
        found = policy.recommend(window, explain=row % 50 == 0)
        counts[found.action] += 1
        tried = simulator.expand(np.array([row]), local[None])
        local = tried.following[0, pod.actions.index(found.action)]
    return counts, local.tolist()


def exogenous_law() -> World:
    return world(
        {DATA: PRICES},
        {"my_box_count": 0.0},
        {"wait": None, "work": "count += 1"},
        ["price > 16000"],
        {"wait": "reward = 0", "work": "reward = 1"},
    )


def writes_data() -> World:
    return world(
        {DATA: PRICES},
        {"my_box_last": 0.0},
        {"wait": None, "mark": "last = round(price / 3, 2)\nprice = 0"},
        [],
        {
            "wait": f'reward = next_state["{DATA}"] - 16000',
            "mark": f'reward = 500 - next_state["{DATA}"] + next_state["my_box_last"] * 0',
        },
    )


def whole_numbers() -> World:
    return world(
        {DATA: PRICES},
        {"my_box_count": 3.0},
        {"half": "count = count // 2", "more": "count = (int(count) + 1) % 7"},
        [],
        {
            "half": 'reward = next_state["my_box_count"]',
            "more": 'reward = round(next_state["my_box_count"] / 3)',
        },
    )


@pytest.mark.parametrize("algorithm", ["auto", "fqi", "linear", "tabular"])
@pytest.mark.parametrize("make", [exogenous_law, writes_data, whole_numbers])
def test_what_is_served_is_what_the_evaluation_did(make: Any, algorithm: str) -> None:
    pod: World = make()
    policy = trained(pod, algorithm, episodes=4)
    counts, local = served(policy, pod)
    refit = policy.evaluation["refit"]
    assert counts == refit["actions_taken"]
    assert local == list(refit["final_local"].values())


def test_a_law_over_data_is_asked_at_every_step() -> None:
    policy = trained(exogenous_law())
    lawful = int((PRICES[SPAN - 1 : -1] > 16000).sum())
    refit = policy.evaluation["refit"]
    assert refit["unlawful_steps"] == 0
    assert refit["score"] == refit["oracle"] == lawful
    window = np.column_stack([np.full(SPAN, 15_999.0), np.zeros(SPAN)])
    assert policy.recommend(window).action == "wait"
    assert policy.recommend(window).confidence == 1.0


def test_what_an_effect_writes_into_data_is_gone_after_one_step() -> None:
    pod = writes_data()
    simulator = Simulator(pod)
    tried = simulator.expand(np.array([10]), np.array([[7.0]]))
    assert tried.rewards[0].tolist() == [PRICES[11] - 16000, 500.0]
    assert tried.following[0].tolist() == [[7.0], [round(PRICES[10] / 3, 2)]]


def test_where_nothing_is_lawful_the_pod_is_trained_all_the_same() -> None:
    pod = world(
        {DATA: PRICES},
        {"my_box_count": 0.0},
        {"up": "count += 1", "down": "count -= 1"},
        ["count > 100"],
        {"up": "reward = 1", "down": "reward = 2"},
    )
    policy = trained(pod)
    assert policy.evaluation["nothing_to_learn"]
    assert policy.evaluation["refit"]["score"] == UNLAWFUL * (ROWS - SPAN)
    assert policy.recommend(pod.values[:SPAN]).action == "up"


def test_rewards_far_from_zero_are_told_apart() -> None:
    pod = world(
        {DATA: PRICES},
        {"my_box_count": 0.0},
        {"up": "count += 1", "down": "count -= 1"},
        ["count <= 5", "count >= -5"],
        dict.fromkeys(("up", "down"), 'reward = 1e12 + next_state["my_box_count"]'),
    )
    held_out = trained(pod).evaluation["held_out"]
    assert held_out["oracle"] > held_out["random"]
    assert held_out["score"] >= held_out["best_constant"]
    assert not trained(pod).evaluation["nothing_to_learn"]


def many_fields(count: int) -> World:
    local = {f"my_box_c{index}": 1.0 for index in range(count)}
    rise = f'next_state["{DATA}"] - current_state["{DATA}"]'
    return world(
        {DATA: PRICES},
        local,
        {"wait": None, **{f"add{index}": f"c{index} += 1" for index in range(count)}},
        ["c0 <= 50"],
        {
            "wait": "reward = 0",
            **{
                f"add{index}": f'reward = {rise} + current_state["my_box_c{index}"] * 0.01'
                for index in range(count)
            },
        },
    )


def test_many_actions_take_fewer_samples_and_a_narrower_search() -> None:
    pod = many_fields(24)
    run = run_of(pod)
    assert len(run._lessons.batch.rows) <= FEWEST_SAMPLES  # pyright: ignore[reportPrivateUsage]
    steps = np.arange(SPAN - 1, ROWS - 1)
    wide = Part(Simulator(many_fields(2)), Stepper(Simulator(many_fields(2))), steps, 0)
    narrow = Part(Simulator(pod), Stepper(Simulator(pod)), steps, 0)
    assert narrow._width < wide._width  # pyright: ignore[reportPrivateUsage]
    for _ in run.episodes(2, lambda: None):
        pass
    assert run.finish().evaluation["held_out"] is not None


def test_a_file_rewards_a_pod_whose_actions_change_its_state(tmp_path: Path) -> None:
    """The same rewards in a file and in the manifest give the same policy, and the same figures."""
    text = (
        "def value(state):\n"
        f'    return state["{PRICE}"] * state["my_wallet_btc"] + state["my_wallet_usd"]\n'
        "def change(now, notes, then, later_notes):\n"
        "    return value(then) - value(now)\n"
    )
    file = tmp_path / "rewards.py"
    file.write_text(text)
    inline = (
        f'reward = next_state["{PRICE}"] * next_state["my_wallet_btc"]'
        ' + next_state["my_wallet_usd"] - (current_state["my_wallet_btc"]'
        f' * current_state["{PRICE}"] + current_state["my_wallet_usd"])'
    )
    pod = trader(PRICES)
    names = {field.rsplit("_", 1)[1]: field for field in pod.fields}
    params: dict[str, Any] = {
        "values": save(tmp_path, pod.values).as_dict(),
        "times": save(tmp_path, pod.times).as_dict(),
        "training_rows": ROWS,
        "first_datum": 0,
        "fields": list(pod.fields),
        "actions": list(pod.actions),
        "simulation": {
            "local": list(pod.local),
            "initial": dict(pod.initial),
            "effects": {
                name: {"code": source(code).as_dict(), "names": names, "args": {}}
                for name, code in (
                    ("buy", "usd -= price\nbtc += 1"),
                    ("sell", "usd += price\nbtc -= 1"),
                )
            },
            "laws": [
                {"code": source(law).as_dict(), "names": names} for law in ("usd >= 0", "btc >= 0")
            ],
        },
        "interpretations": [],
        "span": SPAN,
        "granularity": STEP,
        "interpolation": True,
        "algorithm": "auto",
        "episodes": 6,
        "holdout": 0.2,
        "seed": 0,
        "goal": "",
        "patience": 0,
        "hyperparameters": {},
        "features": "levels",
        "confidence": "calibrated",
        "fingerprint": "f",
        "indicators": [],
    }
    by_file = {
        "file": str(file),
        "functions": dict.fromkeys(pod.actions, "change"),
        "place": None,
    }
    by_code = {"init": None, "actions": dict.fromkeys(pod.actions, source(inline).as_dict())}
    one = train({**params, "rewards": by_file}, LocalReport())
    two = train({**params, "rewards": by_code}, LocalReport())
    assert one["problem_class"] == "simulated"
    assert one["evaluation"]["candidate"] == two["evaluation"]["candidate"]
    for part in ("in_sample", "held_out", "refit"):
        ours, theirs = one["evaluation"][part], two["evaluation"][part]
        assert ours["actions_taken"] == theirs["actions_taken"]
        assert ours["score"] == pytest.approx(theirs["score"], rel=1e-9)
        assert ours["oracle"] == pytest.approx(theirs["oracle"], rel=1e-6)
    assert one["evaluation"]["held_out"]["regret_closed"] > 0


def test_an_oracle_that_rounds_otherwise_leaves_nothing_to_learn() -> None:
    """The beam adds one by one, scores are added in pairs: both know 0.1 taken at every step."""
    always: dict[str, NDArray[np.float64]] = {DATA: np.full(2_000, 0.1)}
    rewards = dict.fromkeys(("up", "down"), f'reward = next_state["{DATA}"]')
    pod = world(
        always,
        {"my_box_count": 0.0},
        {"up": "count += 1", "down": "count -= 1"},
        [],
        {**rewards, "down": f'reward = next_state["{DATA}"] + 0 * current_state["my_box_count"]'},
    )
    simulator = Simulator(pod)
    part = Part(simulator, Stepper(simulator), np.arange(1_999), 0)
    judged = part.judge(part.greedy, 0)
    assert judged.base.nothing_to_learn
    assert judged.base.regret_closed is None
