"""A search as rows and pictures."""

from __future__ import annotations

from typing import Any

import pytest

from spice_engine.protocol.searches import Importance, SearchInfo, SearchParameter, TrialInfo
from spice_tui.models import search_rows, search_view
from spice_tui.models.world import Keeper

PARAMETERS = [
    SearchParameter("lr", low=1e-4, high=1.0, scale="log"),
    SearchParameter("decay", low=1e-4, high=1.0, scale="reverse_log"),
    SearchParameter("layers", low=1, high=5, type="int"),
    SearchParameter("kind", values=["sum", 1, True, [1]]),
]


def search(**given: Any) -> SearchInfo:
    """A search over four parameters."""
    usual: dict[str, Any] = {
        "id": 3,
        "method": "bayesian",
        "source": "runs",
        "name": "tune",
        "description": "",
        "state": "running",
        "message": "",
        "created": 1.0,
        "ended": None,
        "archived": None,
        "parameters": PARAMETERS,
        "command": ["python train.py"],
        "machine_type": "cpu",
        "pod": "",
        "score": "holdout",
        "trials": 20,
        "parallel": 1,
        "metric": "loss",
        "goal": "min",
        "aggregate": "last",
        "seed": 1,
        "sampler": "tpe",
        "sampler_options": {},
        "pruner": "",
        "pruner_options": {},
        "counts": {"complete": 4, "running": 1},
        "best": None,
    }
    return SearchInfo(**{**usual, **given})


def trial(number: int, value: float | None, state: str = "complete", **given: Any) -> TrialInfo:
    """A trial whose values grow with its number."""
    params = {"lr": 10.0 ** (number - 5), "decay": 0.5, "layers": number, "kind": "sum"}
    return TrialInfo(
        search=3,
        number=number,
        state=state,
        params=params,
        value=value,
        run=number + 10,
        asked=1.0,
        ended=3.0,
        **given,
    )


TRIALS = [
    trial(1, 4.0, why={"by": "chance"}),
    trial(2, 2.0, why={"by": "tpe", "log_ratio": 0.0}),
    trial(3, None, "failed", message="Run 13 ended with exit code 2."),
    trial(4, 3.0),
    trial(5, None, "running"),
]


def test_the_best_so_far_counts_what_has_a_value_and_knows_the_goal() -> None:
    assert search_view.best_so_far(TRIALS, "min") == [(1, 4.0), (2, 2.0), (4, 2.0)]
    assert search_view.best_so_far(TRIALS, "max") == [(1, 4.0), (2, 4.0), (4, 4.0)]


@pytest.mark.parametrize(
    ("name", "value", "at"),
    [
        ("lr", 1e-4, 0.0),
        ("lr", 1e-2, 0.5),
        ("decay", 1.0, 1.0),
        ("decay", 1e-4, 0.0),
        ("layers", 3, 0.5),
        ("kind", "sum", 0.0),
        ("kind", 1, 1 / 3),
        ("kind", True, 2 / 3),
        ("kind", [1], 1.0),
    ],
)
def test_a_value_stands_on_its_axis_by_the_scale(name: str, value: Any, at: float) -> None:
    (one,) = (one for one in PARAMETERS if one.name == name)
    assert search_view.axis_of(one)(value) == pytest.approx(at, abs=1e-9)


def test_trials_are_rows_with_a_column_a_parameter_and_why_they_were_chosen() -> None:
    keys = [column.key for column in search_rows.trial_columns(search())]
    assert keys[3:7] == ["lr", "decay", "layers", "kind"]
    rows = search_rows.trial_rows(search(), TRIALS)
    assert [row.key for row in rows] == ["5", "4", "3", "2", "1"]
    assert rows[3].values["why"] == "tpe l/g 1"
    assert rows[2].values["message"] == "Run 13 ended with exit code 2."
    assert rows[0].values["layers"] == 5


def test_the_pictures_show_curve_axes_and_importance() -> None:
    importance = [Importance("lr", 0.62, -0.8), Importance("kind", 0.0, None)]
    lines = search_view.SearchPictures().lines(search(), TRIALS, importance, 70)
    text = "\n".join(line.text for line in lines)
    for words in ("Best loss so far", "Parallel coordinates", "lr", "0.0001", "62%", "down"):
        assert words in text
    assert all(len(line.text) == len(line.styles) for line in lines)
    assert max(len(line.text) for line in lines) <= 71
    few = search_view.SearchPictures().lines(search(), TRIALS[2:], (), 70)
    assert "Two trials" in few[0].text


def test_searches_stand_among_the_training_runs_and_in_the_world() -> None:
    keeper = Keeper()
    best = {**plain(TRIALS[1])}
    keeper.apply("searches", "snapshot", {"3": {**plain(search()), "best": best}})
    found = keeper.take().searches[3]
    assert found.best == TRIALS[1]
    (row,) = search_rows.as_trainings([found])
    assert (row.key, row.values["score"], row.values["episodes"]) == ("search:3", 2.0, 5)
    assert "trial 2" in search_view.best_words(found)
    assert "5 of 20 trials" in search_view.search_title(found)


def plain(item: Any) -> dict[str, Any]:
    """As it crosses the door."""
    from dataclasses import asdict

    return asdict(item)
