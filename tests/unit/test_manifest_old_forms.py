"""Manifests as people find them: published for earlier versions, or typed from their docs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_texts import all_fixed, fixed, messages, problems

from spice_engine.pods.manifest import load_manifest, parse_manifest
from spice_engine.pods.model import Manifest
from spice_engine.pods.problems import Fix, Problem
from spice_engine.yaml_tree import resolve
from tests.examples import examples

# A trader as versions 0.1 to 0.5 had it: bare keys, fields, prev_state and new_state.
TRADER = """\
name: trader
params:
  epoch_time: 1605312000
  granularity: 30m
  interval: 6h
  period: 72h
  episodes: 10
datasources:
  - datasource:
    from: coinbase
    name: btcusd
    data:
      connector:
        type: file
        params:
          path: data/btcusd.csv
      processor:
        name: csv
    fields:
      - name: close
  - datasource:
    from: local
    name: portfolio
    fields:
      - name: usd_balance
        initializer: 100000
      - name: btc_balance
        initializer: 1
    actions:
      small_buy: |
        usd_balance -= args.price
        btc_balance += 1
      sell: |
        usd_balance += args.price
        btc_balance -= 1
    laws:
      - usd_balance >= 0
      - btc_balance >= 0
actions:
  - name: small_buy
    do:
      name: local.portfolio.small_buy
      args:
        price: coinbase.btcusd.close
  - name: sell
    do:
      name: local.portfolio.sell
      args:
        price: coinbase.btcusd.close
  - name: hold
training:
  reward_init: |
    prev_price = prev_state.coinbase_btcusd_close
    new_price = new_state.coinbase_btcusd_close
  rewards:
    - reward: small_buy
      with: |
        reward = new_price - prev_price
    - reward: sell
      with: |
        reward = prev_price - new_price
    - reward: hold
      with: |
        if new_price - prev_price > 0:
          reward = -0.1
        else:
          reward = 0.1
"""

# Server operations over a database, with variables for what is secret.
SERVEROPS = """\
name: serverops
params: {period: 24h, interval: 10m, granularity: 30s}
dataspaces:
  - from: hostmetrics
    name: cpu
    data:
      connector:
        name: influxdb
        params:
          url: SPICE_INFLUXDB_URL
          org: SPICE_INFLUXDB_ORG
          bucket: SPICE_INFLUXDB_BUCKET
          token: SPICE_INFLUXDB_TOKEN
          measurement: cpu
          field: usage_idle
      processor: {name: flux-csv}
    measurements: [{name: usage_idle, type: number}]
actions: [{name: perform_maintenance}, {name: preload_cache}, {name: do_nothing}]
training:
  reward_init: |
    high_cpu_usage_threshold = 90
    cpu_usage_delta = next_state["hostmetrics_cpu_usage_idle"]
  rewards:
    - reward: perform_maintenance
      with: |
        if cpu_usage_delta > high_cpu_usage_threshold:
          reward = cpu_usage_delta
        else:
          reward = -1
    - reward: preload_cache
      with: reward = 100 - cpu_usage_delta
    - reward: do_nothing
      with: reward = cpu_usage_delta
"""

# The earliest form: the connector is the dataspace's own, its type the form of the data.
EARLIEST = """\
name: metrics
params: {epoch_time: 1605312000}
datasources:
  - datasource:
    from: host
    name: cpu
    connector:
      type: csv
      params:
        path: data/cpu.csv
        time_selector: when
    fields: [{name: idle}]
    tags: [red, "no"]
