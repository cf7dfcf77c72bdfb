"""Formulas as compiled Python functions: a rollout runs them thousands of times.

For the trainer's process only. A formula is checked code in the form of data (see `formula`), so
nothing is compiled here that the user could not have written; the engine itself runs the same
formulas without compiling them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from spice_engine.learning.effects import Effects
from spice_engine.learning.formula import Name, Node, names, set_names
from spice_engine.learning.formula_scalar import OPERATORS, function

State = list[float]
Move = Callable[[State], State | None]

_WRITTEN_AS_SUCH = frozenset("+-/%&|^") | {"//"}
"""Operators of Python; the others are called, as `formula_scalar` bounds their integers."""


def compile_moves(effects: Effects) -> dict[str, Move]:
    """For each action with an effect the function of `compile_move`."""
    return {action: compile_move(*effects.formulas(action)) for action in sorted(effects.actions)}


def compile_move(effect: Sequence[Node], laws: Sequence[Node]) -> Move:
    """A function from a state to the state after the effect, or None where a law fails on it.

    In the formulas integers name the fields of the state. The function raises what the code
    raises; it does not check that the numbers it stores are finite.
    """
    writer = _Writer()
    written = [name for name in set_names(effect) if isinstance(name, int)]
    read = [name for name in names(effect) if isinstance(name, int)]
    lines = ["def move(state):"]
    lines += [f" {_name(name)} = state[{name}]" for name in dict.fromkeys(read + written)]
    lines += writer.body(effect, 1)
    lines.append(" after = state.copy()")
    lines += [f" after[{name}] = float({_name(name)})" for name in written]
    if laws:
        for name in dict.fromkeys(name for law in laws for name in names([["do", law]])):
            lines.append(f" {_name(name)} = after[{name}]")
        lines += [f" if not {writer.value(law)}: return None" for law in laws]
    lines.append(" return after")
    exec(compile("\n".join(lines), "<effect>", "exec"), writer.namespace)
    return writer.namespace["move"]


def _name(name: Name) -> str:
    return f"f{name}" if isinstance(name, int) else f"v_{name}"


class _Writer:
    """Writes Python for formulas; functions and odd numbers come from `namespace`."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"__builtins__": {}, "float": float}

    def _give(self, value: Any) -> str:
        name = f"c{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def body(self, statements: Sequence[Node], depth: int) -> list[str]:
        indent = " " * depth
        lines: list[str] = []
        for node in statements:
            match node[0]:
                case "set":
                    values = ", ".join(self.value(value) for value in node[1])
                    targets = (", ".join(map(_name, target)) for target in node[2])
                    lines.append(indent + " = ".join([*targets, values]))
                case "when":
                    lines.append(f"{indent}if {self.value(node[1])}:")
                    lines += self.body(node[2], depth + 1)
                    lines.append(f"{indent}else:")
                    lines += self.body(node[3], depth + 1)
                case _:
                    lines.append(indent + self.value(node[1]))
        return lines or [f"{indent}pass"]

    def value(self, node: Node) -> str:
        match node[0]:
            case "number":
                number = node[1]
                plain = isinstance(number, bool | int) or math.isfinite(number)
                return f"({number!r})" if plain else self._give(number)
            case "get":
                return _name(node[2])
            case "operator":
                left, right = self.value(node[3]), self.value(node[4])
                if node[2] in _WRITTEN_AS_SUCH:
                    return f"({left} {node[2]} {right})"
                return f"{self._give(OPERATORS[node[2]])}({left}, {right})"
            case "unary":
                return f"({node[2]} {self.value(node[3])})"
            case "and" | "or":
                return "(" + f" {node[0]} ".join(map(self.value, node[1])) + ")"
            case "compare":
                pairs = zip(node[3], node[4], strict=True)
                rest = "".join(f" {symbol} {self.value(other)}" for symbol, other in pairs)
                return f"({self.value(node[2])}{rest})"
            case "pick":
                test, body, orelse = map(self.value, node[1:])
                return f"({body} if {test} else {orelse})"
            case _:
                arguments = ", ".join(map(self.value, node[3]))
                return f"{self._give(function(node[2]))}({arguments})"
