"""Networks in simulated pods: the environment keeps the laws, and what comes is looked ahead to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from simulated_worlds import STEP, tank

from spice_engine.learning.environments.simulated import SimulatedEnvironment, Starts
from spice_engine.learning.features import Layout, Scaling
from spice_engine.learning.hyperparameters import Dql, parse, parse_for_simulated
from spice_engine.learning.policy import Policy
from spice_engine.learning.simulated_choosers import chooser
from spice_engine.learning.simulated_training import SimulatedRun, SimulatedTask
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import UNLAWFUL, Simulator
from spice_engine.learning.split import split_steps

pytestmark = pytest.mark.numbers

ROWS, SPAN = 300, 6
RUSH = (np.arange(ROWS) % 6 >= 4).astype(np.float64)


def task(algorithm: str, **settings: Any) -> SimulatedTask:
    pod = tank(RUSH)
    split = split_steps(ROWS, SPAN, 0, 0.2)
    return SimulatedTask(
        world=replace(pod, first=int(split.every[0])),
        layout=Layout.choose(pod.fields, SPAN, len(split.every), current=pod.local),
        span=SPAN,
        granularity=STEP,
        split=split,
        fingerprint="print",
        seed=0,
        holdout=0.2,
        algorithm=algorithm,
        hyperparameters=parse_for_simulated(algorithm, settings),
    )


def train(algorithm: str, episodes: int, **settings: Any) -> Policy:
    run = SimulatedRun(task(algorithm, **settings))
    for _ in run.episodes(episodes, lambda: None):
        pass
    return run.finish()


def environment(lanes: int = 8, length: int = 20) -> SimulatedEnvironment:
    given = task("dql")
    simulator = Simulator(given.world)
    first, last = int(given.split.every[0]), int(given.split.train[-1])
    raw = given.layout.raw(given.world.values, np.arange(first, last + 2))
    local = np.array([given.layout.position(name) for name in given.world.local])
    view = View(raw, first, local)
    starts = Starts(np.array([first, last - 3]), np.array([[0.0], [1.0]]), last)
    return SimulatedEnvironment(
        simulator, view, starts, Scaling.of(raw), lanes, scale=2.0, offset=1.0, length=length
    )


def test_the_environment_keeps_the_laws_and_begins_again_where_it_may() -> None:
    pod = environment()
    seen = pod.reset(3)
    chance, cuts = np.random.default_rng(0), 0
    for _ in range(60):
        lawful, known = pod.lawful(), pod.all_rewards()
        assert lawful is not None
        assert known is not None
        assert lawful.any(axis=1).all()
        assert (known[~lawful] == (UNLAWFUL - 1.0) / 2.0).all()
        chosen = np.where(lawful, chance.random(lawful.shape), -1.0).argmax(axis=1)
        step = pod.step(chosen)
        assert (step.rewards == known[np.arange(8), chosen]).all()
        assert not step.terminal.any()
        going = ~step.truncated
        assert (step.observations[going] == step.following[going]).all()
        cuts += int(step.truncated.sum())
    # No lane goes on for longer than 20 steps, and those that began at the end 4 at the most.
    assert cuts >= 3 * 8
    again = environment()
    assert (again.reset(3) == seen).all()


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        ("dql", {"updates": 300, "learning_rate": 3e-3, "decay": 0.0}),
        ("dql", {"all_actions": False, "updates": 150, "learning_rate": 3e-3, "decay": 0.0}),
    ],
    ids=["outcomes", "acting"],
)
def test_it_saves_up_for_what_comes(algorithm: str, settings: dict[str, Any]) -> None:
    """Filling always costs; only who looks ahead ever fills."""
    policy = train(algorithm, 4, hidden=[32], **settings)
    held_out = policy.evaluation["held_out"]
    assert held_out["best_constant"] == 0
    assert held_out["regret_closed"] > 0.9
    assert held_out["unlawful_steps"] == 0
    assert policy.evaluation["algorithm"] == algorithm
    served = Policy.from_bytes(policy.to_bytes())
    assert served.to_bytes() == policy.to_bytes()


@pytest.mark.parametrize(
    ("algorithm", "settings", "names"),
    [
        ("dql", {"learning_rate": 1e-6, "decay": 0.0}, {"td"}),
        ("dql", {"learning_rate": 1e-6, "decay": 0.0, "all_actions": False}, {"td"}),
        ("vpg", {"learning_rate": 1e-6, "lanes": 32}, {"policy", "value", "entropy"}),
        (
            "sacd",
            {"learning_rate": 1e-6, "lanes": 32, "warm_up": 64},
            {"critic", "policy", "temperature", "entropy"},
        ),
    ],
    ids=["outcomes", "acting", "vpg", "sacd"],
)
def test_what_serves_goes_on_from_the_serving_weights_and_what_chooses_does_not(
    algorithm: str,
    settings: dict[str, Any],
    names: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # After three steps no network wins; here the last one does.
    monkeypatch.setattr(
        "spice_engine.learning.simulated_training.leading", lambda trials: trials[-1]
    )
    settings = {"hidden": [8], "updates": 3, **settings}
    serving = train(algorithm, 2, **settings | {"learning_rate": 0.1}).model
    given = task(algorithm, **settings)
    runs = SimulatedRun(given), SimulatedRun(given, start=serving)
    told = [list(run.episodes(2, lambda: None)) for run in runs]
    for one in told[0] + told[1]:
        one["start"] = one["end"] = 0.0
    assert told[0] == told[1]
    assert told[0][1]["detail"]["losses"].keys() == names

    steps = given.split.every
    raw = View.of(given.layout, given.world, steps).at(steps, np.ones((len(steps), 1)))
    anew, later = (run.finish().model.values(raw) for run in runs)
    said = serving.values(raw)
    room = 0.02 * np.ptp(said)
    # All the steps are learned from, and standardised by, as they are for the serving policy.
    assert later == pytest.approx(said, abs=room)
    assert np.abs(anew - said).max() > 5 * room
    # So is what is judged beside it, by features and rewards of fewer steps.
    before = runs[1].leader_on(steps[: len(steps) // 2]).values(raw)
    assert before == pytest.approx(said, abs=room)


@pytest.mark.parametrize("members", [1, 3])
def test_asked_step_by_step_a_network_says_the_same(members: int) -> None:
    given = task("dql")
    policy = train("dql", 2, updates=10, hidden=[8, 4], members=members, decay=0.0)
    steps = given.split.every
    first, last = int(steps[0]), int(steps[-1])
    raw = given.layout.raw(given.world.values, np.arange(first, last + 2))
    view = View(raw, first, np.array([policy.layout.position(name) for name in policy.local]))
    ask = chooser(policy.model, view, steps)
    for row in (first, first + 7, last):
        for level in (0.0, 2.0):
            expected = policy.model.values(view.at(np.array([row]), np.array([[level]])))[0]
            assert ask(row, [level]) == pytest.approx(expected, rel=1e-9)


def test_simulated_pods_have_some_defaults_of_their_own() -> None:
    settings = parse_for_simulated("dql", {"gamma": 0.5})
    assert isinstance(settings, Dql)
    assert (settings.learning_rate, settings.gamma) == (0.001, 0.5)
    assert parse_for_simulated("dql", {"learning_rate": 0.5}).learning_rate == 0.5  # type: ignore[union-attr]
    preset = {"preset": "original"}
    assert parse_for_simulated("dql", preset) == parse("dql", preset)
