"""Edits that turn forms of earlier versions, and short forms, into today's."""

from __future__ import annotations

import json
from itertools import pairwise

from spice_engine.errors import Place
from spice_engine.pods.problems import Fix
from spice_engine.pods.reader import Reader
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, Scalar, resolve
from spice_engine.yaml_tree import Sequence as SequenceNode


def quoted(text: str) -> str:
    """A text as a YAML scalar that is read back as just this text, also within braces."""
    plain = text.replace("_", "a").replace(".", "a").isalnum() and text.isascii()
    return text if plain and isinstance(resolve(text), str) else json.dumps(text)


def between(start: Place, end: Place) -> Place:
    """The place from the start of one to the end of another."""
    return Place(start.file, start.line, start.column, end.end_line, end.end_column)


def mapping_of_values(reader: Reader, node: SequenceNode, texts: list[str]) -> Fix | None:
    """`[a, b]` to `{values: [a, b]}`, for tags."""
    if not node.items:
        return None
    # A block list ends where the next token begins: the place of its last item is exact.
    last = node if reader.is_flow(node) else node.items[-1]
    new = f"{{values: [{', '.join(quoted(text) for text in texts)}]}}"
    return Fix("Write the tags under 'values'", between(node.place, last.place), new)


def named(node: Scalar) -> Fix:
    """`csv` to `{name: csv}`."""
    return Fix("Write it as a mapping", node.place, f"{{name: {quoted(node.text)}}}")


def without_key(node: MappingNode, name: str) -> Fix | None:
    """A mapping without a key that has no value, where another key follows it."""
    keys = [key for key, _ in node.entries]
    for key, following in pairwise(keys):
        if key.text == name:
            start, end = key.place, following.place
            cut = Place(start.file, start.line, start.column, end.line, end.column)
            return Fix(f"Remove '{name}'", cut, "")
    return None


def with_entry(reader: Reader, mapping: Node, after: Node, entry: str) -> Fix | None:
    """An entry (`key: value`) put into a mapping behind the value `after`, a plain scalar."""
    if not isinstance(after, Scalar) or after.style in ("|", ">"):
        return None
    place = Place(
        after.place.file,
        after.place.end_line,
        after.place.end_column,
        after.place.end_line,
        after.place.end_column,
    )
    if reader.is_flow(mapping):
        return Fix(f"Add '{entry}'", place, f", {entry}")
    indent = " " * (mapping.place.column - 1)
    return Fix(f"Add '{entry}'", place, f"\n{indent}{entry}")
