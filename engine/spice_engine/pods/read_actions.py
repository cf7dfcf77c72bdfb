"""The `actions` part of a manifest: names, and which dataspace action each of them does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from spice_engine.errors import Place
from spice_engine.pods.model import Range
from spice_engine.pods.old_syntax import named, quoted, with_entry
from spice_engine.pods.problems import Fix
from spice_engine.pods.reader import Reader
from spice_engine.records import record
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, Scalar

MAX_BOUND = 1e15
"""Larger values could no longer be told apart."""
NARROWEST = 1e-4
"""Values are shown by six digits: those of a range that is so narrow could not be told apart."""


@record
class Argument:
    """What an action gives its effect: a number, or the name of a field, as text."""

    text: str
    place: Place


@record
class Do:
    """The dataspace action that an action does, as it is named in the manifest."""

    name: str
    place: Place
    args: Mapping[str, Argument] = field(default_factory=dict[str, Argument])


@record
class ActionEntry:
    """An action as it is written; `place` is that of its name."""

    name: str
    place: Place
    do: Do | None
    item: Node
    name_node: Node
    range: Range | None = None

    def fix_with_do(self, reader: Reader, effect: str) -> Fix | None:
        """The edit that writes out which dataspace action is meant."""
        return with_entry(reader, self.item, self.name_node, f"do: {{name: {quoted(effect)}}}")


def read_actions(reader: Reader, node: Node | None) -> tuple[ActionEntry, ...]:
    """All actions that could be made out; their names differ."""
    return tuple(_read_actions(reader, node))


def _read_actions(reader: Reader, node: Node | None) -> Iterator[ActionEntry]:
    seen: set[str] = set()
    for item in reader.items(node, "actions"):
        if isinstance(item, Scalar) and item.text:
            fix = Fix("Write it as a mapping", item.place, f"name: {quoted(item.text)}")
            reader.error("wrong_type", item.place, f"Write 'name: {item.text}' here.", fix)
            continue
        entries = reader.mapping(item, "An action", ("name", "do", "range"))
        name = reader.text(entries.get("name"), "An action's name")
        place = entries["name"].place if name else item.place
        do = _read_do(reader, entries.get("do"))
        values = _read_range(reader, entries.get("range"))
        if not name:
            reader.error("missing_name", place, "An action needs a name.")
        elif name in seen:
            reader.error("duplicate_action", place, f"The action '{name}' is there twice.")
        else:
            seen.add(name)
            yield ActionEntry(name, place, do, item, entries["name"], values)


def _read_range(reader: Reader, node: Node | None) -> Range | None:
    """The values an action may have; None where it has none, or they cannot be read."""
    if node is None:
        return None
    entries = reader.mapping(node, "range", ("from", "to", "unit"))
    if "from" not in entries or "to" not in entries:
        message = "A range needs its bounds, as in {from: 0, to: 100}."
        reader.error("invalid_range", node.place, message)
        return None
    low = reader.number(entries["from"], "from", 0.0)
    high = reader.number(entries["to"], "to", low + 1.0)
    if not low < high:
        message = f"'from' must be less than 'to': {low:g} is not less than {high:g}."
        reader.error("invalid_range", node.place, message)
        return None
    if abs(low) > MAX_BOUND or abs(high) > MAX_BOUND:
        message = f"Bounds of a range lie between {-MAX_BOUND:g} and {MAX_BOUND:g}."
        reader.error("invalid_range", node.place, message)
        return None
    if high - low < NARROWEST * max(abs(low), abs(high)):
        message = (
            f"The values from {low:.12g} to {high:.12g} are too close to tell them apart: let the "
            "range begin at 0, and add the rest in the code."
        )
        reader.error("invalid_range", node.place, message)
        return None
    return Range(low, high, reader.text(entries.get("unit"), "unit"), node.place)


def _read_do(reader: Reader, node: Node | None) -> Do | None:
    if isinstance(node, Scalar) and node.text:
        message = f"'do' is a mapping: write {{name: {node.text}}}."
        reader.error("wrong_type", node.place, message, named(node))
        return None
    if node is None:
        return None
    entries = reader.mapping(node, "do", ("name", "args"))
    name = reader.text(entries.get("name"), "The name of a dataspace action")
    if not name:
        message = "'do' needs the name of a dataspace action, as in local.portfolio.buy."
        reader.error("missing_name", node.place, message)
        return None
    return Do(name, entries["name"].place, _read_args(reader, entries.get("args")))


def _read_args(reader: Reader, node: Node | None) -> dict[str, Argument]:
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        message = "args is a mapping of names to numbers or fields, as in {price: a.b.close}."
        reader.error("wrong_type", node.place, message)
        return {}
    return {
        key.text: Argument(reader.text(value, f"The argument '{key.text}'"), value.place)
        for key, value in node.entries
    }
