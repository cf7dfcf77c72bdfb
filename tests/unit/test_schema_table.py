"""The table of manifest keys: it agrees with the readers, and so do all that is made from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest
import yaml

from spice_engine.pods.feed_kinds import CONNECTORS, PROCESSORS
from spice_engine.pods.json_schema import as_text, json_schema
from spice_engine.pods.manifest import parse_manifest
from spice_engine.pods.reader import Reader
from spice_engine.pods.schema import TABLE, help_for, keys_at, values_at
from spice_engine.pods.schema_params import CONNECTOR_PARAMS, PROCESSOR_PARAMS, SUMMARIES
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, read_tree
from spice_engine.yaml_tree import Sequence as SequenceNode
from tests.conftest import REPOSITORY

EVERYTHING = """\
name: all
params:
  epoch_time: 1605312000
  period: 24h
  interval: 10m
  granularity: 30s
  episodes: 10
  interpolation: true
time:
  categories: [hour]
dataspaces:
  - from: a
    name: b
    seed_data:
      connector: {name: file, params: {path: data/seed.csv, watch: true}}
      processor: {name: csv, params: {time_selector: t, time_format: hex}}
    data:
      connector: {name: http, params: {url: "http://localhost/x"}}
      processor: {name: csv, params: {}}
    identifiers: [{name: host, selector: h}]
    measurements: [{name: m, selector: s, initializer: 1, fill: none}]
    categories: [{name: c, selector: d, values: [x, y]}]
    tags: {selectors: [labels], values: [urgent]}
  - from: local
    name: state
    measurements: [{name: money, initializer: 10}]
    actions: {pay: "money -= args.price"}
    laws: ["money >= 0"]
actions:
  - {name: pay, do: {name: local.state.pay, args: {price: a.b.m}}}
  - {name: wait}
training:
  algorithm: linear
  episodes: 12
  goal: score > 10
  patience: 3
  holdout: 20%
  seed: 1
  features: levels
  confidence: calibrated
  accelerator: cpu
  hyperparameters: {gamma: 0.5}
  loggers: [tensorboard]
  continual: {every: 1h, drift: true, new_rows: 50}
  reward_init: up = next_state["a_b_m"]
  rewards:
    - {reward: pay, with: reward = up}
    - {reward: wait, with: reward = 0}
  reward_tests:
    - {action: pay, current_state: {a_b_m: 1}, next_state: {a_b_m: 2}, expect: 2}
"""

RANGED = """\
name: stove
dataspaces: [{from: room, name: air, data: {}, measurements: [{name: cold}]}]
actions: [{name: heat, range: {from: 0, to: 100, unit: W}}]
training:
  rewards: [{reward: heat, with: reward = action_value}]
"""

OLD_OR_IGNORED = {
    "training_loggers", "datasource", "connector", "processor", "type", "time_selector",
    "time_format",
}  # fmt: skip
"""Keys that readers take for a friendlier finding than 'unknown', where they don't belong."""


def places(node: Node | None, path: str = "") -> dict[tuple[int, int], str]:
    """The path of each mapping of a tree, by where it begins."""
    found: dict[tuple[int, int], str] = {}
    if isinstance(node, MappingNode):
        found[node.place.line, node.place.column] = path
        for key, value in node.entries:
            found |= places(value, f"{path}.{key.text}".removeprefix("."))
    elif isinstance(node, SequenceNode):
        for item in node.items:
            found |= places(item, f"{path}[]")
    return found


def test_the_table_has_just_the_keys_that_the_readers_know(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: dict[tuple[int, int], str] = {}
    known_to_readers: dict[str, set[str]] = {}
    read = Reader.mapping

    def noting(self: Reader, node: Any, what: str, known: tuple[str, ...], **more: Any) -> Any:
        if isinstance(node, MappingNode):
            path = paths[node.place.line, node.place.column]
            known_to_readers.setdefault(path, set()).update(known)
        return read(self, node, what, known, **more)

    monkeypatch.setattr(Reader, "mapping", noting)
    for text in (EVERYTHING, RANGED):
        paths.clear()
        paths.update(places(read_tree(text, "all.yaml")[0]))
        parsed = parse_manifest(text, "all.yaml", {})
        assert [str(problem) for problem in parsed.problems] == []
    free = {"training.hyperparameters"}
    assert known_to_readers.keys() >= {
        "", "params", "time", "dataspaces[]", "dataspaces[].data", "dataspaces[].tags",
        "dataspaces[].measurements[]", "actions[]", "actions[].do", "training",
        "training.rewards[]", "training.reward_tests[]",
    }  # fmt: skip
    for path, known in known_to_readers.items():
        if path.endswith(".params") or path in free:
            continue  # they depend on a name: below
        prefix = f"{path}." if path else ""
        ours = {
            key.name
            for key in TABLE.values()
            if key.path == f"{prefix}{key.name}" and key.name not in ("", "*")
        }
        assert ours <= known, path
        assert known - ours <= OLD_OR_IGNORED, path
    # And each mapping of the table was seen, so that no key of it went unchecked.
    mappings = {key.path.rpartition(".")[0] for key in TABLE.values() if "(" not in key.path}
    unseen = {
        path
        for path in mappings - known_to_readers.keys() - free
        if not any(key.path == f"{path}.*" for key in TABLE.values())
    }
    assert unseen == set()


def test_params_are_those_of_the_connectors_and_processors() -> None:
    for kinds, rows in ((CONNECTORS, CONNECTOR_PARAMS), (PROCESSORS, PROCESSOR_PARAMS)):
        assert {name: set(params) for name, params in rows.items()} == {
            name: set(kind.params) for name, kind in kinds.items()
        }
    assert SUMMARIES.keys() == CONNECTORS.keys() | PROCESSORS.keys()


def test_every_key_has_its_parent_in_the_table_and_a_sentence() -> None:
    for path, key in TABLE.items():
        parent = path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]
        assert not parent or re.sub(r"\([\w-]+\)", "", parent) in TABLE, path
        assert key.meaning.endswith("."), path


