"""Stop conditions: their grammar, and when they are met."""

from __future__ import annotations

import math

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.runs.stop_conditions import Term, Watch, parse, parse_all


def test_what_is_written_is_understood() -> None:
    # Spell's own example.
    assert parse("keras/val_acc < .5:2 && walk > 3").terms == (
        Term("keras/val_acc", "<", 0.5, 2),
        Term("walk", ">", 3.0),
    )
    assert parse("loss<=-1e-3").terms == (Term("loss", "<=", -0.001),)
    assert parse("  a name of words   >=  7 : 10 ").terms == (Term("a name of words", ">=", 7, 10),)
    assert str(parse("a<1:2&&b>=3")) == "a < 1:2 && b >= 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loss ~ 3", "Condition loss ~ 3 formatted incorrectly"),
        ("loss == 3", "formatted incorrectly"),
        ("< 3", "formatted incorrectly"),
        ("loss", "formatted incorrectly"),
        ("loss < 3 &&", "formatted incorrectly"),
        ("", "formatted incorrectly"),
        ("loss < much", "Condition must be an integer or float"),
        ("loss < nan", "Condition must be an integer or float"),
        ("loss <", "Condition must be an integer or float"),
        ("loss < 3:x", "Minimum steps must be integer"),
        ("loss < 3:-1", "Minimum steps must be integer"),
        ("loss < 3:1.5", "Minimum steps must be integer"),
    ],
)
def test_what_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse(text)


def test_there_are_five_at_most() -> None:
    assert len(parse_all(["a < 1"] * 5)) == 5
    with pytest.raises(InvalidRequest, match="Maximum of 5 stop_condition arguments allowed"):
        parse_all(["a < 1"] * 6)


def test_any_condition_whose_terms_hold_together_is_enough() -> None:
    watch = Watch(parse_all(["a < 1 && b > 2", "c >= 10:5"]))
    assert watch.metrics == {"a", "b", "c"}
    assert not watch.add("a", 0, 0.5)
    assert not watch.add("a", 1, 3.0)
    assert not watch.add("b", 0, 3.0)  # a is no longer below 1
    assert not watch.add("c", 4, 50.0)  # too early
    assert not watch.add("other", 9, 50.0)
    assert watch.add("a", 2, 0.25)
    assert watch.met == "a < 1 && b > 2 (a is 0.25 at index 2, b is 3 at index 0)"
    assert watch.add("a", 3, 7.0)  # it stays met


def test_what_is_no_number_meets_nothing() -> None:
    watch = Watch(parse_all(["a < 1", "a > 0"]))
    assert not watch.add("a", 0, math.nan)
    assert not watch.add("a", 1, "0.5")
    assert watch.add("a", 2, math.inf)
