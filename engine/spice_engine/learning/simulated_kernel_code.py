"""Formulas as scalar code for a compiler: doubles and flags, with Python's results to the bit.

What `formula_columns` does for columns, this writes down for one row: each value has a kind, so
that integers are exact and have no negative zero. Where Python might raise, or float64 not hold an
integer, the code written here ends with TROUBLE; the state is then done by whoever can say more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from spice_engine.learning.column_values import EXACT
from spice_engine.learning.formula import Name, Node, names
from spice_engine.learning.formula_scalar import FormulaError, build_value
from spice_engine.records import record

Kind = Literal["flag", "int", "float", "mixed"]
"""What Python would hold: `mixed` is an integer or a float, which of them depends on the row."""

MAX_DEPTH = 60
"""Python's parser takes 100 levels of indentation."""
MAX_LINES = 4_000

_TESTS = {"math.isnan": "np.isnan", "math.isinf": "np.isinf", "math.isfinite": "np.isfinite"}
_WHOLE = {
    "int": "np.trunc",
    "round": "np.rint",
    "math.trunc": "np.trunc",
    "math.floor": "np.floor",
    "math.ceil": "np.ceil",
}


class Uncompiled(Exception):
    """There is no scalar form of this formula."""


@record
class Term:
    """A value in the written code: a name or a literal, never to be evaluated twice at a cost."""

    text: str
    kind: Kind

    @property
    def number(self) -> str:
        """The text of its double."""
        return f"(1.0 if {self.text} else 0.0)" if self.kind == "flag" else self.text

    @property
    def truth(self) -> str:
        """The text of its truth as Python has it, NaN being true."""
        return self.text if self.kind == "flag" else f"({self.text} != 0.0)"


