"""What is in the data of a dataspace: measurements, categories, identifiers and tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from spice_engine.pods.model import Category, Identifier, Measurement, Tags
from spice_engine.pods.old_syntax import mapping_of_values, named
from spice_engine.pods.reader import Reader, is_null
from spice_engine.yaml_tree import Node, Scalar
from spice_engine.yaml_tree import Sequence as SequenceNode

MAX_VALUES = 10_000
"""Values of a category, or tags: each is a column."""
_FIELD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_Named = TypeVar("_Named", Identifier, Measurement, Category)


def read_measurements(reader: Reader, node: Node | None) -> tuple[Measurement, ...]:
    """All measurements that could be made out; their names differ."""
    return _read_all(reader, node, "measurement", "measurements", _read_measurement)


def read_identifiers(reader: Reader, node: Node | None) -> tuple[Identifier, ...]:
    """All identifiers that could be made out; their names differ."""
    return _read_all(reader, node, "identifier", "identifiers", _read_identifier)


def read_categories(reader: Reader, node: Node | None) -> tuple[Category, ...]:
    """All categories that could be made out; their names differ."""
    return _read_all(reader, node, "category", "categories", _read_category)


def _read_all(
    reader: Reader,
    node: Node | None,
    what: str,
    plural: str,
    read: Callable[[Reader, Node], _Named | None],
) -> tuple[_Named, ...]:
    found: dict[str, _Named] = {}
    for item in reader.items(node, plural):
        if isinstance(item, Scalar) and item.text:
            message = f"Each of the {plural} is a mapping: write {{name: {item.text}}}."
            reader.error("wrong_type", item.place, message, named(item))
            continue
        one = read(reader, item)
        if one is None:
            continue
        if one.name in found:
            message = f"The {what} '{one.name}' is there twice."
            reader.error(f"duplicate_{what}", one.place, message)
        else:
            found[one.name] = one
    return tuple(found.values())


def _read_name(reader: Reader, entries: Mapping[str, Node], item: Node, what: str) -> str:
    name = reader.text(entries.get("name"), f"A {what}'s name")
    if not name:
        article = "An" if what[0] in "ai" else "A"
        reader.error("missing_name", item.place, f"{article} {what} needs a name.")
    elif not _FIELD.fullmatch(name):
        message = f"The {what}'s name '{name}' should only contain A-Za-z0-9_."
        message += " Name the column by 'selector' instead."
        reader.error(f"invalid_{what}_name", entries["name"].place, message)
    return name


def _read_measurement(reader: Reader, item: Node) -> Measurement | None:
    keys = ("name", "selector", "initializer", "fill", "type")
    entries = reader.mapping(item, "A measurement", keys)
    name = _read_name(reader, entries, item, "measurement")
    if not name:
        return None
    if kind := entries.get("type"):
        message = "'type' is not used: a measurement is always a number."
        reader.warning("unknown_key", kind.place, message)
    selector = entries.get("selector")
    fill = entries.get("fill")
    choices = ("previous", "none")
    text = reader.text(fill, "fill", "previous")
    if isinstance(fill, Scalar) and text not in choices:
        message = f"invalid measurement fill '{text}': choose one of ['previous', 'none']"
        reader.unknown("invalid_fill", "error", fill, message, choices)
    return Measurement(
        name=name,
        selector=reader.text(selector, "selector", name),
        initializer=reader.number(entries.get("initializer"), "initializer", 0.0),
        fill="none" if text == "none" else "previous",
        place=selector.place if selector else entries["name"].place,
    )


def _read_identifier(reader: Reader, item: Node) -> Identifier | None:
    entries = reader.mapping(item, "An identifier", ("name", "selector"))
    name = _read_name(reader, entries, item, "identifier")
    if not name:
        return None
    selector = reader.text(entries.get("selector"), "selector", name)
    return Identifier(name, selector, entries.get("selector", entries["name"]).place)


def _read_category(reader: Reader, item: Node) -> Category | None:
    entries = reader.mapping(item, "A category", ("name", "selector", "values"))
    name = _read_name(reader, entries, item, "category")
    if not name:
        return None
    place = entries["name"].place
    values = _read_values(reader, entries.get("values"), "value of a category")
    if not values:
        message = f"The category '{name}' has no values: nothing is learned from it."
        reader.warning("nothing_learned", place, message)
    selector = reader.text(entries.get("selector"), "selector", name)
    at = entries.get("selector", entries["name"]).place
    return Category(name, selector, tuple(sorted(values)), at)


def _read_values(reader: Reader, node: Node | None, what: str) -> tuple[str, ...]:
    """Texts, each once, in the order of the manifest."""
    values: dict[str, None] = {}
    for item in reader.items(node, f"A list of each {what}"):
        # Not reader.text(): a null would be left out, but may be what the column holds.
        text = item.text if is_null(item) and isinstance(item, Scalar) else reader.text(item, what)
        if not text or any(ord(letter) < 32 for letter in text):
            message = f"A {what} is a text of one line, not an empty one."
            reader.error("invalid_value", item.place, message)
        elif text in values:
            reader.warning("duplicate_value", item.place, f"'{text}' is there twice.")
        else:
            values[text] = None
    if len(values) > MAX_VALUES and node is not None:
        reader.error("too_many_values", node.place, f"There are more than {MAX_VALUES} values.")
        return ()
    return tuple(values)


def read_tags(reader: Reader, node: Node | None) -> Tags | None:
    """The tags; the column `_tags` is always among those they are read from."""
    if node is None:
        return None
    selectors: tuple[str, ...] = ()
    if isinstance(node, SequenceNode):
        values = _read_values(reader, node, "tag")
        message = "Tags are a mapping now: write the list under 'values'."
        reader.old_syntax(node.place, message, mapping_of_values(reader, node, list(values)))
    else:
        entries = reader.mapping(node, "tags", ("selectors", "values"))
        values = _read_values(reader, entries.get("values"), "tag")
        selectors = _read_values(reader, entries.get("selectors"), "selector of tags")
    return Tags(tuple(dict.fromkeys(("_tags", *selectors))), values, node.place)
