"""The filters of tracking clients: their grammar, and what they let through."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest
from spice_engine.runs.tracking_filter import (
    EXPERIMENTS,
    RUNS,
    Clause,
    Name,
    like,
    parse,
    parse_order,
)
from spice_engine.runs.tracking_pages import Page, offset_of, page_of, sorted_by
from spice_engine.runs.tracking_points import Sent, Times, moment_of, seconds_of
from tests.examples import examples

plain = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}(\.[A-Za-z0-9_]{1,5})?", fullmatch=True)
odd = st.text(st.characters(exclude_characters="`\0", exclude_categories=("Cs",)), min_size=1)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def clauses(draw: st.DrawFn) -> tuple[str, Clause]:
    """A comparison as text, and what it is."""
    kind = draw(st.sampled_from(["metric", "param", "tag"]))
    key, quoted = draw(st.one_of(plain.map(lambda k: (k, k)), odd.map(lambda k: (k, f"`{k}`"))))
    prefix = draw(st.sampled_from([kind, f"{kind}s"]))
    name = Name(kind, key)
    if kind == "metric":
        sign, value = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="])), draw(numbers)
        return f"{prefix}.{quoted} {sign} {value!r}", Clause(name, sign, value)
    if draw(st.booleans()):
        sign = draw(st.sampled_from(["IS NULL", "IS NOT NULL"]))
        return f"{prefix}.{quoted} {sign.lower()}", Clause(name, sign, None)
    sign, text = draw(st.sampled_from(["=", "!=", "LIKE", "ILIKE"])), draw(texts)
    mark = draw(st.sampled_from("'\""))
    return f"{prefix}.{quoted} {sign} {mark}{text.replace(mark, mark * 2)}{mark}", Clause(
        name, sign, text
    )


@settings(max_examples=examples(40))
@given(st.lists(clauses(), min_size=1, max_size=4), st.sampled_from([" AND ", " and ", "\nAnd\t"]))
def test_a_filter_is_read_as_it_was_written(wanted: list[tuple[str, Clause]], joint: str):
    assert parse(joint.join(text for text, _ in wanted), RUNS) == tuple(c for _, c in wanted)


@given(st.text())
def test_any_text_is_read_or_refused(text: str):
    for grammar in (RUNS, EXPERIMENTS):
        with contextlib.suppress(InvalidRequest):
            parse(text, grammar)


@given(
    st.text(st.sampled_from("ab_%"), max_size=8),
    st.text(st.sampled_from("abAB\n"), max_size=12),
)
def test_like_is_that_of_sql(pattern: str, text: str):
    connection = sqlite3.connect(":memory:")
    (fold,) = connection.execute("SELECT ? LIKE ?", (text, pattern)).fetchone()
    assert like(text, pattern, fold=True) == bool(fold)
    connection.execute("PRAGMA case_sensitive_like = ON")
    (exact,) = connection.execute("SELECT ? LIKE ?", (text, pattern)).fetchone()
    assert like(text, pattern, fold=False) == bool(exact)
    connection.close()


def test_a_long_pattern_takes_no_long_time():
    assert not like("a" * 8000, "%a" * 500 + "%b", fold=False)


@pytest.mark.parametrize(
    ("text", "sign", "value", "found", "holds"),
    [
        ("metrics.a > 0.5", ">", 0.5, 0.6, True),
        ("metrics.a = 1e3", "=", 1000.0, 1000.0, True),
        ("metric.a <> -1", "!=", -1.0, None, False),
        ("metrics.a < 1", "<", 1.0, float("nan"), False),
        ('params."a b" = "x"', "=", "x", "x", True),
        ("status IN ('FINISHED')", "", "", "", False),
        ("run_id NOT IN ('a', 'b')", "NOT IN", ("a", "b"), "c", True),
        ("attributes.`run name` LIKE 'x%'", "LIKE", "x%", "xy", True),
        ("created >= 5", ">=", 5.0, 5, True),
        ("datasets.name = 'd'", "=", "d", ("c", "d"), True),
        ("tags.a IS NULL", "IS NULL", None, None, True),
    ],
)
def test_what_a_comparison_lets_through(
    text: str, sign: str, value: object, found: object, holds: bool
):
    if not sign:
        with pytest.raises(InvalidRequest):
            parse(text, RUNS)
        return
    (clause,) = parse(text, RUNS)
    assert (clause.sign, clause.value) == (sign, value)
    assert clause.holds(found) is holds


@pytest.mark.parametrize(
    "text",
    [
        "metrics.a",
        "metrics.a > 'x'",
        "metrics.a LIKE 'x'",
        "params.a > 'x'",
        "params.a = 1",
        "nothing.a = 1",
        "colour = 'x'",
        "metrics.a > 1 OR metrics.a < 0",
        "metrics.a > 1 metrics.b > 1",
        "metrics.a > 1 AND",
        "(metrics.a > 1)",
        "run_id IN ()",
        "run_id IN ('a'",
        "metrics.a IS NULL",
        "params.a = 'open",
        "start_time = 'x'",
        "x; DROP TABLE runs",
    ],
)
def test_what_is_no_filter_is_refused(text: str):
    with pytest.raises(InvalidRequest):
        parse(text, RUNS)


def test_orders_put_what_is_not_there_last():
    values = {"a": 2.0, "b": float("nan"), "c": None, "d": 1.0}
    for text, wanted in (("metrics.x", "dabc"), ("metrics.x DESC", "adbc"), ("`created` asc", "")):
        order = parse_order(text, RUNS)
        if wanted:
            found = sorted_by(list("abcd"), [order], lambda one, _: values[one])
            assert "".join(found) == wanted
        else:
            assert (order.name.key, order.ascending) == ("start_time", True)
    with pytest.raises(InvalidRequest):
        parse_order("metrics.x SIDEWAYS", RUNS)


@given(st.integers(0, 30), st.integers(1, 10))
def test_pages_hold_each_result_once(count: int, size: int):
    seen: list[int] = []
    token = ""
    while True:
        page: Page[int] = page_of(iter(range(count)), offset_of(token), size)
        seen += page.items
        token = page.token
        if not token:
            break
    assert seen == list(range(count))


@given(
    st.integers(0, 2**42),
    st.lists(st.sampled_from([1.0, 2.0, 3.0, float("nan")]), min_size=1, max_size=8),
)
def test_points_of_one_moment_are_kept_apart(moment: int, values: list[float]):
    rows = Times().rows("runs/1", [Sent("a", value, moment, 4) for value in values])
    assert len({repr(value) for value in values}) == len(rows) == len({row[3] for row in rows})
    assert {moment_of(row[3]) for row in rows} == {moment}
    assert rows[0][3] == seconds_of(moment)
