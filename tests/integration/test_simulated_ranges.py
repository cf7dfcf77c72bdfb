"""Actions with a range that change something: from the manifest to a policy that names a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from v01_world import ask, url

from spice_engine.data.loader import load
from spice_engine.errors import InvalidRewards
from spice_engine.learning.assignment import Assignment
from spice_engine.learning.compare_question import compare
from spice_engine.learning.effects import Effects
from spice_engine.learning.hindsight import rollout
from spice_engine.learning.levels import Level
from spice_engine.learning.policy import InvalidPolicy, Policy
from spice_engine.learning.policy_question import explain_policy
from spice_engine.learning.reward_questions import reward_tests
from spice_engine.learning.simulated_batch import wanderings
from spice_engine.learning.simulated_kernel_text import write_module
from spice_engine.learning.simulated_ranges import halved
from spice_engine.learning.simulated_steps import Stepper
from spice_engine.learning.simulator import Simulator, World
from spice_engine.learning.step_question import explain_step
from spice_engine.learning.trainer import train
from spice_engine.pods import completing, hovering, plan
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.manifests import read_manifest
from spice_engine.pods.reward_functions import function_problems
from spice_engine.protocol.authoring import TextPosition
from spice_engine.workers.child import LocalReport
from tests.conftest import EngineFixture, wait_for

NOW, ROWS, START = 2e9, 300, 1_700_000_000
# Charging costs at once, by the square of its power, and is paid for later. No law speaks of
# waiting and emptying, which have no value.
MANIFEST = """
name: battery
params: {epoch_time: 1700000000, period: 3000s, interval: 20s, granularity: 10s}
dataspaces:
  - from: grid
    name: price
    measurements: [{name: now}, {name: limit}]
    data:
      connector: {name: file, params: {path: price.csv}}
      processor: {name: csv}
  - from: local
    name: cell
    measurements: [{name: kwh}]
    actions:
      charge: kwh += args.power
      empty: kwh = 0
    laws: [kwh <= 100, action_value <= grid.price.limit]
actions:
  - name: wait
  - name: charge
    do: {name: local.cell.charge, args: {power: action_value}}
    range: {from: 0, to: 100, unit: kW}
  - name: empty
    do: {name: local.cell.empty}