actions: [{name: go}]
"""


def _load(text: str) -> Manifest:
    parsed = parse_manifest(text, "pod.yaml", {})
    assert parsed.manifest is not None, parsed.problems
    return parsed.manifest


def test_a_published_trader_works_and_its_fixes_make_it_new() -> None:
    found = parse_manifest(TRADER, "pod.yaml", {}).problems
    assert {problem.code for problem in found} == {"old_syntax"}
    old = _load(TRADER)
    assert old.action_names == ("small_buy", "sell", "hold")
    assert [action.effect is not None for action in old.actions] == [True, True, False]
    assert len(old.laws) == 2
    new = all_fixed(TRADER)
    assert problems(new) == []
    assert "datasource" not in new
    assert 'current_state["coinbase_btcusd_close"]' in new
    assert (_load(new).fields, _load(new).action_names) == (old.fields, old.action_names)


def test_published_server_operations() -> None:
    names = ("URL", "ORG", "BUCKET", "TOKEN")
    environment = {f"SPICE_INFLUXDB_{name}": f"http://{name.lower()}" for name in names}
    assert list(messages(SERVEROPS, environment)) == ["number | warning unknown_key"]
    (space,) = load_manifest(SERVEROPS, "pod.yaml", environment).dataspaces
    assert space.data is not None
    assert space.data.connector is not None
    assert space.data.connector.params["token"] == "http://token"
    # Without them it is understood all the same; the feed says what it lacks.
    assert "error" not in " ".join(messages(SERVEROPS, {}))


def test_the_earliest_form() -> None:
    found = messages(EARLIEST)
    assert {key.split(" | ")[1] for key in found} == {"warning old_syntax"}
    (space,) = _load(EARLIEST).dataspaces
    assert space.data is not None
    assert space.data.connector is not None
    assert (space.data.connector.name, dict(space.data.connector.params)) == (
        "file",
        {"path": "data/cpu.csv"},
    )
    assert space.data.processor.name == "csv"
    assert space.data.processor.params == {"time_selector": "when"}
    assert space.tags is not None
    assert space.tags.values == ("red", "no")


@pytest.mark.parametrize(
    "tags", ['[red, "no", 10]', "\n      - red\n      - 'no'\n      - 10\n", "[ red, no, 10 ] # x"]
)
def test_a_list_of_tags_becomes_a_mapping(tags: str) -> None:
    text = f"""\
dataspaces:
  - from: a
    name: b
    tags: {tags}
    measurements: [{{name: x}}]
actions: [{{name: go}}]
"""
    (problem,) = parse_manifest(text, "pod.yaml", {}).problems
    new = fixed(text, problem)
    assert problems(new) == []
    assert _load(new).dataspaces[0].tags is not None
    assert _load(new).fields == _load(text).fields == ("a_b_10", "a_b_no", "a_b_red", "a_b_x")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: trader", "Name: trader"),
        ("  granularity: 30m", "  Granularity: 30m"),
        ("    data:\n", "    DATA:\n"),
        ("datasources:", "DataSources:"),
        ("  reward_init:", "  Reward_Init:"),
    ],
)
def test_the_case_of_keys_is_put_right(old: str, new: str) -> None:
    base = all_fixed(TRADER) if "datasources" not in old else TRADER
    text = base.replace(old, new, 1)
    assert text != base
    codes = [one.split()[-1] for one in problems(text)]
    assert "key_case" in codes
    assert problems(all_fixed(text)) == []
    assert _load(text).fields == _load(base).fields


def test_one_key_in_two_cases_is_there_twice() -> None:
    text = "Name: a\nname: b\ndataspaces: [{from: a, name: b, measurements: [{name: x}]}]\n"
    text += "actions: [{name: go}]\n"
    assert problems(text) == ["1:1 error duplicate_key"]


def test_params_beside_the_name_of_a_connector() -> None:
    text = """\
params: {epoch_time: 1}
dataspaces:
  - from: a
    name: b
    measurements: [{name: x}]
    data:
      connector: {name: file, path: a.csv}
      processor: {name: csv, time_format: rfc3339}
