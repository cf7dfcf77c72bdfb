"""The check of effects and laws: what their code may do, and the formulas of what passes.

Effects are loop-free: assignments, `if` and expressions. A plain or dotted name is a field, an
`args.x` what the action's argument stands for, and any other name that is assigned first a
variable of the effect. A law is one expression.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from difflib import get_close_matches

from spice_engine.errors import Place
from spice_engine.learning.formula import (
    COMPARISONS,
    MATH_FUNCTIONS,
    MATH_NUMBERS,
    OPERATORS,
    PLAIN_FUNCTIONS,
    UNARY,
    Node,
    Resolve,
    translate,
    translate_value,
)
from spice_engine.learning.reward_check import MAX_INTEGER
from spice_engine.learning.reward_syntax import (
    ACTION_VALUE,
    MAX_EXPONENT,
    NAMES_OF,
    is_action_value,
    is_print,
    is_small_exponent,
    parse,
)
from spice_engine.learning.source import Finding, Source

EFFECT_CODE = "invalid_datasource_action_expression"
LAW_CODE = "invalid_law_expression"

Effect = tuple[Source, Mapping[str, str], Mapping[str, str | float]]
"""An effect's code, the field of each name, and the field or number of each argument.

An argument may be ACTION_VALUE, too: no field has that name.
"""
Law = tuple[Source, Mapping[str, str]]

_RESERVED = PLAIN_FUNCTIONS | {"math", "print", "args"}


def check_effects(
    effects: Mapping[str, Effect], laws: Sequence[Law], ranged: Collection[str] = ()
) -> tuple[Finding, ...]:
    """All findings in the effects of actions and in the laws; each once.

    In the effects of the `ranged` actions `action_value` is their value, and in laws where there
    is such an action.
    """
    found: dict[Finding, None] = {}
    for action, (source, names, arguments) in effects.items():
        checker = _Checker(EFFECT_CODE, source, names, arguments, valued=action in ranged)
        found.update(dict.fromkeys(checker.effect()))
    for source, names in laws:
        checker = _Checker(LAW_CODE, _stripped(source), names, {}, valued=bool(ranged))
        found.update(dict.fromkeys(checker.law()))
    return tuple(found)


def effect_formula(effect: Effect, fields: Sequence[str], value: float | None = None) -> list[Node]:
    """The formula of an effect that has passed the check; names of fields are their indices.

    `value` is that of an action with a range.
    """
    source, names, arguments = effect
    statements, _ = parse(source)
    return translate(statements, source, _resolver(source, names, arguments, fields, value))


def law_formula(law: Law, fields: Sequence[str], value: float | None = None) -> Node:
    """The formula of a law that has passed the check, for an action with that `value`."""
    source, names = _stripped(law[0]), law[1]
    (statement,) = parse(source)[0]
    assert isinstance(statement, ast.Expr)
    return translate_value(statement.value, source, _resolver(source, names, {}, fields, value))


def reads_value(law: Law) -> bool:
    """Whether a law reads the value of an action."""
    nodes = (node for one in parse(_stripped(law[0]))[0] for node in ast.walk(one))
    return ACTION_VALUE not in law[1] and any(is_action_value(node) for node in nodes)


def _resolver(
    source: Source,
    names: Mapping[str, str],
    arguments: Mapping[str, str | float],
    fields: Sequence[str],
    value: float | None,
) -> Resolve:
    index = {field: position for position, field in enumerate(fields)}

    def resolve(node: ast.expr) -> Node | None:
        name = dotted(node)
        if name is None:
            return None
        field: str | float | None = names.get(name)
        if field is None and name.startswith("args."):
            field = arguments.get(name.removeprefix("args."))
        if value is not None and (
            field == ACTION_VALUE or (field is None and name == ACTION_VALUE)
        ):
            field = value
        if field is None:
            return None
        if not isinstance(field, str):
            return ["number", field]
        at = source.place(
            node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0
        )
        return ["get", [at.line, at.column, at.end_line, at.end_column], index[field]]

    return resolve


def _stripped(source: Source) -> Source:
    """The source without the white space around it, which would not parse as an expression."""
    text = source.text.lstrip()
    skipped = source.text[: len(source.text) - len(text)]
    *lines, indent = skipped.split("\n")
    line, column = source.line + len(lines), source.column + len(indent)
    return Source(text.rstrip(), source.file, line, column, source.exact)


def dotted(node: ast.expr) -> str | None:
    """`a.b.c` for names and attributes of names; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


