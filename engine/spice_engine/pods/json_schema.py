"""The table of keys as a JSON Schema (draft 2020-12), for editors with a YAML language server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from spice_engine.pods.schema import TABLE
from spice_engine.pods.schema_keys import Key

FILE = "spicepod.schema.json"
"""The schema's name, wherever it is written."""

Schema = dict[str, Any]

_VARIABLE = r"\$\{\w+\}"
_DURATION = rf"^(\s*[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d))+\s*$|^0$|{_VARIABLE}"
_SHARE = rf"^\s*(\d+\.?\d*|\.\d+)\s*%?\s*$|{_VARIABLE}"
_NUMBER = rf"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$|{_VARIABLE}"
_SPECIAL = re.compile(r"(connector|processor|hyperparameters)\(([\w-]+)\)")


def _either(kind: str, pattern: str) -> Schema:
    """A value of its own kind, or a text that reads as one: scalars are weakly typed."""
    return {"anyOf": [{"type": kind}, {"type": "string", "pattern": pattern}]}


_TYPES: Mapping[str, Schema] = {
    "text": {"type": ["string", "number", "boolean"]},
    "value": {"type": ["string", "number"]},
    "number": _either("number", _NUMBER),
    "integer": _either("integer", _NUMBER),
    "duration": {"type": "string", "pattern": _DURATION},
    "time": {"type": ["integer", "string"]},
    "flag": {
        "anyOf": [
            {"type": "boolean"},
            {"type": "string", "pattern": rf"^([Tt]rue|[Ff]alse|TRUE|FALSE)$|{_VARIABLE}"},
        ]
    },
    "share": _either("number", _SHARE),
    "code": {"type": ["string", "number", "boolean"]},
    "condition": {"type": "string"},
}


def json_schema() -> Schema:
    """The schema of a manifest, as plain data."""
    root: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Spicepod",
        "description": "A Spicepod's manifest: data, actions and rewards.",
        **_closed_mapping(),
    }
    for key in TABLE.values():
        if not _SPECIAL.search(key.path):
            _add(root, key)
    space = root["properties"]["dataspaces"]["items"]["properties"]
    feed = space["data"]
    for what in ("connector", "processor"):
        _choose_params(feed["properties"][what], f"dataspaces[].data.{what}")
    root["$defs"] = {"feed": {key: feed[key] for key in feed if key != "description"}}
    for name in ("data", "seed_data"):
        space[name] = {"description": space[name]["description"], "$ref": "#/$defs/feed"}
    _choose_hyperparameters(root["properties"]["training"])
    rewards = root["properties"]["training"]["properties"]["rewards"]
    described = {name: rewards.pop(name) for name in ("description", "default")}
    root["properties"]["training"]["properties"]["rewards"] = {
        **described,
        "anyOf": [{"const": "uniform"}, rewards],
    }
    return root


def as_text() -> str:
    """The schema as it is written to files."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _closed_mapping() -> Schema:
    return {"type": "object", "properties": {}, "additionalProperties": False}


def _add(root: Schema, key: Key) -> None:
    """Put a key's schema where its path leads; its parents are there already."""
    *parents, last = key.path.replace("[]", ".[]").split(".")
    node = root
    for step in parents:
        node = cast("Schema", node["items"] if step == "[]" else node["properties"][step])
    if last == "[]":
        node["items"] = _schema_of(key)
    elif last == "*":
        node["additionalProperties"] = _nullable(_schema_of(key))
    else:
        node["properties"][last] = _schema_of(key)
        if key.required:
            node.setdefault("required", []).append(last)


def _schema_of(key: Key) -> Schema:
    schema: Schema = {"description": key.meaning.replace("`", "")}
    if key.default:
        schema["default"] = _typed(key.default)
    if key.type == "mapping":
        return {**schema, **_closed_mapping()}
    if key.type == "list":
        return {**schema, "type": "array"}
    if key.example:
        schema["examples"] = [_typed(key.example)]
    if key.values and key.open:
        return {**schema, "anyOf": [{"enum": list(key.values)}, {"type": "string"}]}
    if key.values:
        return {**schema, "enum": list(key.values)}
    return {**schema, **_TYPES[key.type]}


def _nullable(schema: Schema) -> Schema:
    """An action of a dataspace may have no code."""
    kinds = schema.get("type")
    return {**schema, "type": [*kinds, "null"]} if isinstance(kinds, list) else schema


def _typed(text: str) -> Any:
    """A default or example as JSON has it."""
    if text in ("true", "false"):
        return text == "true"
    return (
        float(text)
        if re.fullmatch(r"-?\d+\.\d+", text)
        else (int(text) if re.fullmatch(r"-?\d+", text) else text.strip("'"))
    )


def _special(prefix: str) -> dict[str, list[Key]]:
    """The keys that only one choice has, by the choice: `prefix(name)`."""
    found: dict[str, list[Key]] = {}
    for key in TABLE.values():
        match = _SPECIAL.search(key.path)
        if match and key.path[: match.start()] + match[1] == prefix:
            found.setdefault(match[2], []).append(key)
    return found


def _choose_params(part: Schema, prefix: str) -> None:
    """The params of a connector or processor depend on its name; a third party's are free."""
    part["properties"]["params"].pop("additionalProperties")
    rules: list[Schema] = []
    part["allOf"] = rules
    for name, keys in _special(prefix).items():
        params = _closed_mapping()
        for key in keys:
            params["properties"][key.name] = _schema_of(key)
        required = [key.name for key in keys if key.required]
        then: Schema = {"properties": {"params": params}}
        if required:
            params["required"] = required
            then["required"] = ["params"]
        rules.append({"if": _named("name", name), "then": then})


def _choose_hyperparameters(training: Schema) -> None:
    """The hyperparameters depend on the algorithm, which is `auto` where none is written."""
    training["properties"]["hyperparameters"].pop("additionalProperties")
    rules: list[Schema] = []
    training["allOf"] = rules
    for name, keys in _special("training.hyperparameters").items():
        schema = _closed_mapping()
        for key in keys:
            schema["properties"][key.name] = _schema_of(key)
        chosen = _named("algorithm", name)
        if name == "auto":
            chosen = {"anyOf": [chosen, {"not": {"required": ["algorithm"]}}]}
        rules.append({"if": chosen, "then": {"properties": {"hyperparameters": schema}}})


def _named(key: str, value: str) -> Schema:
    return {"properties": {key: {"const": value}}, "required": [key]}
