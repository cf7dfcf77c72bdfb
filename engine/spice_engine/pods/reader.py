"""Reading values out of a YAML tree: weakly typed scalars, known keys, and every problem noted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from spice_engine.errors import InvalidRequest, Place
from spice_engine.learning.source import Source
from spice_engine.pods.problems import Fix, Problem, Severity, did_you_mean
from spice_engine.pods.yaml_tree import Mapping as MappingNode
from spice_engine.pods.yaml_tree import Node, Scalar
from spice_engine.pods.yaml_tree import Sequence as SequenceNode
from spice_engine.units import parse_duration

_NANOSECONDS = 1_000_000_000
_T = TypeVar("_T")


class Reader:
    """Collects the problems of one manifest while its values are read."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._lines = text.splitlines()

    def error(self, code: str, place: Place, message: str, fix: Fix | None = None) -> None:
        """Note something that makes the manifest unusable."""
        self.problems.append(Problem(code, "error", place, message, fix))

    def warning(self, code: str, place: Place, message: str, fix: Fix | None = None) -> None:
        """Note something that is probably not meant."""
        self.problems.append(Problem(code, "warning", place, message, fix))

    def unsupported(self, place: Place, what: str, severity: Severity = "error") -> None:
        """Note a feature that this version does not have."""
        effect = "" if severity == "error" else " It is ignored."
        message = f"{what} not supported in this version.{effect}"
        self.problems.append(Problem("unsupported", severity, place, message))

    def mapping(
        self,
        node: Node | None,
        what: str,
        known: tuple[str, ...],
        *,
        renamed: Mapping[str, str] | None = None,
        unsupported: Mapping[str, Severity] | None = None,
    ) -> dict[str, Node]:
        """The entries of a mapping by key, null values left out.

        Keys in `renamed` are old names and count as the new ones, with a warning; those in
        `unsupported` are noted with that severity; others that are not `known` give a warning.
        """
        if node is None or _is_null(node):
            return {}
        if not isinstance(node, MappingNode):
            kind = "a list" if isinstance(node, SequenceNode) else "a single value"
            message = f"{what} is a mapping of keys to values, but here is {kind}."
            self.error("wrong_type", node.place, message)
            return {}
        found: dict[str, Node] = {}
        for key, value in node.entries:
            name = key.text
            if unsupported and name in unsupported:
                if not _is_empty(value):
                    self.unsupported(key.place, f"'{name}' is", unsupported[name])
                continue
            if renamed and name in renamed:
                new = renamed[name]
                message = f"'{name}' is an old name: write '{new}'."
                self.warning("old_syntax", key.place, message, _rename(key.place, name, new))
                if any(other.text == new for other, _ in node.entries):
                    continue
                name = new
            if name not in known:
                self._unknown_key(key, what, known)
            elif not _is_null(value):
                found[name] = value
        return found

    def _unknown_key(self, key: Scalar, what: str, known: tuple[str, ...]) -> None:
        close = did_you_mean(key.text, known)
        hint = f" Did you mean '{close}'?" if close else f" Known are {', '.join(known)}."
        message = f"{what} has no key '{key.text}'; it is ignored.{hint}"
        fix = _rename(key.place, key.text, close) if close else None
        self.warning("unknown_key", key.place, message, fix)

    def items(self, node: Node | None, what: str) -> Iterator[Node]:
        """The items of a list; a single mapping in its place is an error."""
        if node is None or _is_null(node):
            return
        if not isinstance(node, SequenceNode):
            message = f"{what} is a list: start each item with a dash."
            self.error("wrong_type", node.place, message)
            return
        yield from node.items

    def text(self, node: Node | None, what: str, default: str = "") -> str:
        """A scalar as it was written; numbers count as text."""
        if node is None or _is_null(node):
            return default
        if not isinstance(node, Scalar):
            self.error("wrong_type", node.place, f"{what} is a single value.")
            return default
        return node.text.strip() if not node.style else node.text

    def integer(self, node: Node | None, what: str, default: _T, low: int, high: int) -> int | _T:
        """A whole number from `low` to `high`; `10`, `1e3` and `"10"` count."""
        if node is None:
            return default
        value = self._float(node)
        if value is None or not value.is_integer() or not low <= value <= high:
            message = f"{what} is a whole number from {low} to {high}."
            self.error("invalid_number", node.place, message)
            return default
        return int(value)

    def number(self, node: Node | None, what: str, default: float) -> float:
        """A finite number; `"1.5"` counts."""
        if node is None:
            return default
        value = self._float(node)
        if value is None:
            self.error("invalid_number", node.place, f"{what} is a finite number.")
            return default
        return value

    def _float(self, node: Node) -> float | None:
        if not isinstance(node, Scalar) or isinstance(node.value, bool):
            return None
        try:
            value = float(node.text)
        except (ValueError, OverflowError):
            return None
        return value if math.isfinite(value) else None

    def share(self, node: Node | None, what: str, default: float, high: float) -> float:
        """A share such as `20%` or `0.2`, from 0 up to `high`."""
        if node is None:
            return default
        text = self.text(node, what)
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(%?)", text, re.ASCII)
        value = float(match[1]) / (100 if match[2] else 1) if match else -1.0
        if not 0 <= value <= high:
            message = f"{what} is a share from 0% to {high:.0%}, as in 20% or 0.2."
            self.error("invalid_share", node.place, message)
            return default
        return value

    def duration(self, node: Node | None, what: str, default: int) -> int:
        """A positive duration in whole seconds."""
        if node is None:
            return default
        text = self.text(node, what)
        try:
            nanoseconds = parse_duration(text)
        except InvalidRequest as error:
            fix = None
            if re.fullmatch(r"\d+", text, re.ASCII):
                fix = Fix("Write it in seconds", node.place, f"{text}s")
            self.error("invalid_duration", node.place, f"{what}: {error}", fix)
            return default
        if nanoseconds <= 0 or nanoseconds % _NANOSECONDS:
            message = f"{what} is a whole number of seconds, 1s or more; '{text}' is not."
            self.error("invalid_duration", node.place, message)
            return default
        return nanoseconds // _NANOSECONDS

    def code(self, node: Node | None, what: str) -> Source | None:
        """A piece of code with its place, exact wherever YAML did not fold or unescape it."""
        if node is None or _is_null(node):
            return None
        if not isinstance(node, Scalar):
            self.error("wrong_type", node.place, f"{what} is Python code.")
            return None
        place, text = node.place, node.text
        if node.style == "|":
            indent = self._block_indent(place.line, text)
            return Source(text, self.file, place.line + 1, indent + 1)
        quote = 1 if node.style in ('"', "'") else 0
        start = place.column - 1 + quote
        line = self._lines[place.line - 1] if place.line <= len(self._lines) else ""
        exact = node.style != ">" and line[start : start + len(text)] == text
        return Source(text, self.file, place.line, start + 1, exact)

    def _block_indent(self, header: int, text: str) -> int:
        """How far a block scalar's lines are set in, by its first line that is not blank."""
        for written, value in zip(self._lines[header:], text.splitlines(), strict=False):
            if value.strip():
                return len(written) - len(value)
        return 0


def _rename(place: Place, old: str, new: str) -> Fix:
    return Fix(f"Change '{old}' to '{new}'", place, new)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _is_empty(node: Node) -> bool:
    """Null, or a list or mapping with nothing in it: it changes nothing."""
    if isinstance(node, Scalar):
        return node.value is None
    return not (node.items if isinstance(node, SequenceNode) else node.entries)
