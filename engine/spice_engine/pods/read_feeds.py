"""`data` and `seed_data` of a dataspace: connectors, processors and their params."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from spice_engine.data.connectors import gym
from spice_engine.errors import InvalidData, Place
from spice_engine.pods.feed_kinds import KINDS, NOT_HERE, Kind, kind_of, third_party
from spice_engine.pods.model import Feed, Part
from spice_engine.pods.old_syntax import named
from spice_engine.pods.reader import Reader, is_null, rename
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, Scalar
from spice_engine.yaml_tree import Sequence as SequenceNode

_MOVED = ("time_selector", "time_format")
"""Params of the processor that were the connector's before there were processors."""


def read_feed(reader: Reader, node: Node | None, what: str, *, push: bool) -> Feed | None:
    """The feed in `node`; with `push` it may lack a connector, and data then come over HTTP.

    None where there is none, or none that can be used.
    """
    if node is None:
        return None
    entries = reader.mapping(node, what, ("connector", "processor"))
    return feed_of(reader, entries, node.place, what, push=push)


def feed_of(
    reader: Reader, entries: Mapping[str, Node], place: Place, what: str, *, push: bool
) -> Feed | None:
    """The feed with the entries `connector` and `processor`; `place` is where it stands."""
    node = entries.get("connector")
    connector = processor = None
    default = "csv"
    moved: dict[str, tuple[str, Place]] = {}
    if node is not None and not _is_empty(node):
        found = _read_part(reader, node, "connector")
        if found is None:
            return None
        connector, moved = _without_moved(reader, found)
        default = found.processor or ("csv" if moved else "")
    elif not push:
        reader.error("missing_connector", place, f"{what} needs a connector with a name.")
        return None
    written = entries.get("processor")
    if written is not None and not _is_empty(written):
        found = _read_part(reader, written, "processor", default)
        if found is None:
            return None
        processor = found.part
    elif default:
        processor = Part(default, {}, place)
    else:
        name = connector.name if connector else ""
        message = f"With the connector '{name}' {what} needs a processor, as in {{name: csv}}."
        reader.error("missing_processor", place, message)
        return None
    _check_pair(reader, connector, processor)
    for param, (text, at) in moved.items():
        if param not in processor.params:
            params = {**processor.params, param: text}
            places = {**processor.places, param: at}
            processor = Part(processor.name, params, processor.place, places)
    return Feed(connector, processor, place)


def _check_pair(reader: Reader, connector: Part | None, processor: Part) -> None:
    kind = kind_of("connector", connector.name) if connector else None
    if connector and kind and kind.processors and processor.name not in kind.processors:
        known = ", ".join(kind.processors)
        message = f"The connector '{connector.name}' works with the processor {known} only."
        reader.error("invalid_processor", processor.place, message)


class _Found(NamedTuple):
    """A part as it was read; `processor` is the one meant where none is named."""

    part: Part
    kind: Kind
    processor: str


def _read_part(reader: Reader, node: Node, what: str, default: str = "") -> _Found | None:
    """A connector or processor; `default` is the name that is meant where none is written."""
    if isinstance(node, Scalar):
        message = f"A {what} is a mapping: write {{name: {node.text}}}."
        reader.error("wrong_type", node.place, message, named(node))
        return None
    entries = _entries(reader, node, what)
    name = reader.text(entries.get("name"), f"A {what}'s name")
    place = entries["name"].place if name else node.place
    processor = ""
    if what == "connector" and name == "csv":  # of version 0.1: a file and its form in one
        message = "'csv' is a processor: write the connector 'file'."
        reader.old_syntax(place, message, rename(place, name, "file"))
        name, processor = "file", "csv"
    if name == gym.OLD_NAME:  # of version 0.1, too
        name = _old_gym(reader, what, place)
    if not (name or default):
        reader.error("missing_name", place, f"A {what} needs a name.")
        return None
    kind = _known(reader, name or default, place, what)
    if kind is None:
        return None
    params, places = _params(reader, entries, name or default, what, kind)
    part = Part(name or default, params, place, places)
    _check_params(reader, part, kind, what)
    return _Found(part, kind, processor or kind.processor)


def _old_gym(reader: Reader, what: str, place: Place) -> str:
    """The connector or processor that takes the place of `openai-gym`."""
    if what == "connector":
        message = f"The connector '{gym.OLD_NAME}' is named '{gym.NAME}' now."
        reader.old_syntax(place, message, rename(place, gym.OLD_NAME, gym.NAME))
        return gym.NAME
    reader.old_syntax(place, "An environment needs no processor: leave it out.")
    return "csv"


