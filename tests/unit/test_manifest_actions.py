"""Actions, the effects they are bound to, and laws."""

from __future__ import annotations

import pytest
from manifest_texts import fixed, messages, problems

from spice_engine.learning.effects import compile_effects
from spice_engine.pods.manifest import load_manifest, parse_manifest
from spice_engine.pods.plan import simulation

TRADER = """\
params: {epoch_time: 1605312000, period: 72h, interval: 6h, granularity: 30m}
dataspaces:
  - from: coinbase
    name: btcusd
    measurements: [{name: close}]
    data:
      connector: {name: file, params: {path: data/btcusd.csv}}
      processor: {name: csv}
  - from: local
    name: portfolio
    measurements: [{name: usd_balance, initializer: 100000}, {name: btc_balance}, {name: price}]
    actions:
      buy: |
        usd_balance -= args.price * args.amount
        btc_balance += args.amount
      sell: |
        usd_balance += coinbase.btcusd.close
        local_portfolio_btc_balance -= 1
    laws:
      - usd_balance >= 0
      - local.portfolio.btc_balance >= 0 or coinbase_btcusd_close < 0
actions:
  - name: small_buy
    do:
      name: local.portfolio.buy
      args: {price: coinbase.btcusd.close, amount: 1}
  - name: large_buy
    do: {name: local.portfolio.buy, args: {price: coinbase_btcusd_close, amount: "10"}}
  - name: hold
"""
LOCAL = "local_portfolio_"


def test_effects_are_bound_to_actions_and_fields() -> None:
    assert messages(TRADER) == {}
    manifest = load_manifest(TRADER, "pod.yaml")
    # Nobody refers to `sell`: it is hoisted, and comes last.
    assert manifest.action_names == ("small_buy", "large_buy", "hold", "sell")
    small, large, hold, sell = manifest.actions
    assert small.effect is not None
    assert large.effect is not None
    assert sell.effect is not None
    assert hold.effect is None
    assert small.effect.args == {"price": "coinbase_btcusd_close", "amount": 1.0}
    assert large.effect.args == {"price": "coinbase_btcusd_close", "amount": 10.0}
    # A measurement that is called as an argument is another thing than the argument.
    assert small.effect.names == {
        "usd_balance": f"{LOCAL}usd_balance",
        "btc_balance": f"{LOCAL}btc_balance",
    }
    assert sell.effect.names == {
        "usd_balance": f"{LOCAL}usd_balance",
        "coinbase.btcusd.close": "coinbase_btcusd_close",
        "local_portfolio_btc_balance": f"{LOCAL}btc_balance",
    }
    assert [law.names for law in manifest.laws] == [
        {"usd_balance": f"{LOCAL}usd_balance"},
        {
            "local.portfolio.btc_balance": f"{LOCAL}btc_balance",
            "coinbase_btcusd_close": "coinbase_btcusd_close",
        },
    ]
    assert manifest.simulated
    assert manifest.local_fields == tuple(
        f"{LOCAL}{one}" for one in ("btc_balance", "price", "usd_balance")
    )


def test_what_was_bound_can_be_run() -> None:
    manifest = load_manifest(TRADER, "pod.yaml")
    plan = simulation(manifest)
    assert plan is not None
    effects = compile_effects(plan, manifest.fields)
    state = dict.fromkeys(manifest.fields, 0.0)
    state |= {"coinbase_btcusd_close": 16000.0, f"{LOCAL}usd_balance": 100000.0}
    before = [state[field] for field in manifest.fields]

    def after(action: str) -> tuple[float, float, bool]:
        got = effects.apply_one(action, before)
        named = dict(zip(manifest.fields, got, strict=True))
        lawful = effects.lawful_one(got)
        return named[f"{LOCAL}usd_balance"], named[f"{LOCAL}btc_balance"], lawful

    assert after("small_buy") == (84000.0, 1.0, True)
    assert after("large_buy") == (-60000.0, 10.0, False)
    assert after("sell") == (116000.0, -1.0, False)
    assert after("hold") == (100000.0, 0.0, True)


