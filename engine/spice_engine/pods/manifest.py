"""YAML text to a manifest, with every problem in it noted at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import NamedTuple

from spice_engine.errors import Place
from spice_engine.pods.binding import bind
from spice_engine.pods.checks import check
from spice_engine.pods.model import Manifest
from spice_engine.pods.problems import Problem, Severity, in_order, raise_if_errors
from spice_engine.pods.read_actions import read_actions
from spice_engine.pods.read_dataspaces import read_dataspaces
from spice_engine.pods.read_params import MAX_EPISODES, read_params, read_time_categories
from spice_engine.pods.read_training import read_training
from spice_engine.pods.reader import Reader
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, YamlError, read_tree

__all__ = ["Manifest", "Parsed", "load_manifest", "parse_manifest"]

MAX_PROBLEMS = 1_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_KEYS = ("name", "params", "time", "dataspaces", "actions", "training")
_UNSUPPORTED: dict[str, Severity] = {"monitors": "warning"}  # the original did nothing with them


class Parsed(NamedTuple):
    """What reading gave: no manifest where a problem is an error. Problems are in text order."""

    manifest: Manifest | None
    problems: tuple[Problem, ...]


def load_manifest(text: str, file: str, environment: Mapping[str, str] | None = None) -> Manifest:
    """The manifest in a text; `file` is the name used in places, `environment` as below.

    Raises InvalidManifest with every problem where any of them is an error.
    """
    parsed = parse_manifest(text, file, environment)
    raise_if_errors(parsed.problems)
    assert parsed.manifest is not None
    return parsed.manifest


def parse_manifest(text: str, file: str, environment: Mapping[str, str] | None = None) -> Parsed:
    """Read a manifest and note every problem; never raises for what the text holds.

    `environment` has the variables that values may name (default: those of the process).
    """
    reader = Reader(text, file, environment)
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
    return Parsed(None if failed else manifest, _at_most(problems))


def _at_most(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """The first MAX_PROBLEMS, and one that says how many more there are."""
    rest = problems[MAX_PROBLEMS:]
    if not rest:
        return problems
    severity = "error" if any(problem.severity == "error" for problem in rest) else "warning"
    message = f"There are {len(rest)} more problems."
    last = Problem("too_many_problems", severity, rest[0].place, message)
    return (*problems[:MAX_PROBLEMS], last)


def _read(reader: Reader, root: Node | None, file: str) -> Manifest | None:
    place = root.place if root else Place(file, 1, 1, 1, 1)
    if not isinstance(root, MappingNode):
        reader.error("wrong_type", place, "A manifest is a mapping: it starts with name: ...")
        return None
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
    params, params_good, loggers = read_params(reader, entries.get("params"))
    time_categories = read_time_categories(reader, entries.get("time"))
    dataspaces = read_dataspaces(reader, entries.get("dataspaces"))
    action_entries = read_actions(reader, entries.get("actions"))
    training, episodes = read_training(reader, entries.get("training"), MAX_EPISODES, loggers)
    if episodes is not None:
        params = replace(params, episodes=episodes)
    manifest = Manifest(
        name, file, params, dataspaces, (), training, time_categories=time_categories
    )
    if manifest.gym is not None:
        # What an environment shows at one moment is a state of its own, not the mean of a bucket.
        params = replace(params, interpolation=False)
        manifest = replace(manifest, params=params)
    actions, laws = bind(reader, action_entries, dataspaces, manifest.fields)
    manifest = replace(manifest, actions=actions, laws=laws)
    places = {key: node.place for key, node in entries.items()}
    check(reader, manifest, places, root.place, params_good=params_good)
    return manifest
