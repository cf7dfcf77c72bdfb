"""A pod's compiled simulator: Python's numbers to the bit, or it says that it can't."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from formula_programs import bits, programs, values
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_worlds import world

from spice_engine.learning.simulated_kernel_code import Uncompiled
from spice_engine.learning.simulated_kernel_text import write_module
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


@settings(deadline=None, max_examples=examples(150))
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
    data = pod.values[:, columns]
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


@settings(deadline=None, max_examples=examples(150))
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
    data = pod.values[:, list(write_module(simulator).columns)]
    for row, (_, _, usd, btc) in enumerate(states[:-1]):
        local = np.array([btc, usd])
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = functions["pay_0"](row, data, np.zeros((1, 9)), *local, *local)
        if found[0] == TROUBLE:
            continue
        state = simulator.states(np.array([row]), local[None])[0].tolist()
        following = simulator.states(np.array([row + 1]), local[None])[0].tolist()
        want = simulator.reward_of(0, row, state, following)
        assert bits([found[1]]) == bits([want])