def test_an_action_of_the_same_name_is_bound_and_the_fix_says_so() -> None:
    text = TRADER.replace("  - name: hold\n", "  - name: hold\n  - name: sell\n")
    assert problems(text) == ["30:11 warning bound_by_name"]
    parsed = parse_manifest(text, "pod.yaml", {})
    assert parsed.manifest is not None
    assert parsed.manifest.action_names == ("small_buy", "large_buy", "hold", "sell")
    assert parsed.manifest.actions[3].effect is not None
    assert problems(fixed(text, parsed.problems[0])) == []
    flow = TRADER.replace("  - name: hold\n", "  - {name: sell}\n")
    (problem,) = parse_manifest(flow, "pod.yaml", {}).problems
    assert problems(fixed(flow, problem)) == []


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        (
            (", amount: 1}", "}"),
            "local.portfolio.buy | error missing_argument",
            "action 'small_buy' references undefined 'args.amount'",
        ),
        (("  - name: hold", "  - name: buy"), "buy | warning bound_by_name", "do"),
        (("  - name: hold", "  - name: buy"), "buy | error missing_argument", "args.price"),
        (("amount: 1}", "amount: 1, fee: 2}"), "2 | warning unused_argument", "'fee'"),
        (("amount: 1}", "amount: some}"), "some | error unknown_field", "neither"),
        (
            ("price: coinbase.btcusd.close,", "price: coinbase.btcusd.clse,"),
            "coinbase.btcusd.clse | error unknown_field",
            "Did you mean 'coinbase.btcusd.close'",
        ),
        (
            ("local.portfolio.buy\n", "local.portfolio.by\n"),
            "local.portfolio.by | error unknown_effect",
            "Did you mean 'local.portfolio.buy'",
        ),
        (
            (
                "do:\n      name: local.portfolio.buy\n"
                "      args: {price: coinbase.btcusd.close, amount: 1}",
                "do: local.portfolio.buy",
            ),
            "local.portfolio.buy | error wrong_type",
            "{name: local.portfolio.buy}",
        ),
        (
            ("btc_balance += args.amount", "btc_blance += args.amount"),
            "btc_blance | error invalid_datasource_action_expression",
            "btc_balance",
        ),
        (
            ("usd_balance >= 0", "usd_balnce >= 0"),
            "usd_balnce | error invalid_law_expression",
            "usd_balance",
        ),
        (("usd_balance >= 0", "usd_balance = 0"), "u | error invalid_law_expression", ""),
        (
            ("usd_balance += coinbase.btcusd.close", "coinbase.btcusd.close += 1"),
            "coinbase.btcusd.close | warning effect_on_data",
            "one step",
        ),
        (
            ("    laws:\n      - usd_balance >= 0\n      -", "    laws: usd_balance >= 0\n    #"),
            "usd_balance >= 0 | error wrong_type",
            "list",
        ),
        (("buy: |", "sell: |"), "sell | error duplicate_key", "second time"),
    ],
)
def test_one_wrong_thing_about_effects(change: tuple[str, str], expected: str, words: str) -> None:
    assert change[0] in TRADER
    found = messages(TRADER.replace(*change, 1))
    assert expected in found, found
    assert words in found[expected]


def test_one_name_in_two_dataspaces_must_be_said_apart() -> None:
    text = """\
dataspaces:
  - {from: a, name: one, measurements: [{name: x}], actions: {reset: x = 0}}
  - {from: a, name: two, measurements: [{name: x}], actions: {reset: x = 0}}
actions: []
"""
    assert problems(text) == ["3:70 error ambiguous_effect"]
    named = text.replace("actions: []", "actions: [{name: reset}]")
    assert problems(named) == ["4:18 error ambiguous_effect"]
    both = "actions: [{name: reset, do: {name: a.one.reset}}, {name: r2, do: {name: a/two/reset}}]"
    assert problems(text.replace("actions: []", both)) == []


def test_actions_alone_in_a_dataspace_and_without_code() -> None:
    text = """\
dataspaces:
  - {from: a, name: b, measurements: [{name: x}]}
  - from: a
    name: c
    actions:
      raise_it: a_b_x += 1
      wait: ""
      rest:
"""
    assert problems(text) == []
    manifest = load_manifest(text, "pod.yaml")
    effects = {action.name: action.effect for action in manifest.actions}
    assert [name for name, effect in effects.items() if effect] == ["raise_it"]
    assert list(effects) == ["raise_it", "wait", "rest"]


def test_case_of_names_makes_no_difference_as_in_the_original() -> None:
    text = TRADER.replace("local.portfolio.buy\n", "local.portfolio.Buy\n")
    text = text.replace("{price: coinbase.btcusd.close,", "{Price: coinbase.btcusd.close,")
    assert problems(text) == []
    effect = load_manifest(text, "pod.yaml").actions[0].effect
    assert effect is not None
    assert effect.args["price"] == "coinbase_btcusd_close"