training:
  rewards:
    - reward: wait
      with: reward = 0
    - reward: charge
      with: reward = -action_value * action_value / 80
    - reward: empty
      with: reward = current_state["grid_price_now"] * current_state["local_cell_kwh"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every other price is nothing, the others one."""
    write(tmp_path, [(i % 2, 60) for i in range(ROWS)])
    return tmp_path


def write(folder: Path, rows: list[tuple[float, float]]) -> None:
    lines = [f"{START + 10 * i},{price},{limit}" for i, (price, limit) in enumerate(rows)]
    (folder / "price.csv").write_text("time,now,limit\n" + "\n".join(lines) + "\n")


def params_of(folder: Path, text: str, **changes: Any) -> dict[str, Any]:
    manifest = load_manifest(text, "spicepods/battery.yaml")
    loaded = load(plan.loader_params(manifest, folder, folder / "out", NOW), LocalReport())
    return plan.trainer_params(manifest, loaded, folder, fingerprint="f") | changes


def world_of(folder: Path, text: str, levels: tuple[Level, ...] = ()) -> World:
    return Assignment(params_of(folder, text)).simulated_task(levels=levels).world


def learn(params: dict[str, Any]) -> tuple[Policy, dict[str, Any], list[dict[str, Any]]]:
    episodes: list[dict[str, Any]] = []
    answer = train(params, LocalReport(episodes.append))
    told = [one for one in episodes if one["kind"] == "episode"]
    return Policy.from_bytes(answer["policy"]), answer["evaluation"], told


LEVELS = (
    Level("wait"),
    Level("charge", 20.0),
    Level("charge", 70.0),
    Level("empty"),
)


def test_a_value_is_found_that_pays_later(folder: Path) -> None:
    """A step's own reward says that the least value is best: charging only costs."""
    policy, evaluation, episodes = learn(params_of(folder, MANIFEST, algorithm="fqi", episodes=4))
    held_out = evaluation["held_out"]
    assert held_out["regret_closed"] > 0.6
    assert all(held_out["actions_taken"].values())
    assert policy.names == ("wait", "charge", "empty")
    assert episodes[0]["actions_taken"].keys() == {"wait", "charge", "empty"}
    answer = policy.recommend(np.array([[1.0, 60.0, 0.0], [0.0, 60.0, 0.0]])[:, columns_of(policy)])
    assert (answer.action, answer.unit) == ("charge", "kW")
    assert answer.value is not None
    assert 10 <= answer.value <= 60
    assert Policy.from_bytes(policy.to_bytes()).to_bytes() == policy.to_bytes()
    kept = [level for level in policy.levels if level.value is not None]
    assert len(kept) <= 9


def columns_of(policy: Policy) -> list[int]:
    """Where the policy's fields stand among price, limit and charge."""
    order = ("grid_price_now", "grid_price_limit", "local_cell_kwh")
    return [order.index(field) for field in policy.fields]


def test_a_level_is_an_action_whose_code_has_the_number(folder: Path) -> None:
    ranged = world_of(folder, MANIFEST, LEVELS)
    by_hand = MANIFEST.replace("args: {power: action_value}", "args: {power: 20}").replace(
        "    range: {from: 0, to: 100, unit: kW}\n",
        "  - name: surge\n    do: {name: local.cell.charge, args: {power: 70}}\n",
    )
    by_hand = by_hand.replace("action_value * action_value", "20.0 * 20.0").replace(
        "    - reward: empty",
        "    - reward: surge\n      with: reward = -70.0 * 70.0 / 80\n    - reward: empty",
    )
    by_hand = by_hand.replace(", action_value <= grid.price.limit", "")
    plain = world_of(folder, by_hand)
    assert ranged.actions == ("wait", "charge=20", "charge=70", "empty")
    steps = np.arange(ranged.first, ROWS - 1)
    found = [Stepper(Simulator(one)) for one in (ranged, plain)]
    # Without the greater value, which the law about values always forbids.
    chance = np.random.default_rng(0)
    some: list[int] = chance.choice([0, 1, 3], len(steps), p=[0.2, 0.7, 0.1]).tolist()
    one, other = (stepper.follow(steps, some) for stepper in found)
    np.testing.assert_array_equal(one.rewards, other.rewards)
    np.testing.assert_array_equal(one.local, other.local)
    assert one.lawful.any()
    assert not one.lawful.all()
    states = Simulator(ranged).expand(steps, one.local[:-1])
    assert not states.lawful[:, 2].any()
    assert states.lawful[:, [0, 3]].all()
    without = world_of(folder, MANIFEST.replace(", action_value <= grid.price.limit", ""), LEVELS)
    assert write_module(Simulator(without)).text == write_module(Simulator(plain)).text


def test_compiled_text_of_levels_is_what_the_simulator_does(folder: Path) -> None:
    simulator = Simulator(world_of(folder, MANIFEST, LEVELS))
    module = write_module(simulator)
    functions: dict[str, Any] = {}
    exec(module.text, functions)  # as plain Python, which shows what the text means
    data = simulator.world.values[:, list(module.columns)].T
    steps = np.arange(ROWS - 1)
    (path, *_) = wanderings(Stepper(simulator), steps, 4, seed=1, groups=[0, 1, 1, 2])
    tried = simulator.expand(steps, path.local[:-1])
    for row in range(0, 60):
        for action in range(4):
            broken, *after = functions[f"move_{action}"](row, data, *path.local[row])
            assert (broken == 1) == tried.lawful[row, action]
            if broken == 1:
                assert after == tried.following[row, action].tolist()


def test_chance_tries_actions_not_levels(folder: Path) -> None:
    levels = (Level("wait"), *(Level("charge", float(i)) for i in range(20)), Level("empty"))
    stepper = Stepper(Simulator(world_of(folder, MANIFEST, levels)))
    groups = [0, *[1] * 20, 2]
    (path, *_) = wanderings(stepper, np.arange(ROWS - 1), 22, seed=1, groups=groups)
    counts = np.bincount([groups[action] for action in path.actions.tolist()])
    assert counts.min() > ROWS / 5


def test_levels_come_closer_where_they_are_taken() -> None:
    even = (0.0, 25.0, 50.0, 75.0, 100.0)
    assert halved(even, [0, 0, 7, 0, 0], 9) == (37.5, 50.0, 62.5)
    assert halved(even, [3, 0, 0, 0, 4], 9) == (0.0, 12.5, 87.5, 100.0)
    assert halved(even, [3, 0, 0, 0, 4], 3) == (87.5, 100.0)
    assert halved(even, [0] * 5, 9) == even


def test_nothing_held_out_lays_out_the_levels(folder: Path) -> None:
    def levels() -> tuple[Level, ...]:
        return world_of(folder, MANIFEST).levels

    before = levels()
    write(folder, [(i % 2 if i < 0.82 * ROWS else 9, 60) for i in range(ROWS)])
    assert levels() == before


def test_questions_about_the_pod(folder: Path) -> None:
    params = params_of(folder, MANIFEST, algorithm="fqi", episodes=3)
    policy, _, _ = learn(params)
    asked = {**params, "policy": policy.to_bytes()}
    lived = rollout(asked, LocalReport())
    actions = np.frombuffer(lived["actions"], dtype=np.int32)
    assert actions.max() < len(policy.levels)
    step = {**params, "row": 5, "local": [30.0], "action_values": {"charge": 10.0}}
    told = explain_step(step, LocalReport())["rewards"]
    assert told["charge"]["value"] == pytest.approx(-10 * 10 / 80)
    assert told["empty"]["value"] == pytest.approx(30)
    step["action_values"] = {"charge": 61.0}
    assert not explain_step(step, LocalReport())["rewards"]["charge"]["lawful"]
    explained = explain_policy({**asked, "rules": 3}, LocalReport())
    assert {one["action"] for one in explained["actions"]} == set(policy.actions)
    sides = [{"name": name, "policy": policy.to_bytes()} for name in ("v1", "v2")]
    assert compare({**params, "sides": sides}, LocalReport())["difference"] == 0
    assert policy.simulation is not None
    assert Effects.from_data(policy.simulation).to_data() == policy.simulation
    fixed = {**asked, "ranges": {}}
    with pytest.raises(InvalidPolicy, match="range"):
        rollout(fixed, LocalReport())


def test_learning_on_keeps_the_levels_of_what_serves(folder: Path) -> None:
    some = {"algorithm": "fqi", "episodes": 2}
    before, _, _ = learn(params_of(folder, MANIFEST, **some, training_rows=200))
    (folder / "serving").write_bytes(before.to_bytes())
    due = {"policy": str(folder / "serving"), "version": 1, "reason": "schedule"}
    after, evaluation, _ = learn(params_of(folder, MANIFEST, **some, continual=due))
    assert after.levels == before.levels
    assert evaluation["continual"]["taken_up"] in (True, False)


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("empty: kwh = 0", "empty: kwh = action_value", "invalid_datasource_action_expression", ""),
        ("empty: kwh = 0", "empty: kwh = 0; action_value = 1", "", ""),
        (
            "kwh += args.power",
            "kwh += action_value; action_value = args.power",
            "invalid_datasource_action_expression",
            "cannot be assigned",
        ),
        ("    range: {from: 0, to: 100, unit: kW}\n", "", "invalid_law_expression", "not defined"),
        ("    range: {from: 0, to: 100, unit: kW}\n", "", "unknown_field", "neither"),
        ("reward = 0", "reward = action_value", "invalid_reward_function", "with a range"),
    ],
)
def test_mistakes_are_found(old: str, new: str, code: str, words: str) -> None:
    _, problems = read_manifest(MANIFEST.replace(old, new).encode(), "spicepods/battery.yaml")
    found = [one for one in problems if one.code == code]
    if code:
        assert found, problems
        assert any(words in one.message + one.hint for one in found)