def _entries(reader: Reader, node: Node, what: str) -> dict[str, Node]:
    """The entries of a part; params that stand beside its name are taken for its params."""
    article = f"A {what}"
    if not isinstance(node, MappingNode):
        return reader.mapping(node, article, ("name", "params"))
    beside = {
        key.text: (key, value)
        for key, value in node.entries
        if key.text not in ("name", "type", "params") and key.text in _all_params(what)
    }
    rest = tuple((key, value) for key, value in node.entries if key.text not in beside)
    entries = reader.mapping(
        MappingNode(node.place, rest), article, ("name", "params"), renamed={"type": "name"}
    )
    if beside:
        for key, _ in beside.values():
            reader.old_syntax(key.place, f"'{key.text}' belongs under 'params' of the {what}.")
        params = entries.get("params")
        inner = params.entries if isinstance(params, MappingNode) else ()
        entries["params"] = MappingNode(node.place, (*inner, *beside.values()))
    return entries


def _all_params(what: str) -> frozenset[str]:
    ours, _ = KINDS[what]
    found = {param for kind in ours.values() for param in kind.params}
    return frozenset(found | set(_MOVED))


def _known(reader: Reader, name: str, place: Place, what: str) -> Kind | None:
    """The kind of that name; where there is none, why is noted."""
    kind = kind_of(what, name)
    if kind is not None:
        return kind
    if what == "connector" and name in NOT_HERE:
        reader.error("unsupported", place, NOT_HERE[name])
        return None
    ours, group = KINDS[what]
    known = (*ours, *sorted(third_party(group)))
    close = reader.close_to(name, known)
    hint = f"Did you mean '{close}'?" if close else f"Known are {', '.join(known)}."
    fix = rename(place, name, close) if close else None
    kind_name = what if what == "processor" else f"data {what}"
    reader.error(f"unknown_{what}", place, f"unknown {kind_name} '{name}'. {hint}", fix)
    return None


def _params(
    reader: Reader, entries: Mapping[str, Node], name: str, what: str, kind: Kind
) -> tuple[dict[str, str], dict[str, Place]]:
    """The params as text, and their places."""
    node = entries.get("params")
    known = tuple(kind.params)
    if kind.free:
        known = tuple(k.text for k, _ in node.entries) if isinstance(node, MappingNode) else ()
    elif what == "connector":
        known += _MOVED
    found = reader.mapping(node, f"The {what} '{name}'", known, word="param")
    params: dict[str, str] = {}
    places: dict[str, Place] = {}
    for param, value in found.items():
        params[param] = _param_text(reader, value, param)
        places[param] = value.place
    return params, places


def _param_text(reader: Reader, node: Node, param: str) -> str:
    if isinstance(node, SequenceNode):  # [BTC-USD, ETH-USD] for BTC-USD,ETH-USD
        return ",".join(reader.text(item, param) for item in node.items)
    if isinstance(node, MappingNode):  # {a: 1} for '{"a": 1}'
        return json.dumps(_plain(reader, node))
    return reader.text(node, param)


def _plain(reader: Reader, node: Node) -> Any:
    """A tree of values as plain data."""
    if isinstance(node, MappingNode):
        return {key.text: _plain(reader, value) for key, value in node.entries}
    if isinstance(node, SequenceNode):
        return [_plain(reader, item) for item in node.items]
    return reader.plain(node)


def _check_params(reader: Reader, part: Part, kind: Kind, what: str) -> None:
    missing = [param for param in kind.required if not part.params.get(param)]
    for param in missing:
        message = f"{part.name} {what} requires the '{param}' parameter to be set."
        reader.error("missing_param", part.place_of(param), message)
    # A name that stands for nothing yet would be called wrong for what it is not.
    unset = any(reader.is_unset(place) for place in part.places.values())
    if missing or unset or kind.check is None:
        return
    try:
        kind.check(part.params, part.place_of)
    except InvalidData as error:
        message = f"{error.message} {error.hint}".strip()
        reader.error("invalid_param", error.place or part.place, message)


def _without_moved(reader: Reader, found: _Found) -> tuple[Part, dict[str, tuple[str, Place]]]:
    """A connector without the params that are the processor's today, and those."""
    part = found.part
    moved: dict[str, tuple[str, Place]] = {}
    if found.kind.free:
        return part, moved
    for param in _MOVED:
        if param in part.params:
            at = part.places[param]
            moved[param] = (part.params[param], at)
            reader.old_syntax(at, f"'{param}' is a param of the processor now: write it there.")
    params = {name: text for name, text in part.params.items() if name not in moved}
    places = {name: place for name, place in part.places.items() if name not in moved}
    return Part(part.name, params, part.place, places), moved


def _is_empty(node: Node) -> bool:
    """A part with nothing in it counts as not written: data are then pushed."""
    return is_null(node) or (isinstance(node, MappingNode) and not node.entries)
