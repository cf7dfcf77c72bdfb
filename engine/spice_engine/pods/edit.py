"""Edits of YAML text that leave every byte alone that is not theirs.

An edit is worked out from the positions of the nodes, made, read again and compared with what it
should mean. An edit that would mean anything else (a list shared by an anchor, an exotic style) is
refused, so that no text is ever broken by one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from spice_engine.errors import Conflict, InvalidManifest
from spice_engine.pods.text_tree import (
    TextNode,
    content_end,
    line_start,
    next_line,
    read_nodes,
)
from spice_engine.pods.yaml_writer import Data, block, flow, list_item, scalar
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, Scalar, YamlError, read_tree

MAX_FLOW = 100
BOM = "\ufeff"
_BLANK_ABOVE = re.compile(r"(?:\r\n|\n|\r)[ \t]*(?:\r\n|\n|\r)(?:[ \t]*#.*(?:\r\n|\n|\r))*\Z")
_DEEPER = r"(?:[ \t]*(?:\r\n|[\n\r]))* {{{column},}}#[^\r\n]*(?:\r\n|[\n\r]|$)"


class CannotEdit(Conflict):
    """The text is written in a way that this edit cannot keep; a person has to make it."""

    code = "cannot_edit"


class _Change(NamedTuple):
    start: int
    end: int
    text: str


def add_item(text: str, path: Sequence[str], item: Data, order: Sequence[str] = ()) -> str:
    """The text with an item more at the end of the list under `path`.

    Missing keys are made, those of the root where `order` wants them. A null counts as missing.

    Raises:
        InvalidManifest: the text is no YAML.
        CannotEdit: the list is none, or is shared or written in a way that cannot be kept.
    """
    return _edited(text, path, item, order, replace=False)


def put(text: str, path: Sequence[str], value: Data, order: Sequence[str] = ()) -> str:
    """The text with `value` under `path`, in place of a missing, null or single value.

    Raises: as `add_item`; also CannotEdit where a list or mapping stands there.
    """
    return _edited(text, path, value, order, replace=True)


def check_yaml(text: str) -> None:
    """Refuse a text that cannot be edited because it is no YAML.

    Raises:
        InvalidManifest: with the place.
    """
    _meaning(text.removeprefix(BOM))


def _edited(
    text: str, path: Sequence[str], value: Data, order: Sequence[str], *, replace: bool
) -> str:
    mark = BOM if text.startswith(BOM) else ""
    body = text.removeprefix(BOM)
    before = _meaning(body)
    wanted = _changed(before, list(path), value, replace=replace)
    for tidy in (True, False):
        editor = _Editor(body, tidy=tidy)
        after = _apply(body, editor.changes(list(path), value, order, replace=replace))
        try:
            if _meaning(after) == wanted:
                return mark + after
        except InvalidManifest:
            continue
    raise CannotEdit(
        f"'{'.'.join(path)}' is written in a way that this edit cannot keep.",
        hint="Make the change by hand; spice-tui lint checks it.",
    )


def _apply(text: str, changes: Sequence[_Change]) -> str:
    for change in sorted(changes, reverse=True):
        text = text[: change.start] + change.text + text[change.end :]
    return text


class _Editor:
    """Works out the changes of one edit."""

    def __init__(self, text: str, *, tidy: bool) -> None:
        self._text = text
        self._tidy = tidy
        self._root = read_nodes(text)
        first = re.search("\r\n|\n|\r", text)
        self._newline = first[0] if first else "\n"
        self._offset = _list_offset(self._root)
        braces = re.search(r"\{( ?)\w", text)
        self._pad = braces[1] if braces else ""

    def changes(
        self, path: list[str], value: Data, order: Sequence[str], *, replace: bool
    ) -> list[_Change]:
        """What to insert and take out for a value under `path`, or an item of the list there."""
        node = self._root
        if node is None or node.is_null:
            return self._into_nothing(_nested(path, value if replace else [value]))
        parent: TextNode | None = None
        for depth, key in enumerate(path):
            if node.kind != "mapping":
                raise CannotEdit(f"'{'.'.join(path[:depth])}' is no mapping of keys to values.")
            parent, inner = node, node.value(key)
            if inner is None:
                rest = _nested(path[depth + 1 :], value if replace else [value])
                return [self._new_entry(node, key, rest, order if depth == 0 else ())]
            if inner.is_null:
                rest = _nested(path[depth + 1 :], value if replace else [value])
                return self._fill(node, inner, rest)
            node = inner
        assert parent is not None
        if node.kind == "alias":
            raise CannotEdit(
                f"'{'.'.join(path)}' is an alias of what stands elsewhere.",
                hint="Write it out in place of the alias, then it can be added to.",
            )
        if replace:
            if node.kind != "scalar" or node.style in ("|", ">"):
                raise CannotEdit(f"'{'.'.join(path)}' is no single value.")
            return self._fill(parent, node, value)
        if node.kind != "sequence":
            raise CannotEdit(f"'{'.'.join(path)}' is no list.")
        return [self._new_item(node, value)]

    def _into_nothing(self, value: Data) -> list[_Change]:
        return [self._lines_at(len(self._text), block(value, self._offset), 0)]

    def _new_item(self, node: TextNode, item: Data) -> _Change:
        if node.flow:
            return self._flow_piece(node, flow(item, self._pad))
        pieces = list_item(item, self._offset)
        last = node.children[-1]
        if last.flow and last.kind == "mapping":
            short = f"- {flow(item, self._pad)}"
            pieces = [short] if len(short) <= MAX_FLOW else pieces
        return self._lines_at(self._after(last, node.column), pieces, node.column)

    def _new_entry(self, node: TextNode, key: str, value: Data, order: Sequence[str]) -> _Change:
        if node.flow:
            return self._flow_piece(node, f"{scalar(key)}: {flow(value, self._pad)}")
        lines = block({key: value}, self._offset)
        before = [name.casefold() for name in order[: list(order).index(key)]] if order else []
        entries = node.entries
        above = [value for name, value in entries if name.text.casefold() in before]
        if order and not above and before and entries:
            # It belongs before all that is there.
            lines += [""] if self._is_spaced(node) else []
            return self._lines_at(line_start(self._text, entries[0][0].start), lines, node.column)
        last = above[-1] if above else entries[-1][1]
        if order and self._is_spaced(node):
            lines = ["", *lines]
        return self._lines_at(self._after(last, node.column), lines, node.column)

    def _fill(self, parent: TextNode, node: TextNode, value: Data) -> list[_Change]:
        """A value in place of a single value."""
        is_many = isinstance(value, Sequence | Mapping) and not isinstance(value, str) and value
        if parent.flow or not is_many:
            text = flow(value, self._pad)
            gap = "" if node.text or self._text[node.start - 1 : node.start] in ("", " ") else " "
            return [_Change(node.start, node.end, gap + text)]
        if node.is_null and node.text:
            return [_Change(node.start, node.end, flow(value, self._pad))]
        shift = 2 if isinstance(value, Mapping) else self._offset
        start = node.start
        while node.text and self._text[start - 1] == " ":
            start -= 1
        at, _ = next_line(self._text, node.end)
        lines = self._lines_at(at, block(value, self._offset), parent.column + shift)
        return [_Change(start, node.end, ""), lines] if node.text else [lines]

    def _flow_piece(self, node: TextNode, piece: str) -> _Change:
        """A piece more inside of brackets or braces, in the same line as the last one."""
        closing = node.end - 1
        if not node.children:
            opening = self._text.index("[" if node.kind == "sequence" else "{", node.start)
            gap = " " if self._text[opening + 1] == "#" else ""
            return _Change(opening + 1, opening + 1, piece + gap)
        end = node.children[-1].end
        comma = re.compile(r"(?:\s|#[^\r\n]*)*,").match(self._text, end, closing)
        if comma:
            return _Change(comma.end(), comma.end(), f" {piece},")
        return _Change(end, end, f", {piece}")

    def _after(self, node: TextNode, column: int) -> int:
        """The start of the line after a node, and after the comments set in deeper than it."""
        end = content_end(self._text, node, tidy=self._tidy)
        if end and line_start(self._text, end) == end and node.end == end:
            at = end  # a block scalar that keeps its blank lines ends with a line
        else:
            at, _ = next_line(self._text, end)
        comment = re.compile(_DEEPER.format(column=column + 1))
        while at < len(self._text) and (match := comment.match(self._text, at)):
            at = match.end()
        return at

    def _lines_at(self, at: int, lines: Sequence[str], column: int) -> _Change:
        """Whole lines at the start of a line, or after a last line that lacks its break."""
        joined = self._newline.join(" " * column + line if line else "" for line in lines)
        if at and line_start(self._text, at) != at:
            return _Change(at, at, self._newline + joined)
        return _Change(at, at, joined + self._newline)

    def _is_spaced(self, node: TextNode) -> bool:
        """Whether entries of a mapping have blank lines between them."""
        starts = (key.start for key, _ in node.entries[1:])
        return any(_BLANK_ABOVE.search(self._text[:start]) for start in starts)


def _list_offset(root: TextNode | None) -> int:
    """How far the text sets in lists under their keys; 2 where it has none."""
    waiting = deque([root] if root else [])
    while waiting:
        node = waiting.popleft()
        if node.kind == "mapping" and not node.flow:
            for _, value in node.entries:
                if value.kind == "sequence" and not value.flow and value.children:
                    return max(0, value.column - node.column)
        waiting += node.children
    return 2


def _nested(keys: Sequence[str], value: Data) -> Data:
    for key in reversed(keys):
        value = {key: value}
    return value


# -- what a text means, for comparison


def _meaning(text: str) -> Any:
    """The text's data: mappings, lists, and pairs of kind and text for single values."""
    try:
        tree, problems = read_tree(text, "")
    except YamlError as error:
        raise InvalidManifest(error.message, place=error.place) from error
    if problems:
        raise InvalidManifest(problems[0].message, place=problems[0].place)
    return _plain(tree)


def _plain(node: Node | None) -> Any:
    if node is None:
        return None
    if isinstance(node, Scalar):
        if node.value is None:
            return None
        # Line breaks after the last line of a block scalar mean nothing to a manifest.
        text = node.text.rstrip("\r\n") if node.style in ("|", ">") else node.text
        return (type(node.value).__name__, text)
    if isinstance(node, MappingNode):
        return {key.text: _plain(value) for key, value in node.entries}
    return [_plain(item) for item in node.items]


def _changed(before: Any, path: list[str], value: Data, *, replace: bool) -> Any:
    """What `before` is to mean after the edit."""
    if not path:
        new = _meaning(flow(value))
        return new if replace else [*cast("list[Any]", before or []), new]
    entries = cast("dict[str, Any]", before if isinstance(before, dict) else {})
    inner = _changed(entries.get(path[0]), path[1:], value, replace=replace)
    return {**entries, path[0]: inner}