actions: [{name: go}]
"""
    assert list(messages(text)) == ["path | warning old_syntax", "time_format | warning old_syntax"]
    (space,) = _load(text).dataspaces
    assert space.data is not None
    assert space.data.connector is not None
    assert space.data.connector.params == {"path": "a.csv"}
    assert space.data.processor.params == {"time_format": "rfc3339"}


def test_monitors_and_loggers_of_the_original_do_no_harm() -> None:
    text = all_fixed(TRADER) + "monitors: {price: {triggers: [{dataspace: a}]}}\n"
    assert messages(text) == {
        "monitors | warning unsupported": "'monitors' is not supported in this version. "
        "It is ignored."
    }


def test_a_fix_is_an_edit_of_its_own_place() -> None:
    """Every fix of a manifest full of mistakes stands where a text editor can apply it."""
    text = TRADER.replace("episodes: 10", "episode: 10").replace("epoch_time", "epoch_tme")
    fixes = [p.fix for p in parse_manifest(text, "pod.yaml", {}).problems if p.fix]
    lines = text.splitlines()
    assert len(fixes) >= 10
    for fix in fixes:
        assert isinstance(fix, Fix)
        assert 1 <= fix.place.line <= fix.place.end_line <= len(lines)
        assert fix.place.column <= len(lines[fix.place.line - 1]) + 1


_WORDS = [
    "name", "params", "dataspaces", "actions", "training", "rewards", "with", "reward", "do",
    "args", "data", "connector", "processor", "file", "csv", "measurements", "tags", "values",
    "laws", "time", "categories", "hour", "a", "b_c", "a.b.c", "1e9", "-1", "72h", "${X}",
    "SPICE_X", "~", "true", "x += args.y", "reward = 1", "seed_data", "from", "hyperparameters",
    "algorithm", "linear", "reward_tests", "expect", "identifiers", "loggers", "datasource",
    "fields", "&a", "*a", "!!int", "|\n  x\n", "monitors", "reward_funcs", "r.py", "Type", "type",
]  # fmt: skip
_LEAVES = st.sampled_from(_WORDS) | st.text(max_size=6)


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    return str(value)


_TREES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=5)
    ),
    max_leaves=25,
).map(_flow)


@settings(max_examples=examples(200), deadline=None)
@given(_TREES | st.lists(_LEAVES | st.sampled_from(["\n", "  ", "- ", ": "])).map("".join))
def test_no_text_that_looks_like_yaml_raises(text: str) -> None:
    parsed = parse_manifest(text, "pod.yaml", {"X": "y"})
    assert (parsed.manifest is None) == any(p.severity == "error" for p in parsed.problems)
    assert all(isinstance(str(problem), str) for problem in parsed.problems)


_SECTIONS = ("params", "time", "dataspaces", "actions", "training", "monitors")


@settings(max_examples=examples(100), deadline=None)
@given(st.sampled_from(_SECTIONS), st.sampled_from([TRADER, SERVEROPS, EARLIEST]), _TREES)
def test_no_section_breaks_the_reading_of_the_others(
    section: str, base: str, section_text: str
) -> None:
    text = base + f"\n{section}x: 1\n"
    parse_manifest(text.replace(f"{section}x: 1", f"{section}: {section_text}"), "pod.yaml", {})
    parse_manifest(f"{section}: {section_text}\n", "pod.yaml", {})


_PATHS = ("- name: close", "- name: hold", "type: file", "interval: 6h", "- usd_balance >= 0",
          "price: coinbase.btcusd.close", "- reward: hold", "initializer: 1\n")  # fmt: skip


@settings(max_examples=examples(100), deadline=None)
@given(st.sampled_from(_PATHS), _TREES)
def test_no_value_in_a_good_manifest_raises(path: str, value: str) -> None:
    key = path.rstrip("\n").partition(": ")
    new = f"{key[0]}: {value}" if key[1] else f"- {value}"
    parse_manifest(TRADER.replace(path.rstrip("\n"), new, 1), "pod.yaml", {})


def test_problems_are_the_same_each_time() -> None:
    text = TRADER.replace("close", "clse", 1)
    first = parse_manifest(text, "pod.yaml", {}).problems
    assert first == parse_manifest(text, "pod.yaml", {}).problems
    assert all(isinstance(problem, Problem) for problem in first)


@pytest.mark.parametrize(
    ("text", "value"),
    [("010", 10), ("0o10", 8), ("1e3", 1000.0), ("yes", "yes"), ("12:30", "12:30"), ("1_0", "1_0")],
)
def test_numbers_as_yaml_1_2_has_them(text: str, value: object) -> None:
    assert (resolve(text), type(resolve(text))) == (value, type(value))
    pod = f"""\
dataspaces: [{{from: a, name: b, measurements: [{{name: x, initializer: {text}}}]}}]
actions: [{{name: go}}]
"""
    if isinstance(value, str):
        assert list(messages(pod)) == [f"{text} | error invalid_number"]
    else:
        assert _load(pod).dataspaces[0].measurements[0].initializer == value
