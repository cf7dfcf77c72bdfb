"""A policy file reads back to the bit, is stable over releases, and refuses what does not fit."""

from __future__ import annotations

import base64
import math
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import IncompatibleVersion, InvalidData
from spice_engine.learning.algorithms.constant import Constant
from spice_engine.learning.algorithms.forest import Forest
from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.algorithms.tree import Tree
from spice_engine.learning.confidence import CLASSIC, Calibration
from spice_engine.learning.effects import compile_effects
from spice_engine.learning.features import Layout, Scaling
from spice_engine.learning.model import Model
from spice_engine.learning.policy import InvalidPolicy, Policy
from spice_engine.learning.source import Source

GOLDEN = Path(__file__).parent.parent / "golden"
WINDOW = np.array([[1.0], [3.0]])
LINEAR = LinearModel(
    Scaling(np.array([1.0, 1.0, 0.0]), np.array([0.5, 0.5, 0.25])),
    np.array([[1.0, -1.0], [0.5, 0.5], [0.0, 2.0]]),
    np.array([0.25, 0.5]),
)
# Is the newest reading above 2? If so, did it rise by more than 1?
TREE = Tree(
    np.array([0, -1, 2, -1, -1]),
    np.array([2.0, 0.0, 1.0, 0.0, 0.0]),
    np.array([1, 0, 3, 0, 0]),
    np.array([[1.0, 1.0], [4.0, 0.0], [0.0, 2.0], [2.0, 1.0], [-1.0, 3.0]]),
)
TABLE = Table((0,), (np.array([2.0]),), np.array([[4.0, 0.0], [0.0, 2.0]]))
MODELS: dict[str, Model] = {
    "linear": LINEAR,
    "tree": TREE,
    "forest": Forest((TREE, TREE.cut(1))),
    "table": TABLE,
    "constant": Constant(np.array([1.0, 2.0])),
}


def small_policy(model: Model = LINEAR) -> Policy:
    """Two rows of one field: levels 3 and 1, difference 2; written with exact numbers only."""
    return Policy(
        actions=("wait", "work"),
        span=2,
        granularity=30,
        layout=Layout(("host_load_cpu",), (0,), (), (0, 1)),
        algorithm="linear",
        model=model,
        calibration=Calibration(np.array([0.0, 1.0]), np.array([0.5, 0.75])),
        evaluation={"in_sample": {"score": 12.5}, "held_out": None},
        fingerprint="f" * 64,
        settings={"seed": 0, "holdout": 0.25},
    )


def simulated_policy() -> Policy:
    """Buying costs a coin, which there must be."""
    place = Source("coins -= 1", "p.yaml", 1, 1).as_dict()
    law = Source("coins >= 0", "p.yaml", 2, 1).as_dict()
    names = {"coins": "coins"}
    simulation = {
        "local": ["coins"],
        "initial": {"coins": 1.0},
        "effects": {"work": {"code": place, "names": names, "args": {}}},
        "laws": [{"code": law, "names": names}],
    }
    actions = ("wait", "work")
    return Policy(
        actions=actions,
        span=2,
        granularity=30,
        layout=Layout(("coins", "cpu"), (1,), (0,), (0, 1)),
        algorithm="auto",
        model=Constant(np.array([1.0, 2.0])),
        calibration=CLASSIC,
        evaluation={},
        fingerprint="",
        settings={},
        simulation=compile_effects(simulation, ("coins", "cpu"), actions).to_data(),
        local=("coins",),
    )


def test_a_recommendation_by_hand() -> None:
    # z = (1, 0, 0.5): wait 1 + 0.25, work -1 + 1 + 0.5.
    got = small_policy().recommend(WINDOW, explain=True)
    assert (got.action, got.values) == ("wait", {"wait": 1.25, "work": 0.5})
    assert got.confidence == 0.5 + 0.25 * 0.75
    assert got.features == {
        "host_load_cpu[0]": 2.0,
        "host_load_cpu[0] - host_load_cpu[-1]": -1.0,
    }
    assert small_policy().recommend(WINDOW).features == {}


def test_a_tree_says_by_which_rule() -> None:
    got = small_policy(TREE).recommend(WINDOW, explain=True)
    assert (got.action, got.values) == ("work", {"wait": -1.0, "work": 3.0})
    assert got.rule == (
        "host_load_cpu[0] > 2",
        "host_load_cpu[0] - host_load_cpu[-1] > 1",
    )
    # The lead of work: 0 at the root, 2 after the first question, 4 after the second.
    assert got.features == {"host_load_cpu[0]": 2.0, "host_load_cpu[0] - host_load_cpu[-1]": 2.0}


def test_a_table_names_its_cell() -> None:
    got = small_policy(TABLE).recommend(np.array([[1.0], [2.0]]), explain=True)
    assert (got.action, got.rule) == ("wait", ("host_load_cpu[0] <= 2",))


