"""The `/` language: what each sign means, and that any text is a filter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_tui.models.filter import parse

KINDS = {
    "name": "text",
    "state": "state",
    "reward": "number",
    "size": "bytes",
    "took": "duration",
    "started": "time",
    "cpu": "percent",
}
NOW = 1_800_000_000.0
ROW = {
    "name": "Cart Pole 12",
    "state": "failed",
    "reward": 0.5,
    "size": 3 * 2**20,
    "took": 300.0,
    "started": NOW - 7200,
    "cpu": 0.5,
}


def holds(text: str, row: dict[str, object] | None = None) -> bool:
    return parse(text, KINDS).matches(ROW if row is None else row, now=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cart",
        "CART pole",
        "pole cart",
        '"cart pole"',
        '"art p"',
        "!ready",
        "~crtpl",
        "!~zz",
        "name:pole",
        "name:art",
        'name:"cart p"',
        'name="cart pole 12"',
        "NAME:cart",
        "state=failed",
        "state=FAILED",
        "state!=ready",
        "state:ready|failed",
        "ready|cart",
        "nothing|~crt",
        "!state:ready|done",
        "reward>=0.5",
        "reward<=.5",
        "reward=0.50",
        "reward>-1e3",
        "size>2.5MiB",
        "size=3M",
        "size>100",
        "took>4m",
        "took=5m",
        "took<1h30m",
        "took>250ms",
        "started>1h",
        "started<3h",
        "started<2030-01-01T00:00:00Z",
        "cpu>=50%",
        "cpu<51",
        "cart state:fail reward>0",
    ],
)
def test_these_match(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "card",
        "cart card",
        '"pole cart"',
        "!cart",
        "!cart|ready",
        "~lpc",
        "name:failed",
        "state=fail",
        "state:ready|done",
        "reward>0.5",
        "reward!=0.5",
        "size>3MiB",
        "took<5m",
        "started<2h",
        "started>2030-01-01T00:00:00Z",
        "cpu>50",
        'name=""',
    ],
)
def test_these_do_not(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize("text", ["!", "~", "|", "a|", "state:", "reward>=", '"', "!state:", "||"])
def test_what_is_half_written_hides_nothing(text: str) -> None:
    assert holds(text)
    assert not parse(text, KINDS).problem


def test_where_nothing_is() -> None:
    row: dict[str, object] = {"name": "x", "state": None, "reward": None}
    assert holds('state=""', row)
    assert holds("state!=ready", row)
    assert not holds("state:e", row)
    assert not holds("reward>0", row)
    assert not holds("reward<=0", row)
    assert holds("!reward>0", row)
    assert not holds("none", row), "the absence of a value is not the word None"


def test_what_is_odd_is_told_and_searched_as_text() -> None:
    found = parse("sise>3", KINDS)
    assert "No column is called 'sise'" in found.problem
    assert "name, state" in found.problem
    assert found.matches({"name": "sise>3"})
    assert "'soon' is not a bytes" in parse("size>soon", KINDS).problem
    assert not parse("http://x 12:30", {}).matches({"name": "y"})


def test_letters_of_a_fuzzy_word_come_from_one_cell() -> None:
    assert not holds("~ab", {"name": "xa", "state": "bx"})
    assert holds("~ab", {"name": "x", "state": "a.b"})


def test_a_fuzzy_word_takes_no_time_on_a_text_made_against_it() -> None:
    assert not holds("~" + "a" * 40 + "b", {"name": "a" * 5000})


SIGNS = st.text(st.sampled_from('ab !~:=<>|"\\%5mM.[(*'), max_size=24)
ROWS = st.fixed_dictionaries(
    {
        key: st.one_of(st.none(), st.text(max_size=5), st.integers(), st.floats(), st.booleans())
        for key in KINDS
    }
)


@settings(deadline=None)
@given(st.one_of(st.text(), SIGNS), ROWS)
def test_any_text_is_a_filter(text: str, row: dict[str, object]) -> None:
    for columns in (KINDS, None, {}):
        found = parse(text, columns)
        assert found.text == text
        assert found.matches(row, now=NOW) in (True, False)


@settings(deadline=None)
@given(SIGNS, SIGNS, ROWS)
def test_terms_must_all_hold(one: str, other: str, row: dict[str, object]) -> None:
    if '"' in one + other:
        return
    both = parse(f"{one} {other}", KINDS).matches(row, now=NOW)
    each = [parse(text, KINDS).matches(row, now=NOW) for text in (one, other)]
    assert both == all(each)


@settings(deadline=None)
@given(st.text("ab:=<~|", min_size=1, max_size=8), ROWS)
def test_not_is_the_opposite(term: str, row: dict[str, object]) -> None:
    wanted = parse(term, KINDS)
    if wanted:
        assert parse(f"!{term}", KINDS).matches(row, now=NOW) != wanted.matches(row, now=NOW)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=8).filter(lambda text: '"' not in text))
def test_quoted_text_is_found_as_it_is(text: str) -> None:
    assert holds(f'"{text}"', {"name": f"<{text}>"})
