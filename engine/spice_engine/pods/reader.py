"""Reading values out of a YAML tree: weakly typed scalars, known keys, and every problem noted."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from spice_engine.errors import InvalidRequest, Place
from spice_engine.learning.source import Finding, Source
from spice_engine.pods.code_places import source_of
from spice_engine.pods.problems import Fix, Problem, Severity, did_you_mean
from spice_engine.pods.variables import Variables
from spice_engine.units import parse_duration
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, Scalar, Value, resolve
from spice_engine.yaml_tree import Sequence as SequenceNode

_NANOSECONDS = 1_000_000_000
MAX_GUESSES = 100
_LONGEST_GUESS = 100
_MOST_COMPARED = 2_000
_T = TypeVar("_T")
_C = TypeVar("_C", bound=str)


class Reader:
    """Collects the problems of one manifest while its values are read.

    `environment` is what variables in values are replaced from; by default the process's own.
    """

    def __init__(self, text: str, file: str, environment: Mapping[str, str] | None = None) -> None:
        self.file = file
        self._problems: list[Problem] = []
        self._lines = text.splitlines()
        self._variables = Variables(os.environ if environment is None else environment)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was noted so far; values of variables are hidden in it."""
        found = [*self._problems, *self._missing_variables()]
        return tuple(self._variables.hide(problem) for problem in found)

    @property
    def failed(self) -> bool:
        """Whether anything noted so far is an error."""
        return any(problem.severity == "error" for problem in self.problems)

    def _missing_variables(self) -> Iterator[Problem]:
        for place, name, braces in self._variables.missing:
            if braces:
                message = f"The environment variable '{name}' is not set."
                yield Problem("unset_variable", "error", place, message)
            else:
                message = f"The environment variable '{name}' is not set: its name stays as it is."
                yield Problem("unset_variable", "warning", place, message)

    def is_unset(self, place: Place) -> bool:
        """Whether the value at a place holds an environment variable that is not set."""
        return self._variables.is_unset(place)

    def finding(self, finding: Finding) -> None:
        """Note what the check of a piece of code found."""
        message = f"{finding.message} {finding.hint}".strip()
        fix = None
        if finding.replacement:
            fix = Fix(f"Write {finding.replacement}", finding.place, finding.replacement)
        self.note(Problem(finding.code, finding.severity, finding.place, message, fix))

    def note(self, problem: Problem) -> None:
        """Note a finding made elsewhere."""
        self._problems.append(problem)

    def error(self, code: str, place: Place, message: str, fix: Fix | None = None) -> None:
        """Note something that makes the manifest unusable."""
        self.note(Problem(code, "error", place, message, fix))

    def warning(self, code: str, place: Place, message: str, fix: Fix | None = None) -> None:
        """Note something that is probably not meant."""
        self.note(Problem(code, "warning", place, message, fix))

    def old_syntax(self, place: Place, message: str, fix: Fix | None = None) -> None:
        """Note a form of an earlier version, which is understood."""
        self.warning("old_syntax", place, message, fix)

    def unsupported(self, place: Place, what: str, severity: Severity = "error") -> None:
        """Note a feature that this version does not have."""
        effect = "" if severity == "error" else " It is ignored."
        message = f"{what} not supported in this version.{effect}"
        self.note(Problem("unsupported", severity, place, message))

    def mapping(
        self,
        node: Node | None,
        what: str,
        known: tuple[str, ...],
        *,
        renamed: Mapping[str, str] | None = None,
        unsupported: Mapping[str, Severity] | None = None,
        word: str = "key",
    ) -> dict[str, Node]:
        """The entries of a mapping by key, null values left out.

        Keys in `renamed` are old names and count as the new ones, with a warning; those in
        `unsupported` are noted with that severity; others that are not `known` give a warning,
        in which `word` says what a key is here.
        """
        if node is None or is_null(node):
            return {}
        if not isinstance(node, MappingNode):
            kind = "a list" if isinstance(node, SequenceNode) else "a single value"
            message = f"{what} is a mapping of keys to values, but here is {kind}."
            self.error("wrong_type", node.place, message)
            return {}
        renamed, unsupported = renamed or {}, unsupported or {}
        written = {key.text for key, _ in node.entries}
        found: dict[str, Node] = {}
        for key, value in node.entries:
            name = self._in_lower_case(key, (*known, *renamed, *unsupported), written)
            if name in unsupported:
                if not _is_empty(value):
                    self.unsupported(key.place, f"'{name}' is", unsupported[name])
                continue
            if name in renamed:
                new = renamed[name]
                message = f"'{key.text}' is an old name: write '{new}'."
                self.old_syntax(key.place, message, rename(key.place, key.text, new))
                if new in written:
                    continue
                name = new
            if name not in known:
                message = f"{what} has no {word} '{name}'; it is ignored."
                self.unknown(f"unknown_{word}", "warning", key, message, known)
            elif not is_null(value):
                found[name] = value
        return found

    def _in_lower_case(self, key: Scalar, known: Sequence[str], written: set[str]) -> str:
        """The known name that a key stands for: the original took no notice of case."""
        name, lower = key.text, key.text.lower()
        if name in known or lower not in known:
            return name
        if lower in written:
            message = f"The key '{name}' is '{lower}' a second time: the case makes no difference."
            self.error("duplicate_key", key.place, message)
            return lower
        message = f"Keys are written in lower case: '{name}' is read as '{lower}'."
        self.warning("key_case", key.place, message, rename(key.place, name, lower))
        return lower

    def close_to(self, word: str, known: Iterable[str]) -> str:
        """The known word closest to `word`, or an empty string.

        Always empty once there are many problems: a long comparison each would take minutes.
        """
        if len(self._problems) > MAX_GUESSES:
            return ""
        return did_you_mean(word[:_LONGEST_GUESS], islice(known, _MOST_COMPARED))

    def unknown(
        self,
        code: str,
        severity: Severity,
        node: Scalar,
        message: str,
        known: Sequence[str],
    ) -> None:
        """Note a word that is none of the known ones, with the closest as a fix."""
        close = self.close_to(self.text(node, ""), known)
        listed = f" Known are {', '.join(known)}." if known else ""
        hint = f" Did you mean '{close}'?" if close else listed
        fix = rename(node.place, node.text, close) if close else None
        self.note(Problem(code, severity, node.place, message + hint, fix))

    def items(self, node: Node | None, what: str) -> Iterator[Node]:
        """The items of a list; a single mapping in its place is an error."""
        if node is None or is_null(node):
            return
        if not isinstance(node, SequenceNode):
            message = f"{what} is a list: start each item with a dash."
            self.error("wrong_type", node.place, message)
            return
        yield from node.items

    def text(self, node: Node | None, what: str, default: str = "") -> str:
        """A scalar as it was written; numbers count as text."""
        if node is None or is_null(node):
            return default
        if not isinstance(node, Scalar):
            self.error("wrong_type", node.place, f"{what} is a single value.")
            return default
        text = self._variables.expand(node)
        return text.strip() if not node.style else text

    def plain(self, node: Node) -> Value | list[Value]:
        """A value as YAML 1.2 has it, or a list of such; None for a mapping."""
        if isinstance(node, SequenceNode):
            return [one.value if isinstance(one, Scalar) else None for one in node.items]
        if not isinstance(node, Scalar):
            return None
        text = self._variables.expand(node)
        return node.value if text == node.text else resolve(text.strip())

    def choice(self, node: Node | None, what: str, choices: tuple[_C, ...], default: _C) -> _C:
        """One of a few words."""
        text = self.text(node, what, default)
        if isinstance(node, Scalar) and text not in choices:
            message = f"{what} is one of {', '.join(choices)}."
            self.unknown("invalid_value", "error", node, message, choices)
        return next((choice for choice in choices if choice == text), default)

    def flag(self, node: Node | None, what: str, default: bool) -> bool:
        """`true` or `false`, quoted or not."""
        if node is None:
            return default
        text = self.text(node, what).lower()
        if text not in ("true", "false"):
            hint = ""
            if text in ("yes", "on", "no", "off"):
                hint = f" In YAML 1.2 '{text}' is a text."
            self.error("invalid_value", node.place, f"{what} is true or false.{hint}")
            return default
        return text == "true"

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
        if not isinstance(node, Scalar):
            return None
        # As YAML 1.2 has numbers: Python's float() takes 1_000, too.
        value = resolve(self._variables.expand(node).strip())
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value) if math.isfinite(value) else None

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
        """A piece of code with its place; variables in it are left alone."""
        if node is None or is_null(node):
            return None
        if not isinstance(node, Scalar):
            self.error("wrong_type", node.place, f"{what} is Python code.")
            return None
        return source_of(node, self.file, self._lines)

    def is_flow(self, node: Node) -> bool:
        """Whether a list or mapping is written in brackets or braces."""
        line = node.place.line - 1
        written = self._lines[line] if line < len(self._lines) else ""
        return written[node.place.column - 1 : node.place.column] in ("[", "{")


def rename(place: Place, old: str, new: str) -> Fix:
    """The edit that puts one word in place of another."""
    return Fix(f"Change '{old}' to '{new}'", place, new)


def is_null(node: Node) -> bool:
    """Whether a node is null, which counts as not written at all."""
    return isinstance(node, Scalar) and node.value is None


def _is_empty(node: Node) -> bool:
    """Null, or a list or mapping with nothing in it: it changes nothing."""
    if isinstance(node, Scalar):
        return node.value is None
    return not (node.items if isinstance(node, SequenceNode) else node.entries)
