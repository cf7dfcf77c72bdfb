"""`dql`, `vpg` and `sacd`: they learn what can be learned, by equal seeds the same, in any pod."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spice_engine.learning.algorithms.acting import Pace, by_chance, draw, softmax
from spice_engine.learning.algorithms.memory import Memory
from spice_engine.learning.algorithms.network_learner import NetworkFit, NetworkLearner, Settings
from spice_engine.learning.algorithms.vpg import _gains
from spice_engine.learning.environments.contextual import ContextualEnvironment
from spice_engine.learning.environments.environment import Step
from spice_engine.learning.features import Matrix, Scaling
from spice_engine.learning.hyperparameters import Dql, Sacd, Vpg, parse

pytestmark = pytest.mark.numbers

ALGORITHMS = ("dql", "vpg", "sacd")
CHANCE = np.random.default_rng(3)
RAW = CHANCE.normal(size=(600, 3)) * [1.0, 50.0, 1e-3] + [0.0, 1_000.0, 5.0]
SIGNS = (RAW - RAW.mean(axis=0)) > 0
# What is best depends on two features together, which no weighted sum can tell.
BEST = (SIGNS[:, 0] ^ SIGNS[:, 1]).astype(np.int64)
REWARDS = np.stack([(BEST == 0) * 10.0, (BEST == 1) * 10.0, np.full(len(RAW), 4.0)], axis=1)


def settings(algorithm: str, **more: Any) -> Settings:
    given = (
        parse(algorithm, {"updates": 100, "lanes": 64, "warm_up": 200, **more})
        if (algorithm != "vpg")
        else parse(algorithm, {"updates": 100, "lanes": 64, **more})
    )
    assert isinstance(given, Dql | Sacd | Vpg)
    return given


def fit(algorithm: str, raw: Matrix = RAW, rewards: Matrix = REWARDS, **more: Any) -> NetworkFit:
    return NetworkLearner(settings(algorithm, **more), 9, 0).fit(raw, rewards, lambda: None)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("all_actions", [True, False])
def test_they_learn_what_depends_on_two_features(algorithm: str, all_actions: bool) -> None:
    learned = fit(algorithm, all_actions=all_actions, learning_rate=0.01)
    constant = learned.values(0)
    assert (constant == REWARDS.mean(axis=0)).all()
    right = [(learned.values(index).argmax(axis=1) == BEST).mean() for index in (1, 3)]
    assert right[-1] > 0.9, right


def test_values_are_predicted_rewards() -> None:
    learned = fit("dql", learning_rate=0.01)
    assert np.abs(learned.values(3) - REWARDS).mean() < 1.5


@pytest.mark.parametrize(
    ("algorithm", "falls", "names"),
    [
        ("dql", "td", {"td"}),
        ("vpg", "value", {"policy", "value", "entropy"}),
        ("sacd", "critic", {"critic", "policy", "temperature", "entropy"}),
    ],
)
@pytest.mark.parametrize("all_actions", [True, False])
def test_they_tell_losses_which_fall(
    algorithm: str, falls: str, names: set[str], all_actions: bool
) -> None:
    learned = fit(algorithm, all_actions=all_actions, learning_rate=0.01, updates=20)
    told: list[dict[str, float]] = []
    for index in range(4):
        learned.model(index)
        told.append(dict(learned.told.get("losses", {})))
    assert not told[0]  # the constant action learns nothing
    assert all(one.keys() == names and np.isfinite([*one.values()]).all() for one in told[1:])
    assert told[3][falls] < told[1][falls]
    # What is standardised begins about 1 from a network that says nothing yet.
    assert told[1][falls] < 2.0
    if "entropy" in names:
        assert 0.0 <= told[3]["entropy"] < told[1]["entropy"] <= np.log(3)


@pytest.mark.parametrize("options", [{"dueling": True}, {"members": 3}, {"double": False}])
def test_options_of_dql_learn_as_well(options: dict[str, Any]) -> None:
    learned = fit("dql", learning_rate=0.01, hidden=[32], **options)
    assert (learned.values(3).argmax(axis=1) == BEST).mean() > 0.9


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_equal_seeds_give_equal_networks(algorithm: str) -> None:
    one, two = (fit(algorithm, updates=20, all_actions=False) for _ in range(2))
    assert (one.values(2) == two.values(2)).all()
    # What comes later changes nothing of what came before.
    assert (one.values(1) == two.values(1)).all()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("raw", "rewards"),
    [
        (np.ones((40, 2)), REWARDS[:40]),
        (RAW[:1], REWARDS[:1]),
        (RAW[:40], REWARDS[:40, :1]),
        (RAW[:40], np.zeros((40, 2))),
        (RAW[:40] * 1e30, REWARDS[:40] * 1e30),
    ],
    ids=["constant features", "one step", "one action", "nothing to gain", "huge"],
)
def test_odd_data_give_finite_values(algorithm: str, raw: Matrix, rewards: Matrix) -> None:
    learned = fit(algorithm, raw, rewards, updates=5)
    assert np.isfinite(learned.values(2)).all()


def test_a_walk_goes_from_row_to_row_and_begins_again() -> None:
    environment = ContextualEnvironment(RAW, REWARDS, 8, Scaling.of(RAW))
    seen = environment.reset(1)
    assert np.abs(seen).max() < 10
    ends = 0
    for _ in range(600):
        known = environment.all_rewards()
        assert known is not None
        chosen = np.arange(8) % 3
        step = environment.step(chosen)
        assert (step.rewards == known[np.arange(8), chosen]).all()
        going = ~step.terminal
        assert (step.observations[going] == step.following[going]).all()
        ends += int(step.terminal.sum())
    assert ends >= 8
    assert environment.lawful() is None


def step(rewards: list[float], following: float, *, terminal: bool, truncated: bool) -> Step:
    lanes = len(rewards)
    return Step(
        np.full((lanes, 1), 9.0),
        np.array(rewards),
        np.full(lanes, terminal),
        np.full(lanes, truncated),
        np.full((lanes, 1), following),
    )


def test_memory_adds_up_the_rewards_of_some_steps_to_where_the_episode_ends() -> None:
    memory = Memory(10, 1, 2, gamma=0.5, horizon=3, every=False)
    taken = np.array([1])
    steps = [
        step([1.0], 1.0, terminal=False, truncated=False),
        step([2.0], 2.0, terminal=False, truncated=False),
        step([4.0], 3.0, terminal=False, truncated=True),
        step([8.0], 4.0, terminal=True, truncated=False),
        step([16.0], 5.0, terminal=False, truncated=False),
    ]
    for number, one in enumerate(steps):
        memory.add(np.full((1, 1), float(number)), taken, one, None, None, None)
    assert memory.count == 3
    sample = memory.sample(1, 200, np.random.default_rng(0))
    assert sample.following is not None
    found = {
        (float(o), float(r), float(d), float(f))
        for o, r, d, f in zip(
            sample.observations[0, :, 0],
            sample.rewards[0],
            sample.discounts[0],
            sample.following[0, :, 0],
            strict=True,
        )
    }
    # Three steps; two of them up to where the episode was cut; and one.
    assert found == {(0.0, 3.0, 0.125, 3.0), (1.0, 4.0, 0.25, 3.0), (2.0, 4.0, 0.5, 3.0)}
    memory.add(np.full((1, 1), 5.0), taken, steps[0], None, None, None)
    last = memory.sample(1, 200, np.random.default_rng(0))
    assert (last.discounts[0][last.observations[0, :, 0] == 3.0] == 0.0).all()


def test_memory_keeps_the_last_and_what_was_allowed() -> None:
    memory = Memory(4, 1, 2, gamma=0.9, horizon=1, every=False)
    for number in range(6):
        allowed = np.array([[number % 2 == 0, True]])
        one = step([0.0], 0.0, terminal=False, truncated=number == 5)
        memory.add(np.full((1, 1), float(number)), np.array([1]), one, None, allowed, ~allowed)
    sample = memory.sample(2, 100, np.random.default_rng(0))
    assert set(sample.observations.ravel().tolist()) == {2.0, 3.0, 4.0, 5.0}
    assert sample.allowed is not None
    assert sample.now is not None
    odd = sample.observations[..., 0] == 3.0
    assert (sample.allowed[odd] == [False, True]).all()
    assert (sample.now[odd] == [True, False]).all()
    # Where an episode was cut the mask is that of another state.
    assert sample.allowed[sample.observations[..., 0] == 5.0].all()


def test_what_is_not_allowed_is_never_taken() -> None:
    chance = np.random.default_rng(0)
    allowed = np.array([[True, False, True]] * 200)
    assert set(by_chance(200, 3, allowed, chance).tolist()) == {0, 2}
    preferences = np.where(allowed, np.float32(0.0), np.float32(-1e9))
    chances, logarithms = softmax(preferences)
    assert chances[0].tolist() == [0.5, 0.0, 0.5]
    assert logarithms[0, 0] == pytest.approx(np.log(0.5))
    assert set(draw(chances, chance).tolist()) == {0, 2}


def test_each_step_is_learned_from_as_often_as_asked() -> None:
    pace = Pace(lanes=10, batch=40, replay=3.0, warm_up=25)
    due = [pace.due() for _ in range(43)]
    assert due[:3] == [0, 0, 0]
    assert sum(due) == 40 * 10 * 3 // 40


def test_advantages_reach_as_far_as_the_trace() -> None:
    rewards, values = np.array([[1.0], [2.0], [4.0]]), np.array([[0.5], [0.5], [0.5], [8.0]])
    weights = np.array([[0.5], [0.0], [0.5]])  # the second step ends its episode
    assert _gains(rewards, values, weights, 1.0)[:, 0].tolist() == [1.5, 1.5, 7.5]
    assert _gains(rewards, values, weights, 0.0)[:, 0].tolist() == [0.75, 1.5, 7.5]
