"""Tables as sums of tilings, and tables that members learn by trial in lanes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.learning.algorithms.tabular import TabularFit, TabularLearner
from spice_engine.learning.algorithms.tiles import Tiles
from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.hyperparameters import parse
from spice_engine.learning.model import read_model
from spice_engine.learning.trainer import train
from spice_engine.workers.child import Cancelled, LocalReport
from tests.unit.test_learning_trainer import make_params

ROWS = 900


def _pod(seed: int = 1) -> tuple[Matrix, Matrix]:
    """Two features that decide, one that is noise, and the rewards of three actions."""
    random = np.random.default_rng(seed)
    raw = random.uniform(-1, 1, (ROWS, 3))
    rewards = np.stack([raw[:, 0], raw[:, 1], np.full(ROWS, 0.1)], axis=1) * 50 + 1_000
    return raw, rewards + random.normal(size=rewards.shape)


def _fit(
    given: dict[str, object], rewards: Matrix, raw: Matrix
) -> tuple[TabularLearner, TabularFit]:
    learner = TabularLearner(parse("tabular", given), 10, 5, "cpu")
    return learner, learner.fit(raw, rewards, lambda: None)


def _closed(values: Matrix, rewards: Matrix) -> float:
    """Of the way from the best constant action to the best possible."""
    taken = rewards[np.arange(len(rewards)), choose(values)].sum()
    constant = rewards.sum(axis=0).max()
    return float((taken - constant) / (rewards.max(axis=1).sum() - constant))


def test_tilings_tell_more_apart_than_one_table_of_as_many_bins() -> None:
    raw, rewards = _pod()
    unseen, paid = _pod(2)
    plain, tiled = (
        _fit({"features": 2, "bins": 4, "tilings": tilings}, rewards, raw) for tilings in (1, 8)
    )
    assert tiled[0].candidates[-1].name == "8 tilings of 2 x 4 bins"
    model = tiled[1].model(2)
    assert isinstance(model, Tiles)
    assert len(model.tables) == 8
    one = _closed(plain[1].model(2).values(unseen), paid)
    many = _closed(model.values(unseen), paid)
    assert one < many
    assert many > 0.9
    again = read_model("tiles", model.to_content(), 3, 3)
    assert np.array_equal(again.values(unseen), model.values(unseen))
    shares = model.contributions(raw[0], 0, 1)
    assert shares[2] == 0
    assert shares[:2].any()
    assert model.rule(raw[0], ("a", "b", "c"))


def test_tiles_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="without a table"):
        read_model("tiles", {"tables": []}, 3, 3)


@pytest.mark.numbers
def test_members_learn_by_trial_what_pays() -> None:
    raw, rewards = _pod()
    unseen, paid = _pod(2)
    given = {"features": 2, "bins": 8, "lanes": 64, "passes": 30}
    _, fit = _fit(given, rewards, raw)
    values = fit.model(4).values(unseen)
    assert _closed(values, paid) > 0.75
    assert fit.told == {"device": "cpu"}
    # In the units of the rewards, which are far from 0.
    assert abs(values.mean() - paid.mean()) < 20
    _, again = _fit(given, rewards, raw)
    assert np.array_equal(again.model(4).values(unseen), values)


@pytest.mark.numbers
def test_members_with_tilings_and_traces_learn_too() -> None:
    raw, rewards = _pod()
    given = {
        "features": 2, "bins": 4, "lanes": 12, "passes": 20, "tilings": 4, "trace": 0.5,
        "exploration_end": 0.2,
    }  # fmt: skip
    _, fit = _fit(given, rewards, raw)
    assert _closed(fit.values(2), rewards) > 0.75


def test_the_first_episode_stays_the_best_constant_action() -> None:
    raw, rewards = _pod()
    for given in ({}, {"tilings": 4}, {"lanes": 8}):
        _, fit = _fit(given, rewards, raw)
        assert set(choose(fit.values(0))) == {int(rewards.sum(axis=0).argmax())}


def test_populations_that_are_too_large_are_refused_before_anything_is_computed() -> None:
    raw, rewards = _pod()
    settings = parse("tabular", {"features": 4, "bins": 16, "lanes": 1024})
    learner = TabularLearner(settings, 20, 5, "cpu")
    with pytest.raises(InvalidRequest, match="lanes with up to 65536 cells and 3 actions take 768"):
        learner.fit(raw, rewards, lambda: None)


@pytest.mark.numbers
def test_a_pod_that_asks_for_lanes_is_trained_by_trial(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    changes = {"algorithm": "tabular", "hyperparameters": {"lanes": 12}, "episodes": 6}
    params = make_params(tmp_path, **changes)
    answer = train(params, LocalReport(told.append))
    assert answer["evaluation"]["held_out"]["regret_closed"] > 0.7
    assert [one["detail"]["device"] for one in told if one["kind"] == "episode"] == ["cpu"] * 6
    assert train(params, LocalReport())["policy"] == answer["policy"]


@pytest.mark.numbers
def test_learning_by_trial_ends_when_nobody_wants_it_any_more(tmp_path: Path) -> None:
    report = LocalReport()
    settings = {"lanes": 1024, "passes": 10_000}  # minutes, if nobody asked meanwhile
    params = make_params(tmp_path, algorithm="tabular", hyperparameters=settings)
    timer = threading.Timer(0.5, lambda: setattr(report, "cancelled", True))
    timer.start()
    with pytest.raises(Cancelled):
        train(params, report)
    timer.join()
