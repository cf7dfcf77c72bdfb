"""What holds of every algorithm: no leak from later rows, no figure that depends on the scale,
and recommendations that are the evaluation's own choices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spice_engine.learning.algorithms.forest import fit_random_tree
from spice_engine.learning.algorithms.linear import LinearModel, RidgePath
from spice_engine.learning.algorithms.tree import Tree, fit_tree
from spice_engine.learning.evaluation import best_of, best_of_list, choose, evaluate
from spice_engine.learning.features import MOST_CELLS, Layout, Scaling, choose_lags
from spice_engine.learning.hyperparameters import parse
from spice_engine.learning.learners import make_learner
from spice_engine.learning.policy import Policy
from spice_engine.learning.split import split_steps
from spice_engine.learning.task import Task
from spice_engine.learning.training_run import TrainingRun
from tests.examples import examples

pytestmark = pytest.mark.numbers

Matrix = NDArray[np.float64]
ALGORITHMS = ("auto", "fqi", "linear", "tabular")
SPAN = 4


def planted(rows: int = 1200, actions: int = 3) -> tuple[Matrix, Matrix]:
    """Random data, and rewards by two thresholds with noise."""
    chance = np.random.default_rng(7)
    values = chance.normal(size=(rows, 3))
    best = (values[:, 0] > 0.4).astype(int) + (values[:, 1] > 0)
    return values, np.eye(3)[best][:, :actions] + 0.1 * chance.normal(size=(rows, actions))


def make_task(values: Matrix, rewards: Matrix, *, holdout: float = 0.2) -> Task:
    fields = tuple(f"f{index}" for index in range(values.shape[1]))
    split = split_steps(len(values), SPAN, 0, holdout)
    return Task(
        values=values,
        rewards=rewards[split.every],
        times=np.arange(len(values), dtype=np.int64),
        actions=tuple(f"a{index}" for index in range(rewards.shape[1])),
        layout=Layout.choose(fields, SPAN, len(split.every)),
        span=SPAN,
        granularity=1,
        split=split,
        fingerprint="",
        seed=0,
        holdout=holdout,
    )


def trained(task: Task, algorithm: str, **given: Any) -> tuple[Policy, list[dict[str, Any]]]:
    settings = parse(algorithm, given)
    run = TrainingRun(task, make_learner(settings, 12, task.seed), algorithm, lambda: None)
    episodes = list(run.episodes())
    return run.finish(), episodes


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_held_out_changes_nothing_but_its_own_score(algorithm: str) -> None:
    values, rewards = planted()
    task = make_task(values, rewards)
    other_values, other_rewards = values.copy(), rewards.copy()
    other_values[task.split.cut :] *= -1e6
    other_rewards[task.split.cut - 1 :] = 1e6 * rewards[task.split.cut - 1 :, ::-1]
    one, episodes = trained(task, algorithm)
    two, others = trained(make_task(other_values, other_rewards), algorithm)
    for key in ("in_sample", "candidate", "candidates"):
        assert one.evaluation[key] == two.evaluation[key]
    assert one.calibration.margins.tolist() == two.calibration.margins.tolist()
    assert one.calibration.confidences.tolist() == two.calibration.confidences.tolist()
    assert [e["score"] for e in episodes] == [e["score"] for e in others]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_fold_knows_nothing_of_what_comes_after_it(algorithm: str) -> None:
    values, rewards = planted()
    task = make_task(values, rewards)
    last = int(task.split.folds[0].judge[-1]) + 2
    other_values, other_rewards = values.copy(), rewards.copy()
    other_values[last:] = 5.0
    other_rewards[last - 1 :] = -3.0
    _, episodes = trained(task, algorithm)
    _, others = trained(make_task(other_values, other_rewards), algorithm)
    assert [e["detail"]["folds"][0] for e in episodes] == [e["detail"]["folds"][0] for e in others]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("offset", [1e12, -1e12])
def test_a_constant_added_to_all_rewards_changes_no_choice(algorithm: str, offset: float) -> None:
    values, rewards = planted()
    plain, _ = trained(make_task(values, rewards), algorithm)
    moved, _ = trained(make_task(values, rewards + offset), algorithm)
    assert not moved.evaluation["nothing_to_learn"]
    assert moved.evaluation["beats_best_constant"]
    for part in ("in_sample", "held_out"):
        assert moved.evaluation[part]["regret_closed"] == pytest.approx(
            plain.evaluation[part]["regret_closed"], abs=0.05
        )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1e95])
def test_the_unit_of_the_rewards_changes_no_choice(algorithm: str, unit: float) -> None:
    values, rewards = planted()
    plain, _ = trained(make_task(values, rewards), algorithm)
    scaled, _ = trained(make_task(values, rewards * unit), algorithm)
    assert scaled.evaluation["candidate"] == plain.evaluation["candidate"]
    assert scaled.evaluation["held_out"]["regret_closed"] == pytest.approx(
        plain.evaluation["held_out"]["regret_closed"], abs=1e-6
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("actions", [1, 2, 3])
def test_what_is_recommended_is_what_the_evaluation_took(algorithm: str, actions: int) -> None:
    values, rewards = planted(400, actions)
    task = make_task(values, rewards)
    policy, _ = trained(task, algorithm, **({"trees": 8} if algorithm == "fqi" else {}))
    served = Policy.from_bytes(policy.to_bytes())
    taken = dict.fromkeys(policy.actions, 0)
    expected = choose(policy.model.values(task.raw(task.split.every)))
    for step, action in zip(task.split.every.tolist(), expected.tolist(), strict=True):
        found = served.recommend(values[step - SPAN + 1 : step + 1])
        assert found.action == policy.actions[action]
        taken[found.action] += 1
    assert taken == policy.evaluation["refit"]["actions_taken"]


EXTREMES: dict[str, Matrix] = {
    "constant columns": np.zeros((300, 3)),
    "one huge value": np.where(np.arange(900).reshape(300, 3) == 450, 1e150, 0.0),
    "huge": 1e150 * np.random.default_rng(0).uniform(-1, 1, size=(300, 3)),
    "tiny": 1e-300 * np.random.default_rng(0).normal(size=(300, 3)),
    "far from zero": 1e12 + np.random.default_rng(0).normal(size=(300, 3)),
    "many fields": np.random.default_rng(0).normal(size=(300, 300)),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_data_give_a_policy_of_finite_numbers(algorithm: str, name: str) -> None:
    values = EXTREMES[name]
    task = make_task(values, planted(300)[1])
    policy, _ = trained(task, algorithm)
    for step in (SPAN - 1, 150, 299):
        found = policy.recommend(values[step - SPAN + 1 : step + 1], explain=True)
        assert np.isfinite([*found.values.values(), found.confidence]).all()
        assert np.isfinite(list(found.features.values())).all()


@pytest.mark.parametrize("rows", range(SPAN + 1, SPAN + 8))
def test_a_handful_of_rows_is_enough_for_a_policy(rows: int) -> None:
    values, rewards = planted(rows)
    policy, _ = trained(make_task(values, rewards), "auto")
    assert policy.evaluation["candidate"] == "best constant"
    assert policy.recommend(values[-SPAN:]).confidence == pytest.approx(1 / 3)


@given(
    st.lists(
        st.one_of(st.sampled_from([0.0, -1.0, 1e12, 1e12 + 1]), st.floats(-1e100, 1e100)),
        min_size=1,
        max_size=6,
    )
)
def test_one_row_and_columns_agree_on_which_values_are_equal(values: list[float]) -> None:
    row = np.array([values])
    assert best_of(row)[0].tolist() == [one >= best_of_list(values) for one in values]
    assert best_of(row)[0, int(np.argmax(row))]


def test_regret_is_told_where_rewards_differ_by_little_of_their_size() -> None:
    rewards = np.array([[1e12, 1e12 + 1], [1e12 + 1, 1e12]] * 50)
    right = rewards.argmax(axis=1)
    assert evaluate(right, rewards, ("a", "b"), 0).regret_closed == 1.0
    assert evaluate(1 - right, rewards, ("a", "b"), 0).regret_closed == -1.0
    equal = np.array([[0.3, 0.1 + 0.2]] * 100)
    same = evaluate(np.zeros(100, dtype=np.int64), equal, ("a", "b"), 0)
    assert same.regret_closed is None
    assert same.nothing_to_learn


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=examples(30), deadline=None)
def test_shares_of_features_add_up_to_the_lead(seed: int, depth: int) -> None:
    chance = np.random.default_rng(seed)
    raw, targets = chance.normal(size=(200, 4)), chance.normal(size=(200, 3))
    tree = fit_tree(raw, targets, max_depth=depth, min_leaf=5, leads=True)
    linear = RidgePath(raw, targets).model(0.1)
    for model, base in ((tree, tree.mean[0]), (linear, linear.values(raw.mean(axis=0)[None])[0])):
        value = model.values(raw[:1])[0]
        lead = (value[0] - value[2]) - (base[0] - base[2])
        assert model.contributions(raw[0], 0, 2).sum() == pytest.approx(lead, abs=1e-9)


def test_many_rows_go_through_models_as_single_ones_do() -> None:
    chance = np.random.default_rng(3)
    raw = chance.normal(size=(40_000, 3))
    targets = np.stack([raw[:, 0] > 0.2, raw[:, 1] < 0, 0 * raw[:, 0]], axis=1).astype(float)
    some = chance.integers(0, len(raw), 50)
    tree = fit_tree(raw, targets, leads=True)
    linear = RidgePath(raw, targets).model(1e-6)
    assert tree.leaves(raw)[some].tolist() == [tree.leaf(raw[i].tolist()) for i in some]
    one_by_one = np.concatenate([linear.values(raw[i : i + 1]) for i in some])
    np.testing.assert_allclose(linear.values(raw)[some], one_by_one, rtol=1e-12)
    known = np.linalg.lstsq(np.c_[raw, np.ones(len(raw))], targets, rcond=None)[0]
    np.testing.assert_allclose(linear.values(raw), np.c_[raw, np.ones(len(raw))] @ known, atol=1e-5)


def test_no_leaf_is_empty_where_means_are_of_some_rows_only() -> None:
    chance = np.random.default_rng(3)
    raw = chance.normal(size=(120_001, 6))
    targets = 5.0 + chance.normal(size=(120_001, 2))
    tree = fit_random_tree(raw, targets, np.random.default_rng(0), min_leaf=1, max_depth=14)
    assert (tree.mean != 0).all()
    plain = Tree(tree.feature, tree.threshold, tree.left, tree.mean).values(raw).mean(axis=0)
    np.testing.assert_allclose(plain, 5.0, atol=0.1)


def test_large_tables_have_few_features() -> None:
    assert len(choose_lags(24, 50, 10_000)) == 2
    assert MOST_CELLS < 4 * 50 * 2_000_000
    assert choose_lags(24, 50, 2_000_000) == (0,)
    assert len(choose_lags(24, 6, 200_000)) > 2


def test_a_column_is_standardised_alike_whatever_stands_beside_it() -> None:
    raw = np.random.default_rng(1).normal(3.0, 2.0, size=(500, 40))
    scaling = Scaling.of(raw)
    standard = scaling.apply(raw)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=1e-12)
    model = LinearModel(scaling, np.ones((40, 1)), np.zeros(1))
    np.testing.assert_allclose(model.values(raw)[:, 0], standard.sum(axis=1), atol=1e-10)