@pytest.mark.parametrize("kind", MODELS)
def test_it_reads_back_to_the_bit(kind: str) -> None:
    policy = small_policy(MODELS[kind])
    data = policy.to_bytes()
    again = Policy.from_bytes(data)
    assert again.to_bytes() == data
    assert again.recommend(WINDOW, explain=True) == policy.recommend(WINDOW, explain=True)
    assert (again.evaluation, again.model.kind) == (policy.evaluation, kind)


def test_the_golden_file_of_version_1_is_read() -> None:
    policy = Policy.from_bytes(base64.b64decode((GOLDEN / "policy_v1.txt").read_text()))
    assert policy.recommend(WINDOW, explain=True) == small_policy().recommend(WINDOW, explain=True)


@pytest.mark.parametrize("kind", MODELS)
def test_the_golden_files_of_version_2_are_read_and_written_alike(kind: str) -> None:
    golden = base64.b64decode((GOLDEN / f"policy_v2_{kind}.txt").read_text())
    want = small_policy(MODELS[kind])
    assert Policy.from_bytes(golden).recommend(WINDOW) == want.recommend(WINDOW)
    assert want.to_bytes() == golden


@pytest.mark.parametrize(("coins", "action"), [(1.0, "work"), (0.0, "wait")])
def test_laws_of_the_newest_row_bind(coins: float, action: str) -> None:
    policy = Policy.from_bytes(simulated_policy().to_bytes())
    assert policy.local == ("coins",)
    got = policy.recommend(np.array([[5.0, 1.0], [coins, 1.0]]))
    assert got.action == action
    if action == "wait":
        assert got.confidence == 1.0  # there is no other
    assert got.values == {"wait": 1.0, "work": 2.0}


def test_only_lawful_actions_are_chosen_unless_none_is() -> None:
    policy = small_policy(Constant(np.array([1.0, 2.0])))
    for mask, action in (((True, False), "wait"), ((True, True), "work"), ((False, False), "work")):
        assert policy.recommend(WINDOW, lawful=np.array(mask)).action == action


def test_classic_confidence_is_the_formula_of_the_original() -> None:
    policy = replace(small_policy(Constant(np.array([1.0, 2.0]))), calibration=CLASSIC)
    expected = math.exp(1.0) / (math.exp(0.5) + math.exp(1.0))
    assert policy.recommend(WINDOW).confidence == pytest.approx(expected)


@pytest.mark.parametrize(
    "tree",
    [
        replace(TREE, feature=np.array([9, -1, 2, -1, -1])),
        replace(TREE, left=np.array([0, 0, 3, 0, 0])),
        replace(TREE, left=np.array([4, 0, 3, 0, 0])),
        replace(TREE, mean=np.zeros((4, 2))),
    ],
)
def test_a_tree_that_would_run_astray_is_refused(tree: Tree) -> None:
    with pytest.raises(InvalidPolicy):
        Policy.from_bytes(small_policy(tree).to_bytes())


@pytest.mark.parametrize("window", [np.zeros((3, 1)), np.zeros((2, 2)), np.zeros(2)])
def test_a_window_of_another_shape_is_refused(window: np.ndarray) -> None:
    with pytest.raises(InvalidData, match="shape"):
        small_policy().recommend(window)


def test_a_window_with_a_gap_is_refused() -> None:
    with pytest.raises(InvalidData, match="finite"):
        small_policy().recommend(np.array([[1.0], [np.nan]]))


@pytest.mark.parametrize(
    ("fields", "actions", "span", "granularity", "reason"),
    [
        (("other",), ("wait", "work"), 2, 30, "fields"),
        (("host_load_cpu",), ("work", "wait"), 2, 30, "actions"),
        (("host_load_cpu",), ("wait", "work"), 3, 30, "rows in a window"),
        (("host_load_cpu",), ("wait", "work"), 2, 60, "seconds in a bucket"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    fields: tuple[str, ...], actions: tuple[str, ...], span: int, granularity: int, reason: str
) -> None:
    small_policy().check_fits(("host_load_cpu",), ("wait", "work"), 2, 30)
    with pytest.raises(InvalidPolicy, match=reason):
        small_policy().check_fits(fields, actions, span, granularity)


def test_another_version_is_named() -> None:
    outer = msgpack.unpackb(small_policy().to_bytes())
    outer["version"] = 99
    with pytest.raises(IncompatibleVersion, match="99"):
        Policy.from_bytes(msgpack.packb(outer))


@given(st.data())
def test_damage_is_always_noticed(data: st.DataObject) -> None:
    good = bytearray(small_policy().to_bytes())
    place = data.draw(st.integers(0, len(good) - 1))
    good[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((InvalidPolicy, IncompatibleVersion)):
        Policy.from_bytes(bytes(good))


@given(st.binary(max_size=60))
def test_other_bytes_are_no_policy(data: bytes) -> None:
    with pytest.raises(InvalidPolicy):
        Policy.from_bytes(data)