def test_effects_read_the_value_by_its_name(folder: Path) -> None:
    direct = MANIFEST.replace("kwh += args.power", "kwh += action_value").replace(
        ", args: {power: action_value}", ""
    )
    one, other = (world_of(folder, text, LEVELS) for text in (MANIFEST, direct))
    assert write_module(Simulator(one)).text == write_module(Simulator(other)).text


def typed(before: str) -> TextPosition:
    """The place in the manifest right after a piece of it."""
    end = MANIFEST.index(before) + len(before)
    line = MANIFEST.count("\n", 0, end) + 1
    return TextPosition(MANIFEST, line, end - MANIFEST.rfind("\n", 0, end))


@pytest.mark.parametrize("before", ["power: act", "reward = -act", "kwh += a"])
def test_editors_know_the_value(before: str, folder: Path) -> None:
    found = completing.complete(typed(before), folder)
    assert found.items[0].label == "action_value"


def test_editors_know_the_value_only_where_it_is(folder: Path) -> None:
    found = completing.complete(typed('reward = current_state["grid_price_now"] * c'), folder)
    assert "action_value" not in {one.label for one in found.items}
    assert hovering.hover(typed("reward = -act")).title == "action_value"


GYM = """
name: cart
dataspaces:
  - from: gym
    name: cartpole
    data:
      connector: {name: gym, params: {environment: CartPole-v1}}
    measurements: [{name: pole_angle}]
actions: [{name: left, range: {from: 0, to: 1}}, {name: right}]
training: {algorithm: dql}
"""


