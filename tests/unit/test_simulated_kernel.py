"""A pod's compiled simulator: Python's numbers to the bit, or it says that it can't."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formula_programs import bits, programs, values
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_worlds import tank, world
from test_simulated_training import task

from spice_engine.errors import InvalidRequest, SpiceError
from spice_engine.learning import simulated_on_cpu, simulated_population
from spice_engine.learning.algorithms.constant import Constant
from spice_engine.learning.algorithms.forest import Forest, fit_random_tree
from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.algorithms.tree import fit_tree
from spice_engine.learning.features import Scaling
from spice_engine.learning.kernels import compiled
from spice_engine.learning.simulated_batch import wanderings
from spice_engine.learning.simulated_choosers import act
from spice_engine.learning.simulated_compile import compile_apart
from spice_engine.learning.simulated_families import schedule
from spice_engine.learning.simulated_kernel import Compiling, Kernel
from spice_engine.learning.simulated_kernel_code import Uncompiled
from spice_engine.learning.simulated_kernel_text import write_module
from spice_engine.learning.simulated_steps import Rollout, Stepper
from spice_engine.learning.simulated_training import SimulatedRun
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import Simulator, World
from tests.examples import examples

pytestmark = pytest.mark.numbers

ROWS = 300
CHANCE = np.random.default_rng(7)
PRICES = 16_000 + np.cumsum(CHANCE.normal(size=ROWS)) * 40
STATES = st.lists(st.lists(values(), min_size=4, max_size=4), min_size=1, max_size=8)
DONE, TROUBLE = 1, 2


def _functions(pod: World) -> dict[str, Any]:
    """The functions of a pod's module as plain Python, which shows what the text means."""
    namespace: dict[str, Any] = {}
    exec(write_module(Simulator(pod)).text, namespace)
    return namespace


def _made(effect: str, law: str, reward: str, states: list[list[float]]) -> World:
    """A world of one action whose rows are the states: x, y are data, usd and btc are carried."""
    x, y, *_ = np.array(states).T
    return world(
        {"a_b_x": x, "a_b_y": y},
        {"a_c_usd": 1.0, "a_c_btc": 2.0},
        {"go": effect},
        [law],
        {"go": reward},
    )


@settings(deadline=None, max_examples=examples(60))
@given(
    programs(["usd", "btc", "x", "y"], ["usd", "btc", "v"]),
    programs(["usd", "btc", "x"], [], expression=True),
    STATES,
)
def test_effects_and_laws_give_what_python_gives(
    effect: str, law: str, states: list[list[float]]
) -> None:
    pod = _made(f"v = 0\n{effect}\nusd = v", law, "reward = 1", states)
    simulator = Simulator(pod)
    try:
        functions = _functions(pod)
    except Uncompiled:
        return
    columns = list(write_module(simulator).columns)
    data = pod.values[:, columns].T
    for row, (_, _, usd, btc) in enumerate(states):
        local = np.array([btc, usd])  # in the order of their names
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = functions["move_0"](row, data, *local)
        if found[0] == TROUBLE:
            continue
        state = simulator.states(np.array([row]), local[None])
        after = pod.effects.apply("go", state)
        assert bool(pod.effects.lawful(state, after)[0]) == (found[0] == DONE)
        if found[0] == DONE:
            assert bits(found[1:]) == bits(after[0, simulator.local].tolist())


@settings(deadline=None, max_examples=examples(60))
@given(programs(["u", "x", "w"], ["reward", "v"]), STATES)
def test_rewards_give_what_python_gives(code: str, states: list[list[float]]) -> None:
    head = (
        'u = current_state["a_c_usd"]\nw = next_state["a_c_btc"]\nx = next_state["a_b_x"]\n'
        "v = 0\nreward = 0\n"
    )
    pod = _made("usd = usd", "True", head + code, states)
    simulator = Simulator(pod)
    try:
        functions = _functions(pod)
    except Uncompiled:
        return
    data = pod.values[:, list(write_module(simulator).columns)].T
    for row, (_, _, usd, btc) in enumerate(states[:-1]):
        local = np.array([btc, usd])
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = functions["pay_0"](0, row, data, np.zeros((1, 9)), *local, *local)
        if found[0] == TROUBLE:
            continue
        state = simulator.states(np.array([row]), local[None])[0].tolist()
        following = simulator.states(np.array([row + 1]), local[None])[0].tolist()
        want = simulator.reward_of(0, row, state, following)
        assert bits([found[1]]) == bits([want])


