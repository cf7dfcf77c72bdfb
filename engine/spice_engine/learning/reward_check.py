"""The check of inline rewards: what reward code may do, and a finding for all that it may not.

The check is what keeps hostile or careless manifests harmless: no imports, attributes, function
definitions, comprehensions, `while`, no strings, no growing lists, no large powers. What it lets
through still can loop for long; limits and the deadline of the trainer's process end that.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches

from spice_engine.errors import InvalidRewards, Place
from spice_engine.learning.reward_kinds import (
    ATTRIBUTES,
    NOTE,
    NOTES,
    NUMBER,
    SEQUENCE,
    TEXT,
    TEXTS,
    Kinds,
    Names,
    elements,
    kinds,
    kinds_of_names,
)
from spice_engine.learning.reward_syntax import (
    ACTION_VALUE,
    FUNCTIONS,
    INTERPRETATIONS,
    MAX_EXPONENT,
    NAMES_OF,
    OLD_STATES,
    STATES,
    Access,
    assigned_names,
    is_none,
    is_print,
    is_small_exponent,
    is_text,
    notes_access,
    parse,
    state_access,
)
from spice_engine.learning.source import Finding, Source

MAX_INTEGER = 2**63

_TAKE_SEQUENCES = frozenset({"min", "max", "len", "sum", "bool", "fsum", "prod", "dist"})
# Integers of any size come out of these, from small arguments.
_MATH_REFUSED = frozenset({"factorial", "comb", "perm"})
MATH = frozenset(n for n in dir(math) if not n.startswith("_")) - _MATH_REFUSED
_TAKE_ANY_LIST = frozenset({"len", "bool"})
_RESERVED = FUNCTIONS | STATES.keys() | INTERPRETATIONS.keys() | {"math", "print"}
_STATEMENTS = (
    ast.Assign, ast.AugAssign, ast.If, ast.For, ast.Expr, ast.Pass,
    ast.Break, ast.Continue,
)  # fmt: skip
_OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
    ast.BitAnd, ast.BitOr, ast.BitXor,
)  # fmt: skip
_USE_OF_NOTES = (
    "Interpretations can be tested, looped over and indexed; their texts compared by ==, != and in."
)


class InvalidRewardValue(InvalidRewards):
    """Reward code gave NaN, an infinity, or something that is no number.

    Here because the engine must know the class that its children raise.
    """

    code = "invalid_reward_value"


def check_rewards(
    init: Source | None,
    codes: Mapping[str, Source],
    fields: Sequence[str],
    ranged: Collection[str] = (),
) -> tuple[Finding, ...]:
    """All findings in the rewards of a pod, `init` standing before each action's code.

    In the code of the `ranged` actions `action_value` is their value.
    """
    findings: dict[Finding, None] = {}
    start, trouble = parse(init) if init else ([], [])
    findings.update(dict.fromkeys(trouble))
    init_broken = bool(trouble)
    for action, code in codes.items():
        body, trouble = parse(code)
        findings.update(dict.fromkeys(trouble))
        if trouble:
            continue
        names = assigned_names([*start, *body])
        known = kinds_of_names([*start, *body])
        # What a broken init would have assigned is unknown: don't call its names undefined.
        for source, statements in ((init, start), (code, body)):
            if source and not (init_broken and source is code):
                given = {ACTION_VALUE} if source is code and action in ranged else set[str]()
                checker = _Checker(source, fields, names | given, known, given)
                findings.update(dict.fromkeys(checker.check(statements)))
        if "reward" not in names and not init_broken:
            message = f"The reward for action '{action}' never assigns 'reward'."
            findings[Finding("invalid_reward_function", "error", code.place(1, 0), message)] = None
    return tuple(findings)


class _Checker:
    """Walks one piece of code and yields what is not allowed in it."""

    def __init__(
        self,
        source: Source,
        fields: Sequence[str],
        names: set[str],
        known: Names,
        given: Collection[str],
    ) -> None:
        self._source = source
        self._fields = fields
        self._names = names
        self._known = known
        self._given = given

    def _kinds(self, node: ast.expr) -> Kinds:
        return kinds(node, self._known)

    def check(self, statements: Sequence[ast.stmt]) -> Iterator[Finding]:
        for statement in statements:
            yield from self._statement(statement)

    def _error(self, node: ast.expr | ast.stmt, message: str, hint: str = "") -> Finding:
        return Finding("invalid_reward_function", "error", self._place(node), message, hint)

    def _place(self, node: ast.expr | ast.stmt) -> Place:
        return self._source.place(
            node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0
        )

    def _refused(self, node: ast.expr | ast.stmt) -> Finding:
        what = NAMES_OF.get(type(node), f"'{type(node).__name__}'")
        return self._error(node, f"Reward code may not use {what}.")

    def _statement(self, node: ast.stmt) -> Iterator[Finding]:
        if not isinstance(node, _STATEMENTS):
            yield self._refused(node)
            return
        match node:
            case ast.Assign():
                yield from self._value(node.value)
                for target in node.targets:
                    yield from self._target(target, node.value)
            case ast.AugAssign():
                yield from self._target(node.target, None)
                yield from self._operator(node, node.op, node.value)
                yield from self._number(node.value)
                if not self._kinds(node.target) <= NUMBER:
                    yield self._error(node, "Lists cannot grow in reward code.")
            case ast.If():
                yield from self._value(node.test)
                yield from self.check([*node.body, *node.orelse])
            case ast.For():
                yield from self._loop(node)
            case ast.Expr():
                yield from self._lone_expression(node)
            case _:
                pass

    def _loop(self, node: ast.For) -> Iterator[Finding]:
        if isinstance(node.target, ast.Name):
            yield from self._target(node.target, None)
        else:
            yield self._error(node.target, "A loop in reward code has one variable.")
        found = self._kinds(node.iter)
        if not found <= SEQUENCE | NOTES | TEXTS:
            yield self._error(node.iter, "A loop goes over range(...) or a list.")
        elif len(found) > 1:
            yield self._error(node.iter, "A loop goes over one kind of list.")
        yield from self._value(node.iter)
        yield from self.check([*node.body, *node.orelse])

    def _lone_expression(self, node: ast.Expr) -> Iterator[Finding]:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return
        if is_print(node):
            message = "'print' does nothing here and is left out."
            yield Finding("ignored_print", "warning", self._place(node), message)
            return
        yield from self._value(node.value)

    def _target(self, node: ast.expr, value: ast.expr | None) -> Iterator[Finding]:
        if isinstance(node, ast.Name):
            if node.id in _RESERVED or node.id.startswith("__") or node.id in self._given:
                yield self._error(node, f"'{node.id}' is taken: choose another name.")
        elif isinstance(node, ast.Tuple) and isinstance(value, ast.Tuple):
            if len(node.elts) != len(value.elts):
                yield self._error(node, "There are not as many names as values.")
            for element in node.elts:
                yield from self._target(element, None)
        elif state_access(node):
            yield self._error(node, "Reward code cannot change a state.")
        else:
            yield self._error(node, "Only plain names can be assigned to in reward code.")

    def _number(self, node: ast.expr) -> Iterator[Finding]:
        """An operand or argument that must not be a list, a text or an interpretation."""
        found = self._kinds(node)
        if found & SEQUENCE:
            yield self._error(node, "Lists cannot be added, repeated or nested in reward code.")
        elif not found <= NUMBER and not isinstance(node, ast.Constant):
            yield self._error(node, "This is not a number.", _USE_OF_NOTES)
        yield from self._value(node)

    def _value(self, node: ast.expr) -> Iterator[Finding]:
        if access := state_access(node):
            yield from self._access(node, access)
            return
        if access := notes_access(node):
            yield from self._notes(node, *access)
            return
        match node:
            case ast.Constant():
                yield from self._constant(node)
            case ast.Name():
                yield from self._name(node)
            case ast.BoolOp():
                for value in node.values:
                    yield from self._value(value)
            case ast.BinOp():
                yield from self._operator(node, node.op, node.right)
                yield from self._number(node.left)
                yield from self._number(node.right)
            case ast.UnaryOp(op=ast.Not()):
                yield from self._value(node.operand)
            case ast.UnaryOp():
                yield from self._number(node.operand)
            case ast.Compare():
                yield from self._compare(node)
            case ast.IfExp():
                for value in (node.test, node.body, node.orelse):
                    yield from self._value(value)
            case ast.List() | ast.Tuple():
                for value in node.elts:
                    yield from self._number(value)
            case ast.Subscript():
                yield from self._index(node)
            case ast.Call():
                yield from self._call(node)
            case ast.Attribute():
                yield from self._attribute(node)
            case _:
                yield self._refused(node)

    def _compare(self, node: ast.Compare) -> Iterator[Finding]:
        values = [node.left, *node.comparators]
        for left, operator, right in zip(values, node.ops, node.comparators, strict=False):
            one, other = self._kinds(left), self._kinds(right)
            if not (one | other) & (NOTES | NOTE | TEXT | TEXTS) or is_none(left, right):
                continue
            equal = isinstance(operator, ast.Eq | ast.NotEq) and one == other == TEXT
            inside = isinstance(operator, ast.In | ast.NotIn) and one == TEXT
            if not equal and not (inside and other in (TEXT, TEXTS)):
                yield self._error(node, "These cannot be compared so.", _USE_OF_NOTES)
        texts = {TEXT, TEXTS} & {self._kinds(one) for one in values if not is_text(one)}
        for value in values:
            if not (texts and is_text(value)):
                yield from self._value(value)

    def _constant(self, node: ast.Constant) -> Iterator[Finding]:
        value = node.value
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            yield self._error(node, "This integer is too large; write it as a float.")
        elif value is not None and not isinstance(value, bool | int | float):
            yield self._error(node, "Reward code works on numbers: this is not one.")

    def _name(self, node: ast.Name) -> Iterator[Finding]:
        name = node.id
        if name in STATES:
            yield self._error(
                node, f"'{name}' is used as a whole.", f'Name a field, as in {name}["field"].'
            )
        elif name in _RESERVED:
            yield self._error(node, f"'{name}' is a function or module: call it.")
        elif name not in self._names:
            yield self._error(node, f"'{name}' is not defined.", self._suggest_name(name))

    def _is_known(self, name: str) -> bool:
        return name in self._names or name in _RESERVED

    def _suggest_name(self, name: str) -> str:
        if name == ACTION_VALUE:
            return "It is there in the reward of an action with a range."
        ends = [field for field in self._fields if field == name or field.endswith(f"_{name}")]
        if ends:
            return f'For the field write current_state["{ends[0]}"] or next_state["{ends[0]}"].'
        known = [*self._names, *FUNCTIONS, *STATES]
        close = get_close_matches(name, known, n=1)
        return f"Did you mean '{close[0]}'?" if close else ""

    def _operator(
        self, node: ast.expr | ast.stmt, operator: ast.operator, right: ast.expr
    ) -> Iterator[Finding]:
        if not isinstance(operator, _OPERATORS):
            yield self._error(node, f"Reward code may not use '{type(operator).__name__}'.")
        if isinstance(operator, ast.Pow) and not is_small_exponent(right):
            message = f"An exponent must be a number from -{MAX_EXPONENT} to {MAX_EXPONENT}."
            yield self._error(right, message, "Use math.pow(x, y) for others.")

    def _index(self, node: ast.Subscript) -> Iterator[Finding]:
        if isinstance(node.value, ast.Name) and node.value.id in STATES:
            hint = f'Write {node.value.id}["field"].'
            yield self._error(node, "A field is named by a text in quotes.", hint)
            return
        if isinstance(node.value, ast.Name) and not self._is_known(node.value.id):
            yield from self._name(node.value)  # a state misspelled: the rest would only follow
            return
        found = self._kinds(node.value)
        if found and not elements(found):
            yield self._error(node, "Only lists and states can be indexed.")
        elif len(found) > 1:
            yield self._error(node, "This may be more than one kind of list.")
        yield from self._value(node.value)
        parts = [node.slice]
        if isinstance(node.slice, ast.Slice):
            bounds = (node.slice.lower, node.slice.upper, node.slice.step)
            parts = [bound for bound in bounds if bound is not None]
        for part in parts:
            yield from self._number(part)

    def _call(self, node: ast.Call) -> Iterator[Finding]:
        function = node.func
        if isinstance(function, ast.Name):
            name = function.id
            if name not in FUNCTIONS:
                known = f"Allowed are {', '.join(sorted(FUNCTIONS))} and those of math."
                close = get_close_matches(name, sorted(FUNCTIONS), n=1)
                hint = f"Did you mean '{close[0]}'?" if close else known
                yield self._error(function, f"The function '{name}' is not allowed.", hint)
        elif isinstance(function, ast.Attribute):
            name = function.attr
            yield from self._math(function)
        else:
            yield self._error(function, "Only functions can be called.")
            return
        for index, argument in enumerate(node.args):
            # Not the second of sum: it would make the sum itself a list.
            alone = len(node.args) == 1 or name == "dist" or (name == "sum" and index == 0)
            takes = NUMBER | SEQUENCE if name in _TAKE_SEQUENCES and alone else NUMBER
            if name in _TAKE_ANY_LIST and alone:
                takes |= NOTES | TEXTS
            fits = self._kinds(argument) <= takes
            yield from self._value(argument) if fits else self._number(argument)
        for keyword in node.keywords:
            if keyword.arg is None or (isinstance(function, ast.Name) and name != "round"):
                yield self._error(keyword.value, "Named arguments are not allowed here.")
            yield from self._number(keyword.value)

    def _attribute(self, node: ast.Attribute) -> Iterator[Finding]:
        if not self._kinds(node.value) & NOTE:
            yield from self._math(node)
            return
        yield from self._value(node.value)
        if self._kinds(node.value) != NOTE:
            yield self._error(node, "This may be something else than an interpretation.")
        elif node.attr not in ATTRIBUTES:
            close = get_close_matches(node.attr, ATTRIBUTES, n=1)
            hint = f"Did you mean '.{close[0]}'?" if close else ""
            known = ", ".join(f".{name}" for name in ATTRIBUTES)
            yield self._error(node, f"An interpretation has {known}.", hint)

    def _notes(self, node: ast.expr, state: str, old_syntax: bool) -> Iterator[Finding]:
        if old_syntax:
            new = f"{state}_state_interpretations"
            message = f"This is the old way to name interpretations; the new one is {new}."
            yield Finding("old_syntax", "warning", self._place(node), message, replacement=new)

    def _math(self, node: ast.Attribute) -> Iterator[Finding]:
        if not (isinstance(node.value, ast.Name) and node.value.id == "math"):
            yield self._refused(node)
        elif node.attr not in MATH:
            close = get_close_matches(node.attr, sorted(MATH), n=1)
            hint = f"Did you mean 'math.{close[0]}'?" if close else ""
            yield self._error(node, f"'math.{node.attr}' is not allowed.", hint)

    def _access(self, node: ast.expr, access: Access) -> Iterator[Finding]:
        if access.name not in self._fields:
            close = get_close_matches(access.name, self._fields, n=1)
            ends = [field for field in self._fields if field.endswith(f"_{access.name}")]
            best = next(iter([*ends, *close]), "")
            hint = f"Did you mean '{best}'?" if best else f"Fields: {', '.join(self._fields)}."
            yield self._error(node, f"There is no field '{access.name}'.", hint)
        elif access.old_syntax:
            state = OLD_STATES.get(access.state, access.state)
            new = f'{state}["{access.name}"]'
            message = f"This is the old way to name a field; the new one is {new}."
            yield Finding("old_syntax", "warning", self._place(node), message, replacement=new)
