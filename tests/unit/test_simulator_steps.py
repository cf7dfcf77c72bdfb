"""The simulator: what carries on, what laws forbid, and that both its paths agree to the bit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from simulated_worlds import STEP, tank, trader, world

from spice_engine.errors import InvalidRewards, SpiceError
from spice_engine.learning.effects import InvalidEffect, InvalidLaw
from spice_engine.learning.reward_check import InvalidRewardValue
from spice_engine.learning.simulated_batch import make_batch, wanderings
from spice_engine.learning.simulated_oracle import Oracle
from spice_engine.learning.simulated_steps import Rollout, Stepper
from spice_engine.learning.simulator import UNLAWFUL, Simulator, World

CHANCE = np.random.default_rng(5)
PRICES = 16_000 + np.cumsum(CHANCE.normal(size=200)) * 40
DEMAND = (CHANCE.random(60) < 0.3).astype(np.float64)


def _steps(world: World) -> np.ndarray:
    return np.arange(len(world.values) - 1)


def _take(world: World, *actions: str) -> Rollout:
    indices = [world.actions.index(action) for action in actions]
    return Stepper(Simulator(world)).follow(np.arange(len(actions)), indices)


def test_balances_are_carried_from_step_to_step() -> None:
    prices = np.array([16_180.0, 16_192.0, 16_100.0, 16_062.0, 16_000.0])
    taken = _take(trader(prices), "buy", "buy", "hold", "buy")
    btc, usd = taken.local.T
    np.testing.assert_array_equal(btc, [1, 2, 3, 3, 4])
    np.testing.assert_array_equal(usd, [100_000, 83_820, 67_628, 67_628, 51_566])
    # The next state includes the effect: what one has is worth what the price does to it.
    np.testing.assert_array_equal(taken.rewards, [2 * 12, 3 * -92, 3 * -38, 4 * -62])


def test_an_unlawful_action_pays_five_and_changes_nothing() -> None:
    taken = _take(trader(np.full(5, 60_000.0)), "buy", "buy", "sell", "hold")
    np.testing.assert_array_equal(taken.lawful, [True, False, True, True])
    assert taken.rewards[1] == UNLAWFUL
    assert taken.unlawful_steps == 1
    np.testing.assert_array_equal(taken.local[1], taken.local[2])


def test_data_that_an_effect_wrote_take_over_again_after_one_step() -> None:
    pod = world(
        {"a_b_x": np.array([1.0, 2.0, 3.0, 4.0])},
        {"a_c_y": 0.0},
        {"push": "x += 100\ny += 1", "rest": None},
        [],
        {
            "push": 'reward = next_state["a_b_x"] + 1000 * current_state["a_b_x"]',
            "rest": 'reward = next_state["a_b_x"] + next_state["a_c_y"] / 10',
        },
    )
    taken = _take(pod, "push", "push", "rest")
    np.testing.assert_array_equal(taken.rewards, [1101, 2102, 4.2])


@pytest.mark.parametrize("pod", [trader(PRICES, 40_000, 2), tank(DEMAND)], ids=["trader", "tank"])
def test_rollouts_and_columns_agree_to_the_bit(pod: World) -> None:
    simulator = Simulator(pod)
    stepper, steps = Stepper(simulator), _steps(pod)
    each = np.arange(len(steps))
    rollouts = [
        *wanderings(stepper, steps, 3, seed=1),
        stepper.greedy(steps),
        stepper.follow(steps, CHANCE.integers(0, 3, len(steps)).tolist()),
        stepper.act(steps, lambda row, local: [local[0], 1.0, -local[0]]),
    ]
    for taken in rollouts:
        tried = simulator.expand(steps, taken.local[:-1])
        rewards = tried.rewards[each, taken.actions]
        np.testing.assert_array_equal(rewards.view(np.uint64), taken.rewards.view(np.uint64))
        np.testing.assert_array_equal(tried.following[each, taken.actions], taken.local[1:])
        np.testing.assert_array_equal(tried.lawful[each, taken.actions], taken.lawful)
    # Behaviours keep the laws as long as there is a lawful action.
    assert not any(one.unlawful_steps for one in (*rollouts[:4], rollouts[5]))
    assert rollouts[4].unlawful_steps


def test_the_batch_holds_what_the_simulator_says() -> None:
    pod = tank(DEMAND)
    simulator = Simulator(pod)
    stepper, steps = Stepper(simulator), _steps(pod)
    batch = make_batch(simulator, steps, wanderings(stepper, steps, 3, seed=0), 0)
    again = make_batch(simulator, steps, wanderings(stepper, steps, 3, seed=0), 0)
    np.testing.assert_array_equal(batch.local, again.local)
    assert len(np.unique(np.column_stack([batch.rows, batch.local]), axis=0)) == len(batch.rows)
    level = batch.local[:, 0]
    np.testing.assert_array_equal(batch.lawful, np.column_stack([level >= 0, level < 4, level > 0]))
    filled = batch.lawful[:, 1]
    np.testing.assert_array_equal(batch.following[filled, 1, 0], level[filled] + 1)
    np.testing.assert_array_equal(batch.later[:, 0], batch.lawful)
    assert batch.within(steps[:10]).rows.max() == 9


def _best_score(world: World, steps: int) -> float:
    stepper = Stepper(Simulator(world))
    rows = np.arange(steps)
    plans = product(range(len(world.actions)), repeat=steps)
    taken = (stepper.follow(rows, plan) for plan in plans)
    return max(one.score for one in taken if one.lawful.all())


@pytest.mark.parametrize(
    "pod", [trader(PRICES[:8], 40_000, 2), tank(np.array([0.0, 1, 1, 0, 1, 0, 1, 1]), 2)]
)
def test_the_oracle_is_the_exact_optimum_of_small_pods(pod: World) -> None:
    oracle = Oracle(Simulator(pod), 0, width=5_000)
    assert oracle.advance(7) == pytest.approx(_best_score(pod, 7))
    assert oracle.exact


def test_a_narrow_oracle_says_that_it_is_a_bound() -> None:
    pod = trader(PRICES)
    wide, narrow = Oracle(Simulator(pod), 0), Oracle(Simulator(pod), 0, width=4)
    looked = Stepper(Simulator(pod)).greedy(np.arange(100)).score
    assert looked < wide.advance(100)
    assert narrow.advance(100) < wide.score
    assert not narrow.exact


def test_fixed_rewards_are_found_out() -> None:
    assert Simulator(tank(DEMAND)).fixed == (True, True, True)
    assert Simulator(trader(PRICES)).fixed == (False, False, False)


def _broken(effect: str = "y += 1", law: str = "y >= 0", reward: str = "reward = 1") -> World:
    return world(
        {"a_b_x": np.array([4.0, 3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0])},
        {"a_c_y": 1.0},
        {"go": effect, "stay": None},
        [law],
        {"go": reward, "stay": "reward = 0"},
    )


@pytest.mark.parametrize(
    ("pod", "error", "line", "row"),
    [
        (_broken(effect="y = 1 / x"), InvalidEffect, 10, 4),
        (_broken(effect="y = 1e300 * (1e300 if x == 0 else 0)"), InvalidEffect, 10, 4),
        (_broken(law="1 / x > 0"), InvalidLaw, 10, 4),
        (_broken(reward='reward = 1\nreward = 1 / current_state["a_b_x"]'), InvalidRewards, 11, 4),
        (_broken(reward='reward = next_state["a_c_y"] * math.inf'), InvalidRewardValue, 10, 0),
    ],
)
def test_errors_say_place_action_and_time(
    pod: World, error: type[SpiceError], line: int, row: int
) -> None:
    steps = np.arange(7)
    attempts = (
        lambda: Stepper(Simulator(pod)).follow(steps, [0] * 7),
        lambda: Stepper(Simulator(pod)).act(steps, lambda row, local: [1.0, 0.0]),
        lambda: Simulator(pod).expand(steps, np.ones((7, 1))),
    )
    for attempt in attempts:
        with pytest.raises(error) as raised:
            attempt()
        caught = raised.value
        assert type(caught) is error
        assert caught.place
        assert (caught.place.file, caught.place.line) == ("pod.yaml", line)
        assert "'go'" in caught.message
        assert str(1_600_000_200 + row * STEP) in caught.message


def test_rollouts_can_be_cancelled() -> None:
    class Stop(Exception):
        pass

    def check() -> None:
        raise Stop

    pod = trader(PRICES)
    with pytest.raises(Stop):
        Stepper(Simulator(pod, check)).follow(np.arange(100), [1] * 100)
    with pytest.raises(Stop):
        Oracle(Simulator(pod, check), 0).advance(190)
