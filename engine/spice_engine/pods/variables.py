"""Environment variables in a manifest: `${NAME}`, and the original's bare `SPICE_NAME`.

They are replaced in values while these are read, so that places stay those of the text; keys and
code never change. The original replaced text anywhere, and a name that began another broke it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from spice_engine.errors import Place
from spice_engine.pods.problems import Problem
from spice_engine.yaml_tree import Scalar

_VARIABLE = re.compile(r"\$\{(\w+)\}|(?<!\w)(SPICE_\w+)", re.ASCII)
_SECRET_LENGTH = 6
"""Values from this length on are hidden in messages about other places too."""


class Variables:
    """Replaces variables, remembers which were missing, and keeps values out of messages."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._expanded: dict[Place, str] = {}
        self._values: dict[str, str] = {}
        self._by_place: dict[Place, dict[str, str]] = {}
        self.missing: list[tuple[Place, str, bool]] = []
        """Place, name, and whether it was written as `${NAME}`; each once."""

    def expand(self, node: Scalar) -> str:
        """The text of a value with its variables replaced; unset ones stay as they are."""
        if "${" not in node.text and "SPICE_" not in node.text:
            return node.text
        # The same node may be read twice, or be an alias.
        if node.place not in self._expanded:
            self._expanded[node.place] = self._replaced(node)
        return self._expanded[node.place]

    def _replaced(self, node: Scalar) -> str:
        used = self._by_place.setdefault(node.place, {})

        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            found = self._environment.get(name)
            if found is None:
                self.missing.append((node.place, name, bool(match[1])))
                return match[0]
            if found:
                used[found] = match[0]
                self._values[found] = match[0]
            return found

        return _VARIABLE.sub(value, node.text)

    def is_unset(self, place: Place) -> bool:
        """Whether the value at a place holds a variable that is not set."""
        return any(place == missing for missing, _, _ in self.missing)

    def hide(self, problem: Problem) -> Problem:
        """The problem without the values of variables in its sentence or fix."""
        if not self._values:
            return problem
        known = {
            value: name for value, name in self._values.items() if len(value) >= _SECRET_LENGTH
        }
        own = self._by_place.get(problem.place, {})
        known |= own
        message = _hidden(problem.message, known)
        fix = problem.fix
        # A fix made from the value would write it into the file.
        if fix and (own or _hidden(fix.text + fix.title, known) != fix.text + fix.title):
            fix = None
        return replace(problem, message=message, fix=fix)


def _hidden(text: str, names: Mapping[str, str]) -> str:
    for value in sorted(names, key=len, reverse=True):
        text = text.replace(value, names[value])
    return text