class Writer:
    """Writes the body of a function; `given` are the texts of names that hold doubles at first.

    `trouble` is the statement that ends the function where a row is to be done elsewhere. Two
    writers of one function have a `prefix` each for their own names.
    """

    def __init__(self, given: Mapping[Name, str], trouble: str, prefix: str = "") -> None:
        self.lines: list[str] = []
        self._trouble = trouble
        self._prefix = prefix
        self._depth = 1
        self._count = 0
        self._texts: dict[Name, str] = {}
        self._kinds: dict[Name, Kind] = {}
        for name, text in given.items():
            self._kinds[name] = "float"
            self.line(f"{self._text(name)} = {text}")

    def line(self, text: str) -> None:
        """Writes one line; raises Uncompiled where the code grows beyond reason."""
        if self._depth > MAX_DEPTH or len(self.lines) >= MAX_LINES:
            raise Uncompiled("too large")
        self.lines.append(" " * self._depth + text)

    def _text(self, name: Name) -> str:
        return self._texts.setdefault(name, f"{self._prefix}v{len(self._texts)}")

    def _new(self) -> str:
        self._count += 1
        return f"{self._prefix}t{self._count}"

    def _give(self, text: str, kind: Kind) -> Term:
        name = self._new()
        self.line(f"{name} = {text}")
        return Term(name, kind)

    def _refuse(self, test: str) -> None:
        self.line(f"if {test}: {self._trouble}")

    def body(self, statements: Sequence[Node]) -> None:
        """Writes statements; raises Uncompiled."""
        for node in statements:
            match node[0]:
                case "set":
                    found = [self.value(value) for value in node[1]]
                    for target in node[2]:
                        for name, term in zip(target, found, strict=True):
                            self.line(f"{self._text(name)} = {term.number}")
                            self._kinds[name] = term.kind
                case "when":
                    self._when(node)
                case _:
                    self.value(node[1])

    def _when(self, node: Node) -> None:
        test = self.value(node[1])
        before = dict(self._kinds)
        self.line(f"if {test.truth}:")
        self._inside(lambda: self.body(node[2]))
        yes, self._kinds = self._kinds, before
        self.line("else:")
        self._inside(lambda: self.body(node[3]))
        # What only one of the branches sets has no value for certain.
        self._kinds = {
            name: _join(kind, yes[name]) for name, kind in self._kinds.items() if name in yes
        }

    def _inside(self, write: Callable[[], None]) -> None:
        """What `write` writes, one level in."""
        self._depth += 1
        done = len(self.lines)
        write()
        if len(self.lines) == done:
            self.line("pass")
        self._depth -= 1

    def number_of(self, name: Name) -> str:
        """The text of the double that a name holds; raises Uncompiled where it may have none."""
        if name not in self._kinds:
            raise Uncompiled(str(name))
        return self._text(name)

    def value(self, node: Node) -> Term:
        """Writes what a value takes; raises Uncompiled."""
        if node[0] not in {"number", "get"} and not names([["do", node]]):
            return _constant(_plain(node))
        match node[0]:
            case "number":
                return _constant(node[1])
            case "get":
                return self._get(node[2])
            case "operator":
                return self._operator(node[2], self.value(node[3]), self.value(node[4]))
            case "unary":
                return self._unary(node[2], self.value(node[3]))
            case "and" | "or":
                return self._logic(node[1], node[0] == "and")
            case "compare":
                return self._compare(node[2], node[3], node[4])
            case "pick":
                return self._pick(*node[1:])
            case _:
                return self._call(node[2], [self.value(one) for one in node[3]])

    def _get(self, name: Name) -> Term:
        text, kind = self.number_of(name), self._kinds[name]
        # A copy: the name may be set before its value is used.
        return self._give(f"{text} != 0.0" if kind == "flag" else text, kind)

    def _operator(self, symbol: str, left: Term, right: Term) -> Term:
        x, y = left.number, right.number
        kind = _arithmetic(left.kind, right.kind)
        match symbol:
            case "+" | "-" | "*":
                return self._exact(self._give(f"{x} {symbol} {y}", kind), signed=symbol == "*")
            case "/":
                self._refuse(f"{y} == 0.0")
                return self._give(f"{x} / {y}", "float")
            case "//" | "%":
                return self._divided(x, y, kind, floor=symbol == "//")
            case "&" | "|" | "^" if left.kind == right.kind == "flag":
                return self._give(f"{left.text} {symbol} {right.text}", "flag")
            case _:
                raise Uncompiled(symbol)

    def _exact(self, term: Term, *, signed: bool) -> Term:
        """A result in which integers are exact, and zeros of theirs positive."""
        if term.kind == "float":
            return term
        self._refuse(f"not (abs({term.text}) < EXACT)")
        if term.kind == "int":
            return self._give(f"{term.text} + 0.0", "int")
        if signed:
            self._refuse(f"{term.text} == 0.0")
        return term

    def _divided(self, x: str, y: str, kind: Kind, *, floor: bool) -> Term:
        """The floor of a quotient, or the rest, as Python's `divmod` has them."""
        if kind == "mixed":
            raise Uncompiled("divmod")
        self._refuse(f"{y} == 0.0")
        if kind == "int":
            self._refuse(f"not (abs({x}) < EXACT and abs({y}) < EXACT)")
        rest, quotient = self._new(), self._new()
        self.line(f"{rest} = np.fmod({x}, {y})")
        self.line(f"{quotient} = ({x} - {rest}) / {y}")
        self.line(f"if {rest} != 0.0:")
        self.line(f" if ({y} < 0.0) != ({rest} < 0.0):")
        self.line(f"  {rest} = {rest} + {y}")
        self.line(f"  {quotient} = {quotient} - 1.0")
        self.line("else:")
        self.line(f" {rest} = np.copysign(0.0, {y})")
        if not floor:
            return self._exact(Term(rest, kind), signed=True)
        whole = self._new()
        self.line(f"{whole} = np.floor({quotient})")
        self.line(f"if {quotient} - {whole} > 0.5: {whole} = {whole} + 1.0")
        self.line(f"if {quotient} == 0.0: {whole} = np.copysign(0.0, {x} / {y})")
        return self._exact(Term(whole, kind), signed=True)

    def _unary(self, symbol: str, operand: Term) -> Term:
        if symbol == "not":
            return self._give(f"not {operand.truth}", "flag")
        kind = _arithmetic(operand.kind, operand.kind)
        if symbol == "+":
            return self._give(operand.number, kind)
        if kind == "int":
            return self._give(f"0.0 - {operand.number}", "int")
        if kind == "mixed":
            self._refuse(f"{operand.text} == 0.0")
        return self._give(f"-{operand.text}", kind)

    def _logic(self, values: Sequence[Node], is_and: bool) -> Term:
        result, depth = self._new(), self._depth
        kinds: list[Kind] = []
        for index, value in enumerate(values):
            term = self.value(value)
            kinds.append(term.kind)
            self.line(f"{result} = {term.number}")
            if index < len(values) - 1:
                self.line(f"if {term.truth}:" if is_and else f"if not {term.truth}:")
                self._depth += 1
        self._depth = depth
        return self._joined(result, kinds)

    def _joined(self, result: str, kinds: Sequence[Kind]) -> Term:
        kind = kinds[0]
        for one in kinds[1:]:
            kind = _join(kind, one)
        return self._give(f"{result} != 0.0", "flag") if kind == "flag" else Term(result, kind)

    def _compare(self, first: Node, symbols: Sequence[str], others: Sequence[Node]) -> Term:
        left = self.value(first)
        if len(symbols) == 1:
            right = self.value(others[0])
            return self._give(f"{left.number} {symbols[0]} {right.number}", "flag")
        result, depth = self._new(), self._depth
        self.line(f"{result} = False")
        for symbol, other in zip(symbols, others, strict=True):
            right = self.value(other)
            self.line(f"if {left.number} {symbol} {right.number}:")
            self._depth += 1
            left = right
        self.line(f"{result} = True")
        self._depth = depth
        return Term(result, "flag")

    def _pick(self, test: Node, body: Node, orelse: Node) -> Term:
        result = self._new()
        kinds: list[Kind] = []

        def write(value: Node) -> None:
            term = self.value(value)
            kinds.append(term.kind)
            self.line(f"{result} = {term.number}")

        asked = self.value(test)
        self.line(f"if {asked.truth}:")
        self._inside(lambda: write(body))
        self.line("else:")
        self._inside(lambda: write(orelse))
        return self._joined(result, kinds)

    def _call(self, name: str, terms: Sequence[Term]) -> Term:
        if name in {"min", "max"}:
            return self._extreme("<" if name == "min" else ">", terms)
        if name == "math.copysign" and len(terms) == 2:
            x, y = terms
            return self._give(f"np.copysign({x.number}, {y.number})", "float")
        if len(terms) != 1:
            raise Uncompiled(name)
        (term,) = terms
        x = term.number
        if name in _WHOLE:
            self._refuse(f"not np.isfinite({x})")
            return self._give(f"{_WHOLE[name]}({x}) + 0.0", "int")
        if name in _TESTS:
            return self._give(f"{_TESTS[name]}({x})", "flag")
        match name:
            case "abs":
                return self._give(f"abs({x})", _arithmetic(term.kind, term.kind))
            case "math.fabs":
                return self._give(f"abs({x})", "float")
            case "float":
                return self._give(x, "float")
            case "bool":
                return self._give(term.truth, "flag")
            case "math.sqrt":
                self._refuse(f"{x} < 0.0")
                return self._give(f"np.sqrt({x})", "float")
            case _:
                raise Uncompiled(name)

    def _extreme(self, better: str, terms: Sequence[Term]) -> Term:
        """The first of equals stays, and NaN is never better."""
        best = self._new()
        self.line(f"{best} = {terms[0].number}")
        for term in terms[1:]:
            self.line(f"if {term.number} {better} {best}: {best} = {term.number}")
        return self._joined(best, [term.kind for term in terms])


def _arithmetic(one: Kind, other: Kind) -> Kind:
    """The kind of a sum, difference or product."""
    if "float" in (one, other):
        return "float"
    return "mixed" if "mixed" in (one, other) else "int"


def _join(one: Kind, other: Kind) -> Kind:
    """The kind of what is of the one kind or of the other."""
    if one == other:
        return one
    return "int" if {one, other} == {"flag", "int"} else "mixed"


def _plain(node: Node) -> float | int | bool:
    """What code without names gives."""
    try:
        found = build_value(node)({})
    except FormulaError as error:
        raise Uncompiled(node[0]) from error
    if not isinstance(found, float | int):
        raise Uncompiled(node[0])
    return found


def _constant(number: float | int | bool) -> Term:
    if isinstance(number, bool):
        return Term(repr(number), "flag")
    if isinstance(number, int):
        if abs(number) >= EXACT:
            raise Uncompiled("a large integer")
        return Term(f"({float(number)!r})", "int")
    if math.isfinite(number):
        return Term(f"({number!r})", "float")
    return Term("NAN" if math.isnan(number) else "INF" if number > 0 else "(-INF)", "float")
