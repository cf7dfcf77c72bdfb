"""Trees, forests and tables find planted rules, keep their promises, and agree row by row."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.learning.algorithms.forest import Forest, fit_random_tree
from spice_engine.learning.algorithms.tabular import TabularFit, table_sizes
from spice_engine.learning.algorithms.tree import Tree, fit_tree
from spice_engine.learning.evaluation import best_constant_action, choose
from spice_engine.learning.hyperparameters import Tabular

CHANCE = np.random.default_rng(11)
RAW = CHANCE.uniform(-1, 1, size=(2000, 5))
INSIDE = (RAW[:, 1] > 0.25) & (RAW[:, 3] <= -0.1)
REWARDS = np.stack([np.where(INSIDE, 5.0, 0.0), np.where(INSIDE, -5.0, 1.0)], axis=1)
REWARDS += 100 * np.sin(40 * RAW[:, :1])  # what both gain alike, much larger than the rest


def share_right(values: np.ndarray) -> float:
    return float((choose(values) == choose(REWARDS)).mean())


def test_a_planted_rule_is_found_by_its_features_and_thresholds() -> None:
    tree = fit_tree(RAW, REWARDS, max_depth=2, leads=True)
    asked = {
        (int(feature), round(float(threshold), 1))
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True)
        if feature >= 0
    }
    assert asked in ({(1, 0.2), (3, -0.1)}, {(1, 0.3), (3, -0.1)})
    assert share_right(tree.values(RAW)) > 0.97


def test_a_leaf_holds_the_mean_of_its_rows() -> None:
    tree = fit_tree(RAW, REWARDS, max_depth=6, min_leaf=50, leads=True)
    leaf = tree.leaves(RAW)
    for node in np.unique(leaf):
        rows = leaf == node
        assert rows.sum() >= 50
        np.testing.assert_allclose(tree.mean[node], REWARDS[rows].mean(axis=0))
    np.testing.assert_allclose(tree.mean[0], REWARDS.mean(axis=0))
    assert tree.leaf_count == len(np.unique(leaf))


def test_a_cut_tree_is_the_tree_that_stopped_there() -> None:
    deep = fit_tree(RAW, REWARDS, max_depth=8, leads=True)
    for depth in (0, 1, 3, 20):
        cut, grown = deep.cut(depth), fit_tree(RAW, REWARDS, max_depth=min(depth, 8), leads=True)
        assert cut.depth <= depth
        np.testing.assert_allclose(cut.values(RAW), grown.values(RAW))


@pytest.mark.parametrize("leads", [True, False])
def test_one_row_alone_ends_where_it_does_among_others(leads: bool) -> None:
    tree = fit_tree(RAW, REWARDS, leads=leads, min_leaf=5)
    forest = Forest(tuple(fit_random_tree(RAW, REWARDS, np.random.default_rng(i)) for i in (1, 2)))
    for model in (tree, forest):
        every = model.values(RAW[:200])
        alone = np.concatenate([model.values(row[None]) for row in RAW[:200]])
        assert alone.tobytes() == every.tobytes()


def test_contributions_and_rule_tell_the_way_to_the_leaf() -> None:
    tree = fit_tree(RAW, REWARDS, max_depth=4, leads=True)
    names = tuple("abcde")
    for row in RAW[:50]:
        (values,) = tree.values(row[None])
        lead = values[0] - values[1]
        shares = tree.contributions(row, 0, 1)
        assert shares.sum() == pytest.approx(lead - (tree.mean[0, 0] - tree.mean[0, 1]))
        rule = tree.rule(row, names)
        assert len(rule) == len(tree.path(row)) - 1
        for condition in rule:
            name, sign, threshold = condition.split()
            assert (row[names.index(name)] > float(threshold)) == (sign == ">") or np.isclose(
                row[names.index(name)], float(threshold), rtol=1e-4
            )


def test_equal_features_and_equal_actions_leave_one_leaf() -> None:
    assert fit_tree(np.ones((100, 3)), REWARDS[:100]).leaf_count == 1
    equal = np.tile(CHANCE.normal(size=(2000, 1)), (1, 3))
    assert fit_tree(RAW, equal, leads=True).leaf_count == 1
    assert fit_tree(RAW, equal).leaf_count > 1  # they differ from row to row
    assert fit_tree(RAW, equal[:, :1], leads=True).leaf_count == 1


def test_a_forest_is_the_same_for_a_seed_and_steadier_than_a_tree() -> None:
    train, other = slice(0, 1000), slice(1000, 2000)
    noisy = REWARDS + CHANCE.normal(size=REWARDS.shape) * 6

    def forest(seed: int, trees: int = 24) -> Forest:
        return Forest(
            tuple(
                fit_random_tree(RAW[train], noisy[train], np.random.default_rng([seed, i]))
                for i in range(trees)
            )
        )

    one = forest(0)
    assert one.to_content() == forest(0).to_content() != forest(1).to_content()
    right = (choose(one.values(RAW[other])) == choose(REWARDS[other])).mean()
    assert right > 0.9


def test_cells_never_seen_choose_the_best_constant_action() -> None:
    # Only half of what the table covers is ever visited.
    raw = np.repeat(np.linspace(-1, 1, 40), 25)[:, None] * [1.0, -1.0]
    rewards = np.stack([np.where(raw[:, 0] > 0.5, 3.0, 0.0), np.ones(1000)], axis=1)
    settings_ = Tabular(features=2, bins=8)
    sizes = table_sizes(settings_)
    fit = TabularFit(raw, rewards, settings_, sizes, lambda: None)
    table = fit.model(sizes.index((2, 8)))
    assert (choose(table.values(raw)) == choose(rewards)).mean() > 0.9
    unseen = np.array([[0.9, 0.9], [-0.9, -0.9]])
    assert choose(table.values(unseen)).tolist() == [best_constant_action(rewards)] * 2


def test_the_table_takes_the_features_that_tell() -> None:
    fit = TabularFit(RAW, REWARDS, Tabular(), [(2, 16)], lambda: None)
    table = fit.model(0)
    assert sorted(table.columns) == [1, 3]
    assert share_right(table.values(RAW)) > 0.9


numbers = st.floats(-1e300, 1e300, allow_nan=False).map(lambda x: x + 0.0)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=60), st.integers(1, 5))
def test_any_numbers_make_a_sound_tree(rows: list[tuple[float, float, float]], leaf: int) -> None:
    table = np.array(rows)
    raw, targets = table[:, :2], table[:, 1:] / 1e200
    for tree in (
        fit_tree(raw, targets, min_leaf=leaf, bins=8),
        fit_random_tree(raw, targets, np.random.default_rng(0), min_leaf=leaf),
    ):
        again = Tree.from_content(tree.to_content(), 2, 2)
        assert again.to_content() == tree.to_content()
        counts = np.bincount(tree.leaves(raw), minlength=len(tree.feature))
        assert (counts[tree.feature == -1] >= min(leaf, len(raw))).all()
        assert all(before < after for row in raw for before, after in pairwise(tree.path(row)))