class _Checker:
    """Walks the code of one effect or law and yields what is not allowed in it."""

    def __init__(
        self,
        code: str,
        source: Source,
        names: Mapping[str, str],
        arguments: Mapping[str, str | float],
        *,
        valued: bool,
    ) -> None:
        self._code = code
        self._what = "An effect" if code == EFFECT_CODE else "A law"
        self._source = source
        self._names = names
        self._arguments = arguments
        self._given = {ACTION_VALUE} - names.keys() if valued else set[str]()
        self._variables: Set[str] = set()

    def effect(self) -> Iterator[Finding]:
        statements, trouble = parse(self._source, self._code)
        yield from trouble
        if trouble:
            return
        self._variables = _variables(statements, self._names) - self._given
        yield from self._unused(statements)
        yield from self._body(statements)
        if not any(True for _ in _written(statements, self._names)):
            place = self._source.place(1, 0)
            message = "This effect changes no field."
            yield Finding(self._code, "warning", place, message)

    def law(self) -> Iterator[Finding]:
        statements, trouble = parse(self._source, self._code)
        yield from trouble
        if trouble:
            return
        match statements:
            case [ast.Expr(value=value)]:
                yield from self._value(value)
            case _:
                message = "A law is one expression that is true where the state is lawful."
                place = self._source.place(1, 0)
                yield Finding(
                    self._code, "error", place, message, "As an example: usd_balance >= 0."
                )

    def _error(self, node: ast.expr | ast.stmt, message: str, hint: str = "") -> Finding:
        return Finding(self._code, "error", self._place(node), message, hint)

    def _place(self, node: ast.expr | ast.stmt) -> Place:
        return self._source.place(
            node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0
        )

    def _refused(self, node: ast.expr | ast.stmt) -> Finding:
        what = NAMES_OF.get(type(node), f"'{type(node).__name__}'")
        return self._error(node, f"{self._what} may not use {what}.")

    def _unused(self, statements: Sequence[ast.stmt]) -> Iterator[Finding]:
        nodes = [node for statement in statements for node in ast.walk(statement)]
        read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        for node in nodes:
            if isinstance(node, ast.Name) and node.id in self._variables - read:
                # Nearly always a field misspelled, and then the effect would do nothing.
                message = f"'{node.id}' is no field, and nothing reads it."
                yield self._error(node, message, self._suggest(node.id))

    def _body(self, statements: Sequence[ast.stmt]) -> Iterator[Finding]:
        for statement in statements:
            yield from self._statement(statement)

    def _statement(self, node: ast.stmt) -> Iterator[Finding]:
        match node:
            case ast.Assign():
                yield from self._assign(node)
            case ast.AugAssign():
                yield from self._target(node.target)
                yield from self._value(_as_load(node.target))
                yield from self._operator(node, node.op, node.value)
                yield from self._value(node.value)
            case ast.If():
                yield from self._value(node.test)
                yield from self._body([*node.body, *node.orelse])
            case ast.Pass() | ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.Expr() if is_print(node):
                message = "'print' does nothing here and is left out."
                yield Finding("ignored_print", "warning", self._place(node), message)
            case ast.Expr():
                yield from self._value(node.value)
            case ast.For():
                yield self._error(node, f"{self._what} may not use loops.")
            case _:
                yield self._refused(node)

    def _assign(self, node: ast.Assign) -> Iterator[Finding]:
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        for value in values:
            yield from self._value(value)
        for target in node.targets:
            elements = target.elts if isinstance(target, ast.Tuple) else [target]
            both = isinstance(target, ast.Tuple) == isinstance(node.value, ast.Tuple)
            if not both or len(elements) != len(values):
                yield self._error(target, "There are not as many names as values.")
            for element in elements:
                yield from self._target(element)

    def _target(self, node: ast.expr) -> Iterator[Finding]:
        name = dotted(node)
        if name is None:
            yield self._error(node, "Only fields and plain names can be assigned to.")
        elif name in self._names:
            return
        elif name.split(".")[0] in _RESERVED or name.startswith("__") or name in self._given:
            yield self._error(node, f"'{name}' cannot be assigned to.")
        elif "." in name:
            yield self._error(node, f"There is no field '{name}'.", self._suggest(name))

    def _value(self, node: ast.expr) -> Iterator[Finding]:
        match node:
            case ast.Constant():
                yield from self._constant(node)
            case ast.Name() | ast.Attribute():
                yield from self._name(node)
            case ast.BinOp():
                yield from self._operator(node, node.op, node.right)
                yield from self._values([node.left, node.right])
            case ast.UnaryOp():
                if type(node.op) not in UNARY:
                    yield self._error(node, f"{self._what} may not use '~'.")
                yield from self._value(node.operand)
            case ast.BoolOp():
                yield from self._values(node.values)
            case ast.Compare():
                if any(type(operator) not in COMPARISONS for operator in node.ops):
                    yield self._error(node, f"{self._what} compares by <, <=, >, >=, == and !=.")
                yield from self._values([node.left, *node.comparators])
            case ast.IfExp():
                yield from self._values([node.test, node.body, node.orelse])
            case ast.Call():
                yield from self._call(node)
            case _:
                yield self._refused(node)

    def _values(self, nodes: Sequence[ast.expr]) -> Iterator[Finding]:
        for node in nodes:
            yield from self._value(node)

    def _constant(self, node: ast.Constant) -> Iterator[Finding]:
        if not isinstance(node.value, bool | int | float):
            yield self._error(node, f"{self._what} works on numbers: this is not one.")
        elif isinstance(node.value, int) and abs(node.value) >= MAX_INTEGER:
            yield self._error(node, "This integer is too large; write it as a float.")

    def _name(self, node: ast.Name | ast.Attribute) -> Iterator[Finding]:
        name = dotted(node)
        if name is None:
            yield self._refused(node)
        elif name in self._names or name in self._variables or name in self._given:
            return
        elif name.startswith("args."):
            short = name.removeprefix("args.")
            if short not in self._arguments:
                known = ", ".join(sorted(self._arguments)) or "none"
                message = f"The argument '{short}' is not given."
                yield self._error(node, message, f"Arguments of this action: {known}.")
        elif name.startswith("math."):
            short = name.removeprefix("math.")
            if short in MATH_FUNCTIONS:
                yield self._error(node, f"'{name}' is a function: call it.")
            elif short not in MATH_NUMBERS:
                yield self._error(node, f"'{name}' is not allowed.")
        elif name in _RESERVED:
            yield self._error(node, f"'{name}' is a function or module: call it.")
        else:
            yield self._error(node, f"'{name}' is not defined.", self._suggest(name))

    def _suggest(self, name: str) -> str:
        if name == ACTION_VALUE:
            return "It is there where an action has a range."
        known = [*self._names, *self._variables - {name}, *(f"args.{a}" for a in self._arguments)]
        ends = [one for one in self._names if one.replace(".", "_").endswith(f"_{name}")]
        best = next(iter([*get_close_matches(name, known, n=1), *ends]), "")
        return f"Did you mean '{best}'?" if best else ""

    def _operator(
        self, node: ast.expr | ast.stmt, operator: ast.operator, right: ast.expr
    ) -> Iterator[Finding]:
        if type(operator) not in OPERATORS:
            yield self._error(node, f"{self._what} may not use '{type(operator).__name__}'.")
        if isinstance(operator, ast.Pow) and not is_small_exponent(right):
            message = f"An exponent must be a number from -{MAX_EXPONENT} to {MAX_EXPONENT}."
            yield self._error(right, message, "Use math.pow(x, y) for others.")

    def _call(self, node: ast.Call) -> Iterator[Finding]:
        name = dotted(node.func) or ""
        allowed = {*PLAIN_FUNCTIONS, *(f"math.{one}" for one in MATH_FUNCTIONS)}
        if not name:
            yield self._error(node.func, "Only functions can be called.")
            return
        if name not in allowed:
            close = get_close_matches(name, sorted(allowed), n=1)
            plain = f"Allowed are {', '.join(sorted(PLAIN_FUNCTIONS))} and those of math."
            hint = f"Did you mean '{close[0]}'?" if close else plain
            yield self._error(node.func, f"The function '{name}' is not allowed.", hint)
        if name in {"min", "max"} and len(node.args) < 2:
            yield self._error(node, f"'{name}' takes two numbers or more.")
        for keyword in node.keywords:
            yield self._error(keyword.value, "Named arguments are not allowed here.")
        yield from self._values(node.args)


def _as_load(node: ast.expr) -> ast.expr:
    return (
        ast.copy_location(ast.Name(node.id, ast.Load()), node)
        if isinstance(node, ast.Name)
        else node
    )


def _targets(statements: Sequence[ast.stmt]) -> Iterator[ast.expr]:
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                yield node


def _variables(statements: Sequence[ast.stmt], names: Mapping[str, str]) -> set[str]:
    """Plain names that are assigned and are no fields."""
    found = {n.id for n in _targets(statements) if isinstance(n, ast.Name)}
    return found - names.keys() - _RESERVED


def _written(statements: Sequence[ast.stmt], names: Mapping[str, str]) -> Iterator[str]:
    for node in _targets(statements):
        if (name := dotted(node)) in names:
            yield names[name or ""]