def _rich() -> World:
    """Integers, conditions, floors, and a field with data that an action writes."""
    money = 'w = next_state["a_c_usd"] - current_state["a_c_usd"]\nx = next_state["a_b_x"]\n'
    return world(
        {"a_b_x": PRICES / 1000, "a_b_y": np.round(CHANCE.normal(size=ROWS), 1)},
        {"a_c_usd": 100.0, "a_c_btc": 2.0},
        {
            "buy": "n = 1 if y > 0 else min(btc, 2)\nusd -= x * n\nbtc += n",
            "push": "x += 5\nif usd > 50:\n  usd = usd // 2\nelse:\n  usd += 7.5 % 2",
            "rest": None,
            "sell": "btc, usd = btc - 1, usd + x",
        },
        ["usd >= 0", "btc >= 0 and btc < 9"],
        {
            "buy": money + "reward = w + 0.5 * x",
            "push": money + "reward = max(w, -3) / (abs(x) + 1)",
            "rest": "reward = 0 if current_state['a_c_btc'] > 3 else 1",
            "sell": money + "if x > 16 and w > 0:\n  reward = w\nelse:\n  reward = -0.25",
        },
    )


@pytest.fixture(scope="module")
def rich() -> tuple[Simulator, Kernel]:
    """A simulator without a kernel, and the kernel of another one of the same world."""
    pod = _rich()
    return Simulator(pod), Kernel(Simulator(pod))


def _equal(one: Rollout, other: Rollout) -> None:
    np.testing.assert_array_equal(one.actions, other.actions)
    np.testing.assert_array_equal(one.rewards.view(np.uint64), other.rewards.view(np.uint64))
    np.testing.assert_array_equal(one.lawful, other.lawful)
    np.testing.assert_array_equal(one.local.view(np.uint64), other.local.view(np.uint64))


def test_columns_and_rollouts_are_those_of_the_simulator(rich: tuple[Simulator, Kernel]) -> None:
    plain, kernel = rich
    fast = Simulator(plain.world)
    fast.kernel = kernel
    steps = np.arange(ROWS - 1)
    one, other = Stepper(plain), Stepper(fast)
    paths = wanderings(one, steps, 4, seed=3)
    for first, second in zip(paths, wanderings(other, steps, 4, seed=3), strict=True):
        _equal(first, second)
    drawn = CHANCE.integers(0, 4, len(steps)).tolist()
    _equal(one.follow(steps, drawn), other.follow(steps, drawn))
    _equal(one.greedy(steps), other.greedy(steps))
    local = np.concatenate([path.local[:-1] for path in paths])
    rows = np.tile(steps, len(paths))
    a, b = plain.expand(rows, local), fast.expand(rows, local)
    np.testing.assert_array_equal(a.rewards.view(np.uint64), b.rewards.view(np.uint64))
    np.testing.assert_array_equal(a.following, b.following)
    np.testing.assert_array_equal(a.lawful, b.lawful)
    np.testing.assert_array_equal(plain.lawful(rows + 1, local), fast.lawful(rows + 1, local))
    assert 0.1 < a.lawful.mean() < 1  # the laws bind now and then
    assert kernel.expand(rows, local) is not None


def test_models_choose_what_they_choose_step_by_step(rich: tuple[Simulator, Kernel]) -> None:
    plain, kernel = rich
    fast = Simulator(plain.world)
    fast.kernel = kernel
    values, steps = plain.world.values, np.arange(ROWS - 1)
    view = View(values.copy(), 0, plain.local)
    raw = view.at(steps, Stepper(plain).greedy(steps).local[:-1])
    rewards = plain.expand(steps, raw[:, plain.local]).rewards
    chance = np.random.default_rng(0)
    trees = [fit_random_tree(raw, rewards, chance, min_leaf=5) for _ in range(3)]
    edges = tuple(np.unique(np.quantile(raw[:, one], [0.3, 0.6])) for one in (0, 2))
    models = [
        Constant(np.array([1.0, 3.0, 2.0, 3.0])),
        fit_tree(raw, rewards, min_leaf=5),
        Forest(tuple(trees)),
        LinearModel(Scaling.of(raw), chance.normal(size=(4, 4)), chance.normal(size=4)),
        Table((0, 2), edges, chance.normal(size=(9, 4))),
    ]
    taken: set[int] = set()
    for model in models:
        one = act(plain, Stepper(plain), model, view, steps)
        _equal(one, act(fast, Stepper(fast), model, view, steps))
        taken.update(one.actions.tolist())
    assert len(taken) == 4