def test_environments_take_no_values() -> None:
    _, problems = read_manifest(GYM.encode(), "spicepods/cart.yaml")
    (found,) = [one for one in problems if one.code == "unsupported_range"]
    assert "discrete" in found.message
    assert "leave the range out" in found.message


FUNCTIONS = """
def wait(current, following):
    return 0

def charge(current, following, action_value):
    return -action_value * action_value / 80

def empty(current, current_notes, following, following_notes):
    return current["grid_price_now"] * current["local_cell_kwh"]

def careless(current, following):
    return 1
"""
IN_FILE = (
    MANIFEST[: MANIFEST.index("training:")]
    + """\
training:
  reward_funcs: pay.py
  rewards:
    - {reward: wait, with: wait}
    - {reward: charge, with: charge}
    - {reward: empty, with: empty}
  reward_tests:
    - {action: charge, action_value: 40, expect: -20}
"""
)


def test_functions_of_a_file_take_the_value(folder: Path) -> None:
    (folder / "pay.py").write_text(FUNCTIONS)
    inline, in_file = (world_of(folder, text, LEVELS) for text in (MANIFEST, IN_FILE))
    steps = np.arange(inline.first, inline.first + 40)
    actions = [3, 1] * 20
    one, other = (Stepper(Simulator(pod)).follow(steps, actions) for pod in (inline, in_file))
    np.testing.assert_array_equal(one.rewards, other.rewards)
    manifest = load_manifest(IN_FILE, "spicepods/battery.yaml")
    tests = params_of(folder, IN_FILE, tests=plan.reward_tests(manifest))
    assert [one["passed"] for one in reward_tests(tests, LocalReport())] == [True]
    told = {**tests, "row": 5, "local": None, "action_values": {"charge": 10.0}}
    found = explain_step(told, LocalReport())["rewards"]["charge"]
    assert (found["value"], found["code"]) == (-1.25, "return -action_value * action_value / 80")
    assert function_problems(folder, manifest) == []


def test_a_function_that_takes_no_value_is_found(folder: Path) -> None:
    (folder / "pay.py").write_text(FUNCTIONS)
    text = IN_FILE.replace("with: charge", "with: careless")
    (problem,) = function_problems(folder, load_manifest(text, "spicepods/battery.yaml"))
    assert problem.code == "invalid_reward_function"
    assert "'careless' does not take 'action_value'" in problem.message
    assert (problem.line, problem.severity) == (
        text[: text.index("pay.py")].count("\n") + 1,
        "error",
    )
    with pytest.raises(InvalidRewards, match="'careless' does not take 'action_value'"):
        world_of(folder, text, LEVELS)


@pytest.mark.e2e
def test_a_real_engine_names_the_value(engine: EngineFixture, folder: Path) -> None:
    root = engine.location.root
    (root / "price.csv").write_bytes((folder / "price.csv").read_bytes())
    (root / "spicepods").mkdir()
    engine.start()
    some = "training:\n  algorithm: fqi\n  episodes: 3\n"
    (root / "spicepods" / "battery.yaml").write_text(MANIFEST.replace("training:\n", some))

    def ready() -> bool:
        pods: Any = engine.call("pods.list")
        return any(pod["state"] == "ready" for pod in pods["pods"])

    wait_for(ready, "the policy")
    given = ask(url(engine, "pods/battery/recommendation")).json
    assert given["action"] in ("wait", "charge", "empty")
    assert (given.get("action_value") is not None) == (given["action"] == "charge")
    timeline: Any = engine.call("pods.timeline", pod="battery", points=10)
    assert timeline["actions"] == ["wait", "charge", "empty"]
    assert set(timeline["chosen"]) <= {-1, 0, 1, 2}
    chosen: set[str] = set()
    for row in range(150, 155):
        step: Any = engine.call("pods.step", pod="battery", row=row)
        chosen.add(step["chosen"])
        values = {one["action"]: one["action_value"] for one in step["rewards"]}
        assert values["wait"] is None
        assert 0 <= values["charge"] <= 60
    assert chosen == {"charge", "empty"}
    assert engine.call("pods.explain", pod="battery")
