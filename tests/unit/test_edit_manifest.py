"""A pod is written piece by piece: init, dataspaces, actions, rewards; then it lints clean."""

from __future__ import annotations

import pytest

from spice_engine.errors import Conflict, InvalidRequest
from spice_engine.pods.edit_manifest import NewDataspace, add_action, add_dataspace, add_rewards
from spice_engine.pods.manifest import load_manifest, parse_manifest
from spice_engine.pods.starter import starter


@pytest.mark.parametrize("name", ["trader", "Trader.2", "123", "on", "1e3"])
def test_a_new_manifest_lacks_data_and_actions_only(name: str) -> None:
    text = starter(name, "../.spice/spicepod.schema.json")
    assert text.startswith("# yaml-language-server: $schema=../.spice/spicepod.schema.json\n")
    codes = {problem.code for problem in parse_manifest(text, "x.yaml").problems}
    assert codes == {"no_dataspaces", "no_actions"}
    text = add_dataspace(text, NewDataspace("a/b", {"m": ""}))
    assert load_manifest(add_action(text, "go"), "x.yaml").name == name


def test_a_pod_from_nothing() -> None:
    text = starter("trader", "schema.json").replace("# epoch_time", "epoch_time")
    comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    text = add_dataspace(
        text,
        NewDataspace(
            "market/prices",
            {"close": "", "volume": "traded volume"},
            categories={"session": ["asia", "europe"]},
            identifiers=["exchange"],
            connector="file",
            params={"path": "data/prices.json"},
        ),
    )
    text = add_dataspace(text, NewDataspace("local.portfolio", {"cash": ""}, local=True))
    text = add_dataspace(text, NewDataspace("news/lines", {"mood": ""}))
    for name in ("buy", "sell it: now"):
        text = add_action(text, name)
    text = add_rewards(text, "trader.yaml")
    text = add_action(text, "hold", reward="reward = 0.5")
    assert [line for line in text.splitlines() if line.lstrip().startswith("#")] == comments
    parsed = parse_manifest(text, "trader.yaml")
    assert parsed.problems == ()
    manifest = parsed.manifest
    assert manifest is not None
    assert manifest.fields == (
        "local_portfolio_cash",
        "market_prices_close",
        "market_prices_session-asia",
        "market_prices_session-europe",
        "market_prices_volume",
        "news_lines_mood",
    )
    assert manifest.local_fields == ("local_portfolio_cash",)
    prices, portfolio, news = manifest.dataspaces
    assert prices.data is not None
    assert prices.data.connector is not None
    assert (prices.data.connector.name, prices.data.processor.name) == ("file", "json")
    assert prices.measurements[1].selector == "traded volume"
    assert portfolio.data is None
    assert news.data is not None
    assert news.data.connector is None
    rewards = manifest.training.rewards
    assert isinstance(rewards, dict)
    assert [(name, code.text) for name, code in rewards.items()] == [
        ("buy", "reward = 1"),
        ("sell it: now", "reward = 1"),
        ("hold", "reward = 0.5"),
    ]


def test_old_spellings_are_added_to_as_they_are() -> None:
    text = "name: x\ndatasources:\n  - from: a\n    name: b\nActions:\n  - name: go\n"
    text = add_dataspace(text, NewDataspace("c/d", {"m": ""}))
    text = add_action(text, "stop")
    assert text.count("datasources:") == text.count("Actions:") == 1
    assert "dataspaces" not in text
    assert "\nactions" not in text
    with pytest.raises(Conflict, match="'a/b' is there already"):
        add_dataspace(text, NewDataspace("a/b", {}))
    with pytest.raises(Conflict, match="'stop' is there already"):
        add_action(text, "stop")


@pytest.mark.parametrize("path", ["", "a", "a/b/c", "a b/c", "/"])
def test_a_dataspace_is_named_by_two_words(path: str) -> None:
    with pytest.raises(InvalidRequest, match="is no dataspace"):
        add_dataspace("name: x\n", NewDataspace(path, {}))


def test_local_state_takes_no_connector() -> None:
    with pytest.raises(InvalidRequest, match="local state has no data"):
        add_dataspace("", NewDataspace("a/b", {}, connector="file", local=True))
    with pytest.raises(InvalidRequest, match="none is named"):
        add_dataspace("", NewDataspace("a/b", {}, params={"path": "x"}))


@pytest.mark.parametrize("name", ["", " a", "a\nb", "a\x1b[2J"])
def test_an_action_needs_a_name(name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot name an action"):
        add_action("", name)


def test_rewards_are_added_once() -> None:
    text = "actions:\n  - name: a\ntraining:\n  rewards: uniform # yet\n"
    text = add_rewards(text, "x.yaml")
    assert text == (
        "actions:\n  - name: a\ntraining:\n  rewards: # yet\n"
        "    - reward: a\n      with: reward = 1\n"
    )
    with pytest.raises(Conflict, match="Pod already has rewards defined!"):
        add_rewards(text, "x.yaml")
    with pytest.raises(InvalidRequest, match="Rewards section malformed!"):
        add_rewards("actions:\n  - name: a\ntraining:\n  rewards: even\n", "x.yaml")
    with pytest.raises(Conflict, match="no action yet"):
        add_rewards("name: x\n", "x.yaml")


def test_actions_of_dataspaces_get_rewards_too() -> None:
    text = (
        "dataspaces:\n  - from: a\n    name: b\n    measurements: [{name: m}]\n"
        "    actions: {pay: m -= 1}\nactions: [{name: wait}]\n"
    )
    manifest = load_manifest(add_rewards(text, "x.yaml"), "x.yaml")
    assert isinstance(manifest.training.rewards, dict)
    assert set(manifest.training.rewards) == {"wait", "pay"}


def test_a_reward_needs_a_list_to_go_to() -> None:
    with pytest.raises(InvalidRequest, match="rewards are uniform"):
        add_action("name: x\n", "a", reward="reward = 2")