@pytest.mark.parametrize(
    "key", [key for key in TABLE.values() if key.values and not key.open], ids=lambda key: key.path
)
def test_listed_values_are_those_that_the_readers_take(key: Any) -> None:
    for value in key.values:
        if value == "tensorboard":
            continue
        text = re.sub(r"hyperparameters: .*", "", EVERYTHING)
        last = key.path.removesuffix("[]").rpartition(".")[2]
        if key.path == "training.rewards":
            text = text.split("  rewards:")[0] + "  rewards: uniform\n"
        elif chosen := re.search(r"hyperparameters\((\w+)\)", key.path):
            text = text.replace(
                "algorithm: linear",
                f"algorithm: {chosen[1]}\n  hyperparameters: {{{last}: {value}}}",
            )
        else:
            text, count = re.subn(
                rf"(?<=\b{last}: )(\[?)[\w ]+?(?=[\]\n}}])", rf"\g<1>{value}", text
            )
            assert count >= 1
        errors = [p for p in parse_manifest(text, "x", {}).problems if p.severity == "error"]
        assert errors == [], (key.path, value)
        wrong = text.replace(f" {value}\n", " nonsense\n").replace(f"[{value}]", "[nonsense]")
        wrong = wrong.replace(f": {value}}}", ": nonsense}")
        if key.path != "training.rewards":
            assert parse_manifest(wrong, "x", {}).manifest is None, (key.path, value)


# -- help and completions


def test_help_is_found_by_the_place_in_the_manifest() -> None:
    fill = help_for(("dataspaces", 3, "measurements", 0, "fill"))
    assert fill is not None
    assert fill.default == "previous"
    path = help_for(("dataspaces", 0, "data", "connector", "params", "path"), "file")
    assert path is not None
    assert path.required
    assert help_for(("dataspaces", 0, "data", "connector", "params", "path"), "http") is None
    effect = help_for(("dataspaces", 0, "actions", "buy"))
    assert effect is not None
    assert effect.type == "code"
    gamma = help_for(("training", "hyperparameters", "gamma"), "fqi")
    assert gamma is not None
    assert gamma.default == "0.9"
    assert help_for(("params", "no_such")) is None


def test_completions_are_the_keys_and_values_of_a_place() -> None:
    assert [key.name for key in keys_at(())][:3] == ["name", "params", "time"]
    names = [key.name for key in keys_at(("dataspaces", 0, "measurements", 1))]
    assert names == ["name", "selector", "initializer", "fill"]
    params = [key.name for key in keys_at(("dataspaces", 0, "data", "connector", "params"), "sql")]
    assert params == ["path", "query"]
    assert keys_at(("dataspaces", 0, "actions")) == ()
    assert keys_at(("no", "such")) == ()
    assert values_at(("time", "categories", 0)) == ("month", "dayofmonth", "dayofweek", "hour")
    assert values_at(("params", "interpolation")) == ("true", "false")
    assert values_at(("name",)) == ()


# -- the JSON Schema

VALIDATOR = jsonschema_rs.Draft202012Validator(json_schema())


def test_the_schema_is_a_schema_and_takes_good_manifests() -> None:
    jsonschema_rs.meta.validate(json_schema())
    assert as_text().endswith("}\n")
    texts = [EVERYTHING]
    texts += [path.read_text() for path in REPOSITORY.glob("sample_pods/*/spicepods/*.yaml")]
    assert len(texts) > 1
    for text in texts:
        errors = [str(error) for error in VALIDATOR.iter_errors(yaml.safe_load(text))]
        assert errors == []


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"nme": "x"}, "nme"),
        ({"params": {"period": "1 day"}}, "1 day"),
        ({"params": {"episodes": "many"}}, "many"),
        ({"time": {"categories": ["week"]}}, "week"),
        ({"training": {"rewards": "even"}}, "rewards"),
        ({"training": {"algorithm": "linear", "hyperparameters": {"trees": 2}}}, "trees"),
        ({"training": {"hyperparameters": {"strongest": 2}}}, "strongest"),
        ({"dataspaces": [{"from": "a"}]}, "name"),
        ({"dataspaces": [{"from": "a", "name": "b", "data": {
            "connector": {"name": "file", "params": {"pth": "x"}}}}]}, "pth"),
        ({"dataspaces": [{"from": "a", "name": "b", "data": {
            "connector": {"name": "file"}}}]}, "params"),
    ],
)  # fmt: skip
def test_the_schema_refuses_what_lint_would_find(change: Mapping[str, Any], at: str) -> None:
    errors = list(VALIDATOR.iter_errors({**yaml.safe_load(EVERYTHING), **change}))
    assert errors
    assert any(at in f"{error.message} {error.instance_path}" for error in errors)


def test_third_parties_connectors_and_variables_are_taken() -> None:
    data = yaml.safe_load(EVERYTHING)
    data["params"]["period"] = "${PERIOD}"
    data["params"]["episodes"] = "${EPISODES}"
    data["dataspaces"][0]["data"] = {"connector": {"name": "flight", "params": {"any": "x"}}}
    assert list(VALIDATOR.iter_errors(data)) == []
