"""What names and expressions of reward code may hold: numbers, lists, interpretations, texts.

Only numbers can be calculated with. Everything else can be looped over, indexed, compared and
tested, but not grow; the check relies on what is found here.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from spice_engine.learning.reward_syntax import notes_access

Kinds = frozenset[str]
"""What a value may be; nothing for an empty list, which is harmless everywhere."""

NUMBER: Kinds = frozenset({"number"})
SEQUENCE: Kinds = frozenset({"sequence"})
NOTES: Kinds = frozenset({"notes"})
"""A list of interpretations, or None."""
NOTE: Kinds = frozenset({"note"})
TEXTS: Kinds = frozenset({"texts"})
TEXT: Kinds = frozenset({"text"})

_ELEMENTS = {"sequence": "number", "notes": "note", "texts": "text"}
ATTRIBUTES: Mapping[str, Kinds] = {
    "start": NUMBER, "end": NUMBER, "name": TEXT, "actions": TEXTS, "tags": TEXTS,
}  # fmt: skip
"""The attributes of one interpretation."""

Names = Mapping[str, Kinds]


def kinds_of_names(statements: Sequence[ast.stmt]) -> Names:
    """What each assigned name may hold, wherever it is assigned."""
    nodes = [node for statement in statements for node in ast.walk(statement)]
    assignments = [node for node in nodes if isinstance(node, ast.Assign)]
    loops = [node for node in nodes if isinstance(node, ast.For)]
    names: dict[str, Kinds] = {}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names[node.id] = frozenset()
    for node in assignments:
        for target in node.targets:
            if isinstance(target, ast.Tuple):
                _add(names, target.elts, NUMBER)
    while True:
        before = dict(names)
        for node in assignments:
            _add(names, node.targets, kinds(node.value, names))
        for node in loops:
            _add(names, [node.target], elements(kinds(node.iter, names)))
        if names == before:
            return names


def _add(names: dict[str, Kinds], targets: Sequence[ast.expr], found: Kinds) -> None:
    for target in targets:
        if isinstance(target, ast.Name):
            names[target.id] = names.get(target.id, frozenset()) | found


def elements(found: Kinds) -> Kinds:
    """What the elements of a value may be."""
    return frozenset(_ELEMENTS[kind] for kind in found if kind in _ELEMENTS)


def kinds(node: ast.expr, names: Names) -> Kinds:
    """What an expression may give."""
    if notes_access(node):
        return NOTES
    match node:
        case ast.List(elts=[]) | ast.Tuple(elts=[]):
            return frozenset()
        case ast.List() | ast.Tuple():
            return SEQUENCE
        case ast.Name():
            return names.get(node.id, NUMBER)
        case ast.IfExp():
            return kinds(node.body, names) | kinds(node.orelse, names)
        case ast.BoolOp():
            return frozenset[str]().union(*(kinds(value, names) for value in node.values))
        case ast.Subscript():
            found = kinds(node.value, names)
            if isinstance(node.slice, ast.Slice):
                return found if found <= NOTES | TEXTS else SEQUENCE
            return elements(found) if elements(found) or not found else NUMBER
        case ast.Attribute(value=ast.Name(id="math")):
            return NUMBER
        case ast.Attribute():
            found = kinds(node.value, names)
            return ATTRIBUTES.get(node.attr, NUMBER) if found else found
        case ast.Constant(value=str()):
            return TEXT
        case ast.Call(func=ast.Name(id="range")):
            return SEQUENCE
        case _:
            return NUMBER