def test_what_python_raises_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    # The text as plain Python does the same, and nothing has to be compiled.
    monkeypatch.setattr(compiled, "njit", lambda function, **_: function)
    pod = world(
        {"a_b_x": np.array([4.0, 3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0] * 4)},
        {"a_c_y": 1.0},
        {"go": "y = 1 / x", "stay": None},
        ["y >= 0"],
        {"go": "reward = 1", "stay": "reward = 0"},
    )
    fast = Simulator(pod)
    fast.kernel = Kernel(fast)
    told: list[str] = []
    for simulator in (Simulator(pod), fast):
        with pytest.raises(SpiceError) as raised:
            Stepper(simulator).follow(np.arange(30), [0] * 30)
        told.append(raised.value.message)
        with pytest.raises(SpiceError) as raised:
            simulator.expand(np.arange(30), np.ones((30, 1)))
        told.append(raised.value.message)
    assert told[:2] == told[2:]


def test_a_pod_without_a_scalar_form_goes_on_as_ever() -> None:
    pod = world(
        {"a_b_x": np.arange(40.0)},
        {"a_c_y": 1.0},
        {"go": "y = x", "stay": None},
        [],
        {"go": 'reward = math.exp(-next_state["a_c_y"])', "stay": "reward = 0"},
    )
    simulator = Simulator(pod)
    assert Compiling(simulator).wait(lambda: None) is None
    assert simulator.kernel is None
    assert len(Stepper(simulator).greedy(np.arange(39)).rewards) == 39


def test_a_population_saves_up_for_what_comes_and_is_the_same_each_time() -> None:
    """Filling always costs: fitted tables never fill here, who acts does."""
    rush = (np.arange(600) % 6 >= 4).astype(np.float64)
    policies: list[bytes] = []
    episodes: list[dict[str, Any]] = []
    for _ in range(2):
        run = SimulatedRun(task(tank(rush), "tabular", features=2, bins=8))
        episodes = list(run.episodes(9, lambda: None))
        policies.append(run.finish().to_bytes())
    named = [one["detail"]["candidate"] for one in episodes]
    assert named[-2:] == ["population 1", "population 2"]
    assert episodes[-1]["detail"]["regret_closed"] > 0.95
    assert episodes[-1]["detail"]["unlawful_steps"] == 0
    assert policies[0] == policies[1]


def test_as_many_learn_as_lanes_says_and_where_their_work_is_cut_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The text as plain Python: nothing has to be compiled.
    monkeypatch.setattr(compiled, "njit", lambda function, **_: function)
    monkeypatch.setattr(simulated_population, "BUDGET", 1)
    pod = tank((np.arange(120) % 6 >= 4).astype(np.float64), capacity=5)
    policies: list[bytes] = []
    for steps in (800_000, 20):
        monkeypatch.setattr(simulated_on_cpu, "_SLICE", steps)
        run = SimulatedRun(task(pod, "tabular", features=2, bins=8, lanes=3))
        *_, last = run.episodes(8, lambda: None)
        detail = last["detail"]
        assert (detail["candidate"], detail["members"]) == ("population 1", 3)
        assert (detail["device"], "notes" in detail) == ("cpu", False)
        policies.append(run.finish().to_bytes())
    assert policies[0] == policies[1]
    monkeypatch.setattr(simulated_population, "MOST_BYTES", 500)
    run = SimulatedRun(task(pod, "tabular", features=2, bins=8, lanes=3))
    with pytest.raises(InvalidRequest, match=r"3 lanes with \d+ cells and 3 actions take"):
        list(run.episodes(8, lambda: None))


def test_a_process_of_its_own_compiles_for_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    module = write_module(Simulator(tank(np.ones(9), capacity=7)))
    compile_apart(module)
    kept = [path.name for path in tmp_path.rglob("*.nbi")]
    assert {name.split(".")[1].split("-")[0] for name in kept} == {
        "expand", "masks", "roll", "learn",
    }  # fmt: skip
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    compile_apart(module)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_large_pods_have_a_population_in_auto() -> None:
    families = [family for family, _ in schedule("auto", 14, large=True)]
    assert families[9:12] == ["population", "population", "forest"]
    assert "population" not in [family for family, _ in schedule("auto", 14)]
