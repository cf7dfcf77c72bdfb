"""YAML text to a manifest, with every problem in it noted at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import NamedTuple

from spice_engine.errors import InvalidRequest, Place
from spice_engine.pods.checks import check
from spice_engine.pods.model import Action, Manifest, Params
from spice_engine.pods.problems import Fix, Problem, Severity, in_order, raise_if_errors
from spice_engine.pods.read_dataspaces import read_dataspaces
from spice_engine.pods.read_training import read_training
from spice_engine.pods.reader import Reader
from spice_engine.pods.yaml_tree import Mapping as MappingNode
from spice_engine.pods.yaml_tree import Node, Scalar, YamlError, read_tree
from spice_engine.pods.yaml_tree import Sequence as SequenceNode
from spice_engine.units import parse_time

__all__ = ["Manifest", "Parsed", "load_manifest", "parse_manifest"]

MAX_EPISODES = 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_KEYS = ("name", "params", "dataspaces", "actions", "training")
_UNSUPPORTED: dict[str, Severity] = {"time": "error", "monitors": "warning"}
_PARAMS = ("epoch_time", "period", "interval", "granularity", "episodes", "interpolation")


class Parsed(NamedTuple):
    """What reading gave: no manifest where a problem is an error. Problems are in text order."""

    manifest: Manifest | None
    problems: tuple[Problem, ...]


def load_manifest(text: str, file: str) -> Manifest:
    """The manifest in a text; `file` is the name used in places.

    Raises InvalidManifest with every problem where any of them is an error.
    """
    parsed = parse_manifest(text, file)
    raise_if_errors(parsed.problems)
    assert parsed.manifest is not None
    return parsed.manifest


def parse_manifest(text: str, file: str) -> Parsed:
    """Read a manifest and note every problem; never raises for what the text holds."""
    reader = Reader(text, file)
    try:
        root, key_errors = read_tree(text, file)
    except YamlError as error:
        problem = Problem(error.code, "error", error.place, error.message)
        return Parsed(None, (problem,))
    for error in key_errors:
        reader.error(error.code, error.place, error.message)
    manifest = _read(reader, root, file)
    problems = in_order(reader.problems)
    failed = any(problem.severity == "error" for problem in problems)
    return Parsed(None if failed else manifest, problems)


def _read(reader: Reader, root: Node | None, file: str) -> Manifest | None:
    place = root.place if root else Place(file, 1, 1, 1, 1)
    if not isinstance(root, MappingNode):
        reader.error("wrong_type", place, "A manifest is a mapping: it starts with name: ...")
        return None
    _note_variables(reader, root)
    entries = reader.mapping(
        root,
        "A manifest",
        _KEYS,
        renamed={"datasources": "dataspaces"},
        unsupported=_UNSUPPORTED,
    )
    name = reader.text(entries.get("name"), "name") or PurePath(file).stem
    if not _NAME.fullmatch(name):
        where = entries["name"].place if "name" in entries else place
        message = f"The pod's name '{name}' is part of addresses: use A-Z a-z 0-9 . _ - only."
        reader.error("invalid_name", where, message)
    episodes_before = len(reader.problems)
    params = _read_params(reader, entries.get("params"))
    params_good = all(p.severity != "error" for p in reader.problems[episodes_before:])
    dataspaces = read_dataspaces(reader, entries.get("dataspaces"))
    actions = tuple(_read_actions(reader, entries.get("actions")))
    training, episodes = read_training(reader, entries.get("training"), MAX_EPISODES)
    if episodes is not None:
        params = replace(params, episodes=episodes)
    manifest = Manifest(name, file, params, dataspaces, actions, training)
    places = {key: node.place for key, node in entries.items()}
    check(reader, manifest, places, root.place, params_good=params_good)
    return manifest


def _read_params(reader: Reader, node: Node | None) -> Params:
    entries = reader.mapping(node, "params", _PARAMS, unsupported={"training_loggers": "warning"})
    if interpolation := entries.get("interpolation"):
        text = reader.text(interpolation, "interpolation").lower()
        if text == "false":
            reader.unsupported(interpolation.place, "'interpolation: false' (event mode) is")
        elif text != "true":
            message = "interpolation is true or false."
            reader.error("invalid_value", interpolation.place, message)
    default = Params()
    return Params(
        epoch_time=_epoch(reader, entries.get("epoch_time")),
        period=reader.duration(entries.get("period"), "period", default.period),
        interval=reader.duration(entries.get("interval"), "interval", default.interval),
        granularity=reader.duration(entries.get("granularity"), "granularity", default.granularity),
        episodes=reader.integer(
            entries.get("episodes"), "episodes", default.episodes, 1, MAX_EPISODES
        ),
    )


def _epoch(reader: Reader, node: Node | None) -> int | None:
    if node is None:
        return None
    text = reader.text(node, "epoch_time")
    try:
        return parse_time(text)
    except InvalidRequest as error:
        reader.error("invalid_time", node.place, f"epoch_time: {error}")
        return None


def _read_actions(reader: Reader, node: Node | None) -> Iterator[Action]:
    seen: set[str] = set()
    for item in reader.items(node, "actions"):
        if isinstance(item, Scalar) and item.text:
            fix = Fix("Write it as a mapping", item.place, f"name: {item.text}")
            reader.error("wrong_type", item.place, f"Write 'name: {item.text}' here.", fix)
            continue
        entries = reader.mapping(item, "An action", ("name",), unsupported={"do": "error"})
        name = reader.text(entries.get("name"), "An action's name")
        place = entries["name"].place if name else item.place
        if not name:
            reader.error("missing_name", place, "An action needs a name.")
        elif name in seen:
            reader.error("duplicate_action", place, f"The action '{name}' is there twice.")
        else:
            seen.add(name)
            yield Action(name, place)


def _note_variables(reader: Reader, root: MappingNode) -> None:
    """The original put environment variables into the text; this version does not."""
    nodes: list[Node] = [value for key, value in root.entries if key.text != "training"]
    while nodes:
        node = nodes.pop()
        if isinstance(node, SequenceNode):
            nodes += node.items
        elif isinstance(node, MappingNode):
            nodes += [value for _, value in node.entries]
        elif found := re.search(r"\$\{\w+\}|\bSPICE_[A-Z0-9_]+\b", node.text):
            what = f"Replacing '{found[0]}' by an environment variable is"
            reader.unsupported(node.place, what)
