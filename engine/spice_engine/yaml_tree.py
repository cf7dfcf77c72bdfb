"""YAML text to a tree of nodes that know their places; bounded, one document, YAML 1.2 scalars.

The tree is built from libyaml's events by our own loop, not by PyYAML's constructor: that one
keeps no positions, reads YAML 1.1 (`on` is true, `12:30` is 750), lets the last of two equal keys
win, and recurses without a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from spice_engine.errors import Place
from spice_engine.records import record

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 50_000

_Loader: Any = getattr(yaml, "CLoader", yaml.Loader)  # same events; C is 10 times faster
_INT = re.compile(r"[-+]?[0-9]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
}  # fmt: skip
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_TAG_PREFIX = "tag:yaml.org,2002:"
_PLAIN_TAGS = ("str", "int", "float", "bool", "null", "map", "seq")

Value = str | int | float | bool | None


class YamlError(Exception):
    """The text is no YAML of the kind accepted here; `place` says where, `hint` what to do."""

    def __init__(self, code: str, message: str, place: Place) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.place = place


@record
class Scalar:
    """A single value; `text` is what was written, `style` one of `| > ' "` or empty (plain)."""

    place: Place
    value: Value
    text: str
    style: str = ""


@record
class Sequence:
    """A list of nodes."""

    place: Place
    items: tuple[Node, ...]


@record
class Mapping:
    """Keys and nodes in the order of the text; keys are unique."""

    place: Place
    entries: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Sequence | Mapping


def read_tree(text: str, file: str) -> tuple[Node | None, tuple[YamlError, ...]]:
    """The document's tree (None where the text is empty), and what is wrong with its keys.

    Duplicate, non-scalar and merge keys are left out of the tree and given back, so that one of
    them does not hide other findings. Raises YamlError where there is no tree at all: bad syntax,
    foreign tags, several documents, unknown aliases, and more than MAX_BYTES, MAX_DEPTH or
    MAX_NODES (aliases count as what they stand for).
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        message = f"The file is larger than {MAX_BYTES // 1024} KiB."
        raise YamlError("manifest_too_large", message, Place(file, 1, 1, 1, 1))
    try:
        builder = _Builder(text, file)
        return builder.build(), tuple(builder.key_errors)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, file) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        message = "The text holds a character that YAML does not allow."
        place = Place(file, line, column, line, column + 1)
        raise YamlError("invalid_yaml", message, place) from error


def _syntax_error(error: yaml.MarkedYAMLError, text: str, file: str) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    sentence = " ".join(str(part) for part in (error.context, error.problem) if part)
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if written[max(column - 2, 0) : column] == "${":
        sentence = "Within braces or brackets '${NAME}' stands in quotes."
    elif written[column - 1 : column] == "\t":
        sentence = "A tab stands where only spaces may: indent YAML with spaces."
    else:
        sentence = f"This is not valid YAML: {sentence}."
    return YamlError("invalid_yaml", sentence, Place(file, line, column, line, column + 1))


def _key_error(key: Node, seen: dict[str, Scalar]) -> YamlError | None:
    if not isinstance(key, Scalar):
        return YamlError("invalid_key", "A key must be a single word or text.", key.place)
    if key.text == "<<" and not key.style:
        message = "Merge keys ('<<') are not supported: write the entries out."
        return YamlError("unsupported", message, key.place)
    if key.text in seen:
        first = seen[key.text].place.line
        message = f"The key '{key.text}' is here a second time (first in line {first})."
        return YamlError("duplicate_key", message, key.place)
    return None


class _Builder:
    """Turns the stream of events into nodes; one use."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0
        self.key_errors: list[YamlError] = []

    def build(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    message = "A file is one YAML document; a second one starts here."
                    raise YamlError("several_documents", message, self._place(event))
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, 1)
        empty = isinstance(root, Scalar) and root.value is None and not root.text
        return None if empty else root

    def _node(self, event: Any, depth: int) -> Node:
        self._count_nodes(event, 1)
        if depth > MAX_DEPTH:
            message = f"The text is nested deeper than {MAX_DEPTH} levels."
            raise YamlError("too_deep", message, self._place(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        tag = self._tag(event)
        before = self._count
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, tag)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._count - before + 1)
        return node

    def _alias(self, event: Any) -> Node:
        known = self._anchors.get(event.anchor)
        if known is None:
            message = f"The alias '*{event.anchor}' refers to nothing written before it."
            raise YamlError("unknown_alias", message, self._place(event))
        node, size = known
        self._count_nodes(event, size)
        return node

    def _sequence(self, start: Any, depth: int) -> Sequence:
        items: list[Node] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                return Sequence(self._place(start, event), tuple(items))
            items.append(self._node(event, depth + 1))
        raise AssertionError("libyaml ended a stream inside a sequence")

    def _mapping(self, start: Any, depth: int) -> Mapping:
        entries: list[tuple[Scalar, Node]] = []
        seen: dict[str, Scalar] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                return Mapping(self._place(start, event), tuple(entries))
            key = self._node(event, depth + 1)
            node = self._node(next(self._events), depth + 1)
            if error := _key_error(key, seen):
                self.key_errors.append(error)
            elif isinstance(key, Scalar):
                seen[key.text] = key
                entries.append((key, node))
        raise AssertionError("libyaml ended a stream inside a mapping")

    def _scalar(self, event: Any, tag: str) -> Scalar:
        text: str = event.value
        style: str = event.style or ""
        place = self._place(event)
        if tag == "str" or (style and not tag):
            return Scalar(place, text, text, style)
        value = resolve(text)
        if tag and tag != _kind(value):
            message = f"'{text}' is not of the kind that '!!{tag}' asks for."
            raise YamlError("invalid_tag", message, place)
        return Scalar(place, value, text, style)

    def _tag(self, event: Any) -> str:
        tag: str = event.tag or ""
        if not tag or tag == "!":
            return "str" if tag == "!" else ""
        name = tag.removeprefix(_TAG_PREFIX)
        if name == tag or name not in _PLAIN_TAGS:
            message = f"The tag '{tag}' is not allowed here."
            raise YamlError("invalid_tag", message, self._place(event))
        return name

    def _count_nodes(self, event: Any, count: int) -> None:
        self._count += count
        if self._count > MAX_NODES:
            message = f"The text holds more than {MAX_NODES} values (aliases written out)."
            raise YamlError("too_many_nodes", message, self._place(event))

    def _place(self, event: Any, last: Any = None) -> Place:
        start, end = event.start_mark, (last or event).end_mark
        return Place(self._file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def resolve(text: str) -> Value:
    """The value of a plain scalar in YAML 1.2's core schema: `1e3` is a float, `on` a string."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if len(text) <= 64:  # longer is no number that anybody wrote on purpose
        if _INT.fullmatch(text):
            return int(text)
        if _HEX.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return float(text)
        if infinity := _INFINITY.fullmatch(text):
            return float(f"{infinity[1]}inf")
    return text


def _kind(value: Value) -> str:
    return "null" if value is None else type(value).__name__
