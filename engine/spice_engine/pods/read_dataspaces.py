"""The `dataspaces` part of a manifest: where data come from, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spice_engine.data.connectors import gym
from spice_engine.errors import Place
from spice_engine.learning.source import Source
from spice_engine.pods.model import Dataspace, Effect, Feed
from spice_engine.pods.old_syntax import without_key
from spice_engine.pods.problems import Fix
from spice_engine.pods.read_feeds import feed_of, read_feed
from spice_engine.pods.read_fields import (
    read_categories,
    read_identifiers,
    read_measurements,
    read_tags,
)
from spice_engine.pods.reader import Reader, is_null
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, Scalar

_PASSED_ON = "passthru"
"""What version 0.1 had in place of code for the actions of an environment."""
_WORD = re.compile(r"[A-Za-z]\w*", re.ASCII)
_KEYS = (
    "from", "name", "data", "seed_data", "identifiers", "measurements", "categories", "tags",
    "actions", "laws",
)  # fmt: skip
_OLD_KEYS = ("datasource", "connector", "processor")


def read_dataspaces(reader: Reader, node: Node | None) -> tuple[Dataspace, ...]:
    """All dataspaces that could be made out."""
    spaces: list[Dataspace] = []
    for item in reader.items(node, "dataspaces"):
        space = _read_dataspace(reader, item)
        if space is None:
            continue
        if any(other.path == space.path for other in spaces):
            message = f"The dataspace '{space.path}' is there twice."
            reader.error("duplicate_dataspace", space.place, message)
        else:
            spaces.append(space)
    return tuple(spaces)


def _read_dataspace(reader: Reader, node: Node) -> Dataspace | None:
    entries = _entries(reader, node)
    source = _read_word(reader, entries.get("from"), "from", node.place)
    name = _read_word(reader, entries.get("name"), "name", node.place)
    if "data" not in entries and "connector" in entries:  # of version 0.1
        place = entries["connector"].place
        reader.old_syntax(place, "Connector and processor belong under 'data'.")
        data = feed_of(reader, entries, place, "data", push=True)
    else:
        data = read_feed(reader, entries.get("data"), "data", push=True)
    space = Dataspace(
        source=source,
        name=name,
        data=data,
        measurements=read_measurements(reader, entries.get("measurements")),
        place=node.place,
        seed_data=read_feed(reader, entries.get("seed_data"), "seed_data", push=False),
        identifiers=read_identifiers(reader, entries.get("identifiers")),
        categories=read_categories(reader, entries.get("categories")),
        tags=read_tags(reader, entries.get("tags")),
        actions=tuple(_effects_of(reader, entries.get("actions"), data)),
        laws=tuple(_read_laws(reader, entries.get("laws"))),
    )
    _check_names(reader, space)
    if data is not None and not space.fields():
        message = f"Of the data of '{space.path}' nothing is learned: name its measurements."
        reader.warning("nothing_learned", node.place, message)
    return space if source and name else None


def _entries(reader: Reader, node: Node) -> dict[str, Node]:
    entries = reader.mapping(
        node, "A dataspace", (*_KEYS, *_OLD_KEYS), renamed={"fields": "measurements"}
    )
    if not isinstance(node, MappingNode):
        return entries
    for key, value in node.entries:
        if key.text == "datasource":
            message = "'datasource' is of an earlier version and says nothing: leave it out."
            fix = without_key(node, key.text) if is_null(value) else None
            reader.old_syntax(key.place, message, fix)
            if isinstance(value, MappingNode):
                entries = {**_entries(reader, value), **entries}
    return entries


def _read_word(reader: Reader, node: Node | None, key: str, place: Place) -> str:
    text = reader.text(node, f"A dataspace's '{key}'")
    if node is None or not text:
        reader.error("missing_name", place, f"A dataspace needs '{key}'.")
    elif not _WORD.fullmatch(text):
        message = f"invalid dataspace \"{key}\": '{text}' should only contain A-Za-z0-9_"
        message += " and start with a letter."
        reader.error("invalid_dataspace_name", node.place, message)
    return text


def _read_effects(reader: Reader, node: Node | None) -> Iterator[Effect]:
    if node is None:
        return
    if not isinstance(node, MappingNode):
        message = "A dataspace's actions are a mapping of names to code, as in buy: balance -= 1."
        reader.error("wrong_type", node.place, message)
        return
    for key, value in node.entries:
        code = reader.code(value, f"The action '{key.text}'")
        if not key.text:
            reader.error("missing_name", key.place, "An action needs a name.")
        elif isinstance(value, Scalar):
            # Without code it changes nothing, but is an action all the same.
            yield Effect(key.text, code or Source("", reader.file, *_start(key)))


def _effects_of(reader: Reader, node: Node | None, data: Feed | None) -> Iterator[Effect]:
    """The actions; those of an environment change it by themselves, whatever their code says."""
    acts = data is not None and data.connector is not None and data.connector.name == gym.NAME
    for effect in _read_effects(reader, node):
        code = effect.code
        if acts and code.text.strip() not in ("", _PASSED_ON):
            message = f"The environment itself knows what '{effect.name}' does: leave its code out."
            reader.warning("unused_code", code.place(1, 0), message)
        yield Effect(effect.name, Source("", code.file, code.line, code.column)) if acts else effect


def _start(node: Node) -> tuple[int, int]:
    return node.place.line, node.place.column


def _read_laws(reader: Reader, node: Node | None) -> Iterator[Source]:
    if isinstance(node, Scalar):
        fix = None
        if not node.style and "\n" not in node.text:
            fix = Fix("Write it as a list", node.place, f'["{node.text}"]')
        reader.error("wrong_type", node.place, "laws is a list of conditions.", fix)
        return
    for item in reader.items(node, "laws"):
        code = reader.code(item, "A law")
        if code is not None and code.text.strip():
            yield code


def _check_names(reader: Reader, space: Dataspace) -> None:
    """Columns of different kinds must not share a name: the headers of observations would."""
    owners: dict[str, str] = {}
    parts = (
        ("identifier", space.identifiers),
        ("measurement", space.measurements),
        ("category", space.categories),
    )
    for what, several in parts:
        for one in several:
            if owners.get(one.name, what) != what:
                message = f"'{one.name}' is the name of this {what} and of a {owners[one.name]}."
                reader.error("duplicate_name", one.place, message)
            owners[one.name] = what
