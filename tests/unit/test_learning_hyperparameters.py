"""Hyperparameters are checked by name, type and bounds, and every algorithm has them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.learning.catalog import ALGORITHMS
from spice_engine.learning.hyperparameters import HYPERPARAMETERS, Fqi, parse


def test_every_algorithm_has_hyperparameters_that_say_what_they_mean() -> None:
    assert set(ALGORITHMS) == set(HYPERPARAMETERS)
    for algorithm, kind in HYPERPARAMETERS.items():
        assert ALGORITHMS[algorithm].id == algorithm
        assert ALGORITHMS[algorithm].name
        assert ALGORITHMS[algorithm].summary.endswith(".")
        for field in dataclasses.fields(kind):
            assert field.metadata["meaning"].endswith(".")
            assert field.metadata["low"] <= field.default <= field.metadata["high"]
        # Each bound itself is allowed.
        for end in ("low", "high"):
            parse(algorithm, {f.name: f.metadata[end] for f in dataclasses.fields(kind)})


def test_defaults_and_what_is_given() -> None:
    assert parse("fqi", {}) == Fqi()
    assert parse("fqi", {"max_depth": 3.0, "gamma": 1}) == Fqi(max_depth=3, gamma=1.0)


@pytest.mark.parametrize(
    ("algorithm", "given", "message"),
    [
        ("dqn", {}, "dqn not found"),
        ("fqi", {"depth": 3}, "no hyperparameter 'depth'"),
        ("fqi", {"max_depth": 2.5}, "must be a whole number"),
        ("fqi", {"max_depth": True}, "must be a whole number"),
        ("fqi", {"gamma": "much"}, "must be a number"),
        ("fqi", {"gamma": float("nan")}, "must be a number"),
        ("fqi", {"gamma": 1.1}, "allowed is 0 to 1"),
        ("linear", {"strongest": -1}, "allowed is"),
    ],
)
def test_what_is_wrong_is_refused(algorithm: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse(algorithm, given)
