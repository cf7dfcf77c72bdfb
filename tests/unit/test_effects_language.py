"""Effects and laws do what Python does, over columns, on one state, and after a policy file."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import msgpack
import numpy as np
import pytest
from formula_programs import NUMBERS, bits, programs, values
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spice_engine.errors import IncompatibleVersion
from spice_engine.learning.effect_check import check_effects
from spice_engine.learning.effects import Effects, InvalidEffect, InvalidLaw, compile_effects
from spice_engine.learning.source import Finding, Source
from tests.examples import examples

FIELDS = ["coinbase_btcusd_close", "local_portfolio_btc", "local_portfolio_usd"]
NAMES = {
    "usd": "local_portfolio_usd",
    "btc": "local_portfolio_btc",
    "coinbase.btcusd.close": "coinbase_btcusd_close",
    "coinbase_btcusd_close": "coinbase_btcusd_close",
}
BUY = "usd -= args.price * args.amount\nbtc += args.amount"
LAWS = ("usd >= 0", "btc >= 0")


def code(text: str, line: int = 10, column: int = 9) -> Source:
    return Source(text, "pod.yaml", line, column)


def simulation(
    effects: dict[str, str], laws: tuple[str, ...] = LAWS, args: dict[str, Any] | None = None
) -> dict[str, Any]:
    given_args = {"price": "coinbase_btcusd_close", "amount": 1} if args is None else args
    return {
        "local": FIELDS[1:],
        "initial": {"local_portfolio_btc": 1.0, "local_portfolio_usd": 100_000.0},
        "effects": {
            name: {"code": code(text).as_dict(), "names": NAMES, "args": given_args}
            for name, text in effects.items()
        },
        "laws": [{"code": code(law, 40, 5).as_dict(), "names": NAMES} for law in laws],
    }


def compiled(effects: dict[str, str], laws: tuple[str, ...] = LAWS, **more: Any) -> Effects:
    return compile_effects(simulation(effects, laws, **more), FIELDS, ["hold", *effects])


def findings(text: str, law: str = "usd >= 0") -> list[Finding]:
    args = {"price": "coinbase_btcusd_close"}
    return list(check_effects({"go": (code(text), NAMES, args)}, [(code(law, 40, 5), NAMES)]))


def test_an_effect_changes_its_fields_and_nothing_else() -> None:
    effects = compiled({"buy": BUY})
    states = np.array([[100.0, 1.0, 250.0], [300.0, 1.0, 250.0]])
    after = effects.apply("buy", states)
    assert after.tolist() == [[100.0, 2.0, 150.0], [300.0, 2.0, -50.0]]
    assert states.tolist() == [[100.0, 1.0, 250.0], [300.0, 1.0, 250.0]]
    assert effects.lawful(states, after).tolist() == [True, False]
    assert [effects.lawful_one(row) for row in after.tolist()] == [True, False]
    assert effects.written("buy") == (1, 2)
    assert effects.actions == {"buy"}
    assert effects.move("buy")([300.0, 1.0, 250.0]) is None
    assert effects.move("buy")([100.0, 1.0, 250.0]) == [100.0, 2.0, 150.0]


def test_an_action_without_an_effect_changes_nothing() -> None:
    effects = compiled({"buy": BUY})
    states = np.array([[100.0, 1.0, -5.0]])
    for action in ("hold", 0):
        assert effects.apply(action, states).tolist() == states.tolist()
        assert effects.apply_one(action, [100.0, 1.0, -5.0]) == [100.0, 1.0, -5.0]
        assert effects.written(action) == ()
    assert effects.written(1) == (1, 2)


def test_variables_conditions_and_dotted_names() -> None:
    text = (
        "'''Buys what can be paid.'''\n"
        "price = coinbase.btcusd.close\n"
        "if usd >= price and not price <= 0:\n"
        "  usd, btc = usd - price, btc + 1\n"
        "elif usd > 0:\n"
        "  btc += usd / price; usd = 0\n"
        "else:\n"
        "  pass\n"
    )
    effects = compiled({"buy": text})
    states = [[100.0, 1.0, 250.0], [100.0, 1.0, 50.0], [100.0, 1.0, 0.0]]
    want = [[100.0, 2.0, 150.0], [100.0, 1.5, 0.0], [100.0, 1.0, 0.0]]
    assert effects.apply("buy", np.array(states)).tolist() == want
    assert effects.apply("buy", np.array(states * 10)).tolist() == want * 10
    assert [effects.apply_one("buy", state) for state in states] == want


def grows_too_large(effects: Effects, state: list[float]) -> bool:
    """Whether integers grow beyond what effects may use, where Python would go on."""
    try:
        effects.apply_one("go", state)
    except InvalidEffect as error:
        return "the integer is too large" in error.message
    return False


STATES = st.lists(st.lists(values(), min_size=3, max_size=3), min_size=1, max_size=30)


@settings(deadline=None, max_examples=examples(150))
@given(programs(["usd", "btc", "coinbase.btcusd.close", "args.x"], ["usd", "btc", "v"]), STATES)
def test_columns_and_interpreter_are_plain_python(text: str, states: list[list[float]]) -> None:
    args = {"x": 2.5}
    effects = compiled({"go": f"v = 0\n{text}\nusd = v"}, (), args=args)
    stored = Effects.from_data(msgpack.unpackb(msgpack.packb(effects.to_data())))
    plain = f"v = 0\n{text}\nusd = v".replace("coinbase.btcusd.close", "coinbase_btcusd_close")
    program = compile(plain.replace("args.x", "2.5"), "<test>", "exec")
    want: list[Any] = []
    for close, btc, usd in states:
        names: dict[str, Any] = {"coinbase_btcusd_close": close, "btc": btc, "usd": usd}
        try:
            exec(program, {"math": math}, names)
            want.append([names["coinbase_btcusd_close"], float(names["btc"]), float(names["usd"])])
        except (ArithmeticError, ValueError, TypeError, NameError):
            want.append(None)
    for state, expected in zip(states, want, strict=True):
        assume(not grows_too_large(effects, state))
        for one in (effects, stored):
            if expected is None:
                with pytest.raises(InvalidEffect):
                    one.apply_one("go", state)
            else:
                assert bits(one.apply_one("go", state)) == bits(expected)
    table = np.array(states)
    if None in want:
        with pytest.raises(InvalidEffect):
            effects.apply("go", table)
        table = table[[expected is not None for expected in want]]
    for one in (effects, stored):
        got = one.apply("go", table)
        assert bits(got.ravel().tolist()) == bits([x for row in want if row for x in row])


@settings(deadline=None, max_examples=examples(100))
@given(programs(["usd", "btc"], [], expression=True), STATES)
def test_laws_are_plain_python(law: str, states: list[list[float]]) -> None:
    effects = compiled({"go": "usd += 1"}, ("usd == usd", law))
    program = compile(law, "<test>", "eval")
    want: list[bool | None] = []
    for _, btc, usd in states:
        try:
            held = not math.isnan(usd) and bool(
                eval(program, {"math": math}, {"btc": btc, "usd": usd})
            )
            want.append(held)
        except (ArithmeticError, ValueError, TypeError):
            want.append(None)
    table = np.array(states)
    for state, expected in zip(states, want, strict=True):
        if expected is None:
            with pytest.raises(InvalidLaw):
                effects.lawful_one(state)
        else:
            assert effects.lawful_one(state) is expected
    if None in want:
        with pytest.raises(InvalidLaw):
            effects.lawful(table, table)
    else:
        assert effects.lawful(table, table).tolist() == want


@pytest.mark.parametrize("count", [1, 100])
def test_errors_name_the_place(count: int) -> None:
    effects = compiled({"go": "x = 2\nusd = x / btc"}, ("usd >= 0", "1 / usd > 0"))
    states = np.array([[1.0, 1.0, 1.0]] * count)
    states[-1, 1] = 0.0
    with pytest.raises(InvalidEffect, match="ZeroDivisionError") as caught:
        effects.apply("go", states)
    assert caught.value.code == "invalid_datasource_action_expression"
    assert str(caught.value.place) == "pod.yaml:11:15"
    assert "'go'" in caught.value.message
    states[-1, 2] = 0.0
    with pytest.raises(InvalidLaw, match="ZeroDivisionError") as caught:
        effects.lawful(states, states)
    assert caught.value.code == "invalid_law_expression"
    assert str(caught.value.place) == "pod.yaml:40:5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("if btc > 9:\n  v = 1\nusd = v", "'v' has no value"),
        ("usd = (btc - 9) ** 0.5", "complex"),
        ("usd = 10 ** 16" + "\nusd = usd * usd" * 5, "too large"),
        ("usd = math.sqrt(-1)", "math domain"),
        ("usd = round(5, -10 ** 9)", "digits"),
        ("v = 10 ** 16" + "\nv = v * v" * 40 + "\nusd = 1", "too large"),
    ],
)
@pytest.mark.parametrize("count", [1, 100])
def test_what_gives_no_number_is_refused(text: str, words: str, count: int) -> None:
    effects = compiled({"go": text}, ())
    with pytest.raises(InvalidEffect, match=words) as caught:
        effects.apply("go", np.ones((count, 3)))
    assert caught.value.place is not None
    assert caught.value.place.line >= 10


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("usd_balence -= 1", (10, 9), "'usd_balence' is no"),
        ("usdd = 1", (10, 9), "nothing reads it"),
        ("usd = usdd", (10, 15), "not defined"),
        ("usd -= args.prize", (10, 16), "'prize' is not given"),
        ("args.price = 1\nusd = 1", (10, 9), "cannot be assigned"),
        ("coinbase.btcusd.cloze = 1\nusd = 1", (10, 9), "no field"),
        ("for i in range(3):\n  usd = 1", (10, 9), "loops"),
        ("while 1:\n  usd = 1", (10, 9), "'while'"),
        ("import os\nusd = 1", (10, 9), "imports"),
        ("usd = usd.__class__", (10, 15), "not defined"),
        ("usd = (1).real", (10, 15), "attributes"),
        ("usd = 'a'", (10, 15), "not one"),
        ("usd = f'{btc}'", (10, 15), "strings"),
        ("usd = [1][0]", (10, 15), "Subscript"),
        ("usd = 2 ** btc", (10, 20), "exponent"),
        ("usd = open(1)", (10, 15), "'open' is not allowed"),
        ("usd = math.factorial(9)", (10, 15), "not allowed"),
        ("usd = max(btc)", (10, 15), "two numbers"),
        ("usd = math.floor", (10, 15), "call it"),
        ("usd = ~1", (10, 15), "'~'"),
        ("usd = 1 << 3", (10, 15), "LShift"),
        ("usd = 1 if btc is None else 2", (10, 20), "compares by"),
        ("usd = (v := 1)", (10, 16), "':='"),
        ("usd = 9223372036854775808", (10, 15), "too large"),
        ("usd =", (10, 14), "valid Python"),
        ("usd, btc = 1", (10, 9), "as many names"),
    ],
)
def test_what_is_not_allowed_is_found_in_its_place(
    text: str, place: tuple[int, int], words: str
) -> None:
    found = findings(text)
    assert any(
        one.severity == "error"
        and one.code == "invalid_datasource_action_expression"
        and (one.place.line, one.place.column) == place
        and words in one.message
        for one in found
    ), found
    with pytest.raises(InvalidEffect):
        compiled({"go": text}, ())


@pytest.mark.parametrize(
    ("law", "column", "words"),
    [
        ("usd = 1", 5, "one expression"),
        ("usd >= 0; btc >= 0", 5, "one expression"),
        ("usd_balance >= 0", 5, "'usd_balance' is not defined"),
        ("args.price > 0", 5, "'price' is not given"),
        ("  usd >= nope", 14, "'nope'"),
        ("", 5, "one expression"),
    ],
)
def test_what_is_no_law_is_found_in_its_place(law: str, column: int, words: str) -> None:
    (found,) = findings("usd = 1", law)
    assert (found.code, found.severity) == ("invalid_law_expression", "error")
    assert (found.place.line, found.place.column) == (40, column)
    assert words in found.message
    with pytest.raises(InvalidLaw):
        compiled({"go": "usd = 1"}, (law,))


def test_hints_and_warnings() -> None:
    assert findings("uds = 1\nusd = 1")[0].hint == "Did you mean 'usd'?"
    assert findings("usd = coinbase.btcusd.clos")[0].hint == (
        "Did you mean 'coinbase.btcusd.close'?"
    )
    assert [one.severity for one in findings("v = 1\nv + 1")] == ["warning"]
    assert [one.code for one in findings("print(usd)\nusd = 1")] == ["ignored_print"]
    assert findings(BUY.replace("args.amount", "1")) == []


@given(
    st.recursive(
        st.sampled_from(["set", "get", "number", "call", "operator", "**", "v", 1, 99, 2.5, None]),
        lambda inner: st.lists(inner, max_size=5),
        max_leaves=20,
    )
)
def test_no_data_breaks_the_reader(data: Any) -> None:
    base = compiled({"go": "usd = 1"}).to_data()
    for broken in (data, {**base, "effects": [["go", "f", data]]}, {**base, "laws": [["f", data]]}):
        with suppress(IncompatibleVersion):
            Effects.from_data(broken)


def test_data_that_could_do_harm_is_refused() -> None:
    base = compiled({"go": "usd = 1"}).to_data()
    at = [1, 1, 1, 1]
    deep: Any = ["number", 1]
    for _ in range(400):
        deep = ["unary", at, "-", deep]
    for value in (
        deep,
        ["call", at, "math.factorial", [["number", 9]]],
        ["call", at, "exec", [["number", 9]]],
        ["call", at, "math.__loader__", []],
        ["operator", at, "**", ["number", 9], ["get", at, 1]],
        ["operator", at, "**", ["number", 9], ["number", 1e9]],
        ["get", at, 3],
        ["get", at, -1],
        ["get", at, "a b"],
        ["and", []],
        ["and", [["number", 1]] * 50_000],
    ):
        with pytest.raises(IncompatibleVersion):
            Effects.from_data({**base, "effects": [["go", "f", [["set", [value], [[1]]]]]]})
    with pytest.raises(IncompatibleVersion):
        Effects.from_data({**base, "version": 2})


def test_numbers_used_by_the_programs_are_awkward() -> None:
    assert any(math.isnan(number) for number in NUMBERS)
    assert any(math.isinf(number) for number in NUMBERS)
