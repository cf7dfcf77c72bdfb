"""Gymnasium's environments behind the protocol: when episodes end, what is seen, what is wrong."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from spice_engine.errors import InvalidEnvironment
from spice_engine.learning.algorithms import codes
from spice_engine.learning.environments.encoding import Encoding
from spice_engine.learning.environments.gym import GymEnvironment
from spice_engine.learning.environments.gym_facts import DONE_COLUMN, Component, Facts, Gym
from spice_engine.learning.environments.gym_make import describe
from spice_engine.learning.environments.observations import components, flat
from spice_engine.learning.gym_check import bind
from spice_engine.learning.gym_episodes import always, greedy, play
from spice_engine.learning.reward_program import compile_rewards
from spice_engine.learning.source import Source

CARTPOLE = Gym("CartPole-v1", {}, (0, 1, 2, 3))
LAKE = Gym("FrozenLake-v1", {"is_slippery": False}, (0,))
RIGHT = 1


def short(gym: Gym, steps: int) -> Gym:
    return Gym(gym.id, {**gym.options, "max_episode_steps": steps}, gym.columns, gym.rewards)


def test_a_fallen_pole_ends_its_episode_and_the_lane_begins_another_at_once() -> None:
    environment = GymEnvironment(CARTPOLE, 8)
    environment.reset(3)
    ends = np.zeros(8, dtype=int)
    for _ in range(40):
        step = environment.step(np.full(8, RIGHT))
        assert (step.rewards == 1.0).all()  # also of the step after an end: it is one of an episode
        over = step.terminal
        assert not step.truncated.any()
        fallen = np.abs(step.following[over, 2]) > 0.2094
        assert fallen.all()
        assert (np.abs(step.observations[over]) <= 0.05).all()
        assert np.array_equal(step.observations[~over], step.following[~over])
        ends += over
    assert (ends >= 3).all()  # always to the right, a pole falls within eleven steps


@pytest.mark.parametrize("gym", [CARTPOLE, LAKE], ids=["all at once", "one by one"])
def test_an_episode_that_is_cut_is_not_over(gym: Gym) -> None:
    environment = GymEnvironment(short(gym, 4), 3)
    environment.reset(0)
    up = 3 if gym is LAKE else 0
    for number in range(1, 13):
        step = environment.step(np.full(3, up))
        assert not step.terminal.any()
        assert step.truncated.all() == (number % 4 == 0)
    assert environment.limit == 4


def test_steps_are_those_of_gymnasium_itself() -> None:
    environment = GymEnvironment(CARTPOLE, 4)
    shown = environment.reset(5)
    single: Any = gymnasium.make("CartPole-v1").unwrapped
    single.reset(seed=0)
    single.state = tuple(shown[2])
    chance = np.random.default_rng(1)
    for _ in range(8):
        chosen = chance.integers(0, 2, 4)
        step = environment.step(chosen)
        expected, reward, terminal, _, _ = single.step(int(chosen[2]))
        np.testing.assert_allclose(step.following[2], expected, rtol=1e-5)
        assert (step.rewards[2], bool(step.terminal[2])) == (reward, terminal)


@pytest.mark.parametrize("gym", [CARTPOLE, LAKE], ids=["all at once", "one by one"])
def test_equal_seeds_give_equal_episodes(gym: Gym) -> None:
    def walk(seed: int) -> list[list[float]]:
        environment = GymEnvironment(gym, 3)
        environment.reset(seed)
        chance = np.random.default_rng(9)
        found = [environment.step(chance.integers(0, environment.actions, 3)) for _ in range(60)]
        return [step.observations.ravel().tolist() for step in found]

    assert walk(4) == walk(4)
    if gym is CARTPOLE:
        assert walk(4) != walk(5)


def test_rewards_of_the_pod_may_read_that_the_episode_is_over() -> None:
    code = "reward = 0 if next_state.done == 1 else 1"
    program = compile_rewards(
        ("left", "right"),
        ("angle", "done"),
        None,
        {name: Source(code, "pod.yaml", 1, 5) for name in ("left", "right")},
    )
    environment = GymEnvironment(Gym("CartPole-v1", {}, (2, DONE_COLUMN), program), 2)
    shown = environment.reset(0)
    assert shown.shape == (2, 2)
    for _ in range(15):
        step = environment.step(np.full(2, RIGHT))
        assert np.array_equal(step.rewards, np.where(step.terminal, 0.0, 1.0))
        # What is acted on is never the end of an episode.
        assert not step.observations[:, 1].any()
        assert not step.following[:, 1].any()


def test_one_episode_in_each_lane_is_played() -> None:
    played = play(GymEnvironment(CARTPOLE, 5), always(RIGHT), 2)
    assert np.array_equal(played.returns, played.lengths)
    assert 8 <= played.score <= 11
    assert played.counts.tolist() == [0, int(played.lengths.sum())]
    cut = play(GymEnvironment(short(CARTPOLE, 3), 5), always(RIGHT), 2)
    assert cut.returns.tolist() == [3.0] * 5


def test_a_lake_without_slipping_is_learned() -> None:
    environment = GymEnvironment(LAKE, 16)
    learned = codes.learn(environment, (16,), (0.0,), 0.99, 1, lambda: None)
    table = next(learned)
    played = play(GymEnvironment(LAKE, 2), greedy(table), 7)
    assert (played.score, played.lengths.tolist()) == (1.0, [6, 6])
    assert codes.Codes.from_content(table.to_content(), 1, 4).values(
        np.array([[3.0]])
    ).tolist() == (table.values(np.array([[3.0]])).tolist())
    # What is none of the codes gets what all of them have on average.
    assert np.allclose(table.values(np.array([[99.0]])), table.mean.mean(axis=0))


SPACES = [
    (spaces.Box(-1.0, 1.0, (2, 2)), ["0", "1", "2", "3"]),
    (spaces.Discrete(5, start=2), ["0"]),
    (spaces.MultiDiscrete([3, 4]), ["0", "1"]),
    (spaces.MultiBinary(3), ["0", "1", "2"]),
    (spaces.Tuple((spaces.Discrete(3), spaces.Box(0.0, 9.0, (2,)))), ["0", "1.0", "1.1"]),
    (spaces.Dict(a=spaces.Discrete(2), b=spaces.Box(0.0, 9.0, (1,))), ["a", "b.0"]),
]


@pytest.mark.parametrize(("space", "labels"), SPACES, ids=lambda one: type(one).__name__)
def test_components_are_named_and_laid_side_by_side(space: Any, labels: list[str]) -> None:
    assert [one.label for one in components(space)] == labels
    batch = gymnasium.vector.utils.batch_space(space, 4)
    batch.seed(0)
    shown = flat(space, batch.sample(), 4)
    assert shown.shape == (4, len(labels))
    low = np.array([one.low for one in components(space)])
    assert (shown >= low).all()


def test_a_space_of_texts_is_refused() -> None:
    with pytest.raises(InvalidEnvironment, match="Text"):
        components(spaces.Dict(a=spaces.Text(4)))
    with pytest.raises(InvalidEnvironment, match="more than 4096"):
        components(spaces.Box(0, 255, (84, 84, 3)))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("CartPole", {}, "Did you mean CartPole-v1"),
        ("CartPole-v7", {}, "v7"),
        ("Taxi-v3", {}, "Taxi-v4"),
        ("no.such:Thing-v0", {}, "no environment"),
        ("Pendulum-v1", {}, "Discrete"),
        ("CartPole-v1", {"wheels": 4}, "wheels"),
        ("CartPole-v1", {"render_mode": "human"}, "render_mode"),
        ("CartPole-v1", {"max_episode_steps": -1}, "max_episode_steps"),
    ],
)
def test_what_cannot_be_learned_in_says_why(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidEnvironment) as caught:
        describe(name, options)
    assert words in str(caught.value)


FACTS = Facts((Component("x"), Component("y", 3)), 2, None, 10)


def bound(fields: dict[str, str], actions: int = 2) -> Any:
    places = {"file": "p.yaml", "line": 1, "column": 1, "end_line": 1, "end_column": 2}
    params = {
        "environment": "E-v0",
        "place": places,
        "fields_place": places,
        "actions_place": {**places, "line": 9},
        "actions": [str(number) for number in range(actions)],
        "measurements": [
            {"name": name, "field": f"f_{name}", "selector": selector, "place": places}
            for name, selector in fields.items()
        ],
    }
    return bind(params, FACTS)


def test_measurements_are_components_in_order_or_by_label() -> None:
    assert bound({"b": "b", "a": "a"}).columns == {"f_b": 0, "f_a": 1}
    assert bound({"b": "y"}).columns == {"f_b": 1}
    assert bound({"b": "b", "is_done": "is_done", "a": "a"}).columns == {
        "f_is_done": DONE_COLUMN,
        "f_b": 0,
        "f_a": 1,
    }


@pytest.mark.parametrize(
    ("fields", "actions", "words"),
    [
        ({"a": "a"}, 2, "shows 2 numbers, and here are 1 measurements"),
        ({"a": "z", "b": "y"}, 2, "'z' is no component of 'E-v0': it shows x, y"),
        ({"a": "a", "b": "y"}, 2, "'a' is no component"),
        ({"a": "a", "b": "b"}, 3, "has 2 actions, and here are 3"),
    ],
)
def test_what_does_not_fit_is_found(fields: dict[str, str], actions: int, words: str) -> None:
    (finding,) = bound(fields, actions).findings
    assert words in finding.message
    assert finding.error().place.line == (9 if actions == 3 else 1)


def test_codes_become_zeros_and_a_one() -> None:
    encoding = Encoding((0, 3), np.array([1.0, 2.0]), np.array([0.5, 0.0]))
    given = np.array([[3.0, 2.0], [1.0, 4.0], [1.0, 7.0]])
    assert encoding.apply(given).tolist() == [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    again = Encoding.from_content(encoding.to_content(), 2)
    assert again.apply(given).tolist() == encoding.apply(given).tolist()
    assert encoding.gathered(np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [1.0, 9.0]
