"""YAML text to nodes that know where in the text they are, for edits that leave the rest alone.

`yaml_tree` reads values; this reads positions: aliases stay aliases, and flow and block style
are told apart. Only for text that `yaml_tree.read_tree` has accepted, which bounds its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

_Loader: Any = getattr(yaml, "CLoader", yaml.Loader)
BREAKS = "\n\r\x85\u2028\u2029"
_BREAK = re.compile(f"\r\n|[{BREAKS}]")

Kind = Literal["scalar", "sequence", "mapping", "alias"]


@dataclass(slots=True)
class TextNode:
    """One node; `start` and `end` are offsets, `column` (0-based) is where its entries begin.

    The children of a mapping are its keys and values in turn.
    """

    kind: Kind
    start: int
    end: int
    text: str = ""
    style: str = ""
    flow: bool = False
    column: int = 0
    children: list[TextNode] = field(default_factory=list["TextNode"])

    @property
    def entries(self) -> list[tuple[TextNode, TextNode]]:
        """Keys and values of a mapping."""
        return list(zip(self.children[::2], self.children[1::2], strict=True))

    @property
    def is_null(self) -> bool:
        """Whether nothing stands here, or a word for it."""
        return (
            self.kind == "scalar"
            and not self.style
            and self.text in ("", "~", "null", "Null", "NULL")
        )

    def value(self, key: str) -> TextNode | None:
        """The value under a key of a mapping."""
        return next((value for name, value in self.entries if name.text == key), None)


def read_nodes(text: str) -> TextNode | None:
    """The document's nodes; None where there is no document."""
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    for event in events:
        if isinstance(event, yaml.NodeEvent):
            return _node(text, event, events)
    return None


def _node(text: str, event: Any, events: Iterator[Any]) -> TextNode:
    start, end = event.start_mark.index, event.end_mark.index
    if isinstance(event, yaml.AliasEvent):
        return TextNode("alias", start, end)
    if isinstance(event, yaml.ScalarEvent):
        return TextNode("scalar", start, end, event.value, event.style or "")
    is_list = isinstance(event, yaml.SequenceStartEvent)
    kind: Kind = "sequence" if is_list else "mapping"
    column = 0 if event.flow_style else _column(text, event)
    node = TextNode(kind, start, end, flow=bool(event.flow_style), column=column)
    for inner in events:
        if isinstance(inner, yaml.CollectionEndEvent):
            last: Any = inner.end_mark
            node.end = last.index
            break
        node.children.append(_node(text, inner, events))
    return node


def _column(text: str, event: Any) -> int:
    """Where the entries of a block collection begin.

    After an anchor or a tag only the end of its event tells where the first dash or key is.
    """
    start: Any = event.start_mark
    end: Any = event.end_mark
    if not isinstance(event, yaml.SequenceStartEvent):
        return end.column
    if text[start.index : start.index + 1] == "-":
        return start.column
    return end.column if text[end.index : end.index + 1] == "-" else end.column - 1


def line_start(text: str, offset: int) -> int:
    """The offset at which the line of `offset` begins."""
    return max(text.rfind(one, 0, offset) for one in BREAKS) + 1


def next_line(text: str, offset: int) -> tuple[int, bool]:
    """Where the line after that of `offset` begins, and whether there is a line break before it."""
    match = _BREAK.search(text, offset)
    return (match.end(), True) if match else (len(text), False)


def content_end(text: str, node: TextNode, *, tidy: bool) -> int:
    """Where what belongs to a node ends: the end of its last piece, before any comment.

    With `tidy` the blank lines after a block scalar are not counted in.
    """
    if node.kind in ("scalar", "alias"):
        if node.style not in ("|", ">"):
            return node.end
        header = text[node.start : next_line(text, node.start)[0]].partition("#")[0]
        if "+" in header or not tidy:
            return node.end
        return node.start + len(text[node.start : node.end].rstrip())
    if node.flow or not node.children:
        return node.end
    return content_end(text, node.children[-1], tidy=tidy)
