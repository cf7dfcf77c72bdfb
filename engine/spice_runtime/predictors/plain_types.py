"""Plain JSON into dataclasses and the types of `typing`, and their JSON Schema."""

# What a user gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import dataclasses
import enum
import sys
import typing
from typing import Any, Union

_SIMPLE = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}


class Misfit(ValueError):
    """A value that is not of the type that is wanted, with its place."""


def convert(value: Any, kind: Any, where: str) -> Any:
    """The value as an instance of `kind`; types that are not known here take anything.

    Raises:
        Misfit: it cannot be one.
    """
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass(value, kind, where)
    if is_union(kind):
        return _union(value, arguments, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise Misfit(f"{where}: expected one of {', '.join(map(repr, arguments))}")
        return value
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        try:
            return kind(value)
        except ValueError:
            raise Misfit(f"{where}: {value!r} is none of {kind.__name__}") from None
    base = origin or kind
    if base in (list, tuple, set, frozenset):
        return _items(value, base, arguments, where)
    if base is dict:
        if not isinstance(value, dict):
            raise Misfit(f"{where}: expected an object, found {_named(value)}")
        entries: dict[Any, Any] = value
        of = arguments[1] if len(arguments) == 2 else Any
        return {key: convert(each, of, f"{where}.{key}") for key, each in entries.items()}
    return _scalar(value, base, where)


def schema_of(kind: Any) -> dict[str, Any]:
    """JSON Schema of a type; {} (anything) for one that is not known here."""
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _object_schema(kind.__name__, _field_types(kind), _required(kind))
    if isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__total__"):
        hints = typing.get_type_hints(kind)
        needed = getattr(kind, "__required_keys__", hints)
        return _object_schema(kind.__name__, hints, [name for name in hints if name in needed])
    if is_union(kind):
        return {"anyOf": [schema_of(each) for each in arguments]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [each.value for each in kind]}
    base = origin or kind
    if base in (list, tuple, set, frozenset):
        inner = schema_of(arguments[0]) if arguments else {}
        return {"type": "array", "items": inner} if inner else {"type": "array"}
    if base is dict:
        inner = schema_of(arguments[1]) if len(arguments) == 2 else {}
        return {"type": "object", "additionalProperties": inner} if inner else {"type": "object"}
    name = _SIMPLE.get(base) if isinstance(base, type) else None
    return {"type": name} if name else {}


def is_union(kind: Any) -> bool:
    """Whether it is `Union[…]`, `Optional[…]` or `… | …`."""
    origin = typing.get_origin(kind)
    if origin is Union:
        return True
    return sys.version_info >= (3, 10) and type(kind).__name__ == "UnionType"


def _dataclass(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise Misfit(f"{where}: expected an object, found {_named(value)}")
    given: dict[Any, Any] = value
    types = _field_types(kind)
    unknown = [name for name in given if name not in types]
    if unknown:
        raise Misfit(f"{where}: unknown field {unknown[0]}")
    missing = [name for name in _required(kind) if name not in given]
    if missing:
        raise Misfit(f"{where}: the field {missing[0]} is missing")
    try:
        return kind(
            **{name: convert(each, types[name], f"{where}.{name}") for name, each in given.items()}
        )
    except Misfit:
        raise
    except (TypeError, ValueError) as error:
        raise Misfit(f"{where}: {error}") from error


def _union(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    problems: list[str] = []
    for kind in kinds:
        try:
            return convert(value, kind, where)
        except Misfit as error:
            problems.append(str(error))
    raise Misfit("; or ".join(problems))


def _items(value: Any, base: Any, kinds: tuple[Any, ...], where: str) -> Any:
    if not isinstance(value, list):
        raise Misfit(f"{where}: expected an array, found {_named(value)}")
    items: list[Any] = value
    if base is tuple and kinds and not (len(kinds) == 2 and kinds[1] is Ellipsis):
        if len(items) != len(kinds):
            raise Misfit(f"{where}: expected {len(kinds)} items, found {len(items)}")
        of = list(kinds)
    else:
        of = [kinds[0] if kinds else Any] * len(items)
    return base(convert(each, of[at], f"{where}[{at}]") for at, each in enumerate(items))


def _scalar(value: Any, kind: Any, where: str) -> Any:
    if kind not in _SIMPLE:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Misfit(f"{where}: expected {_SIMPLE[kind]}, found {_named(value)}")
    return value


def _named(value: Any) -> str:
    return _SIMPLE.get(type(value), type(value).__name__)


def _field_types(kind: Any) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(kind)
    except (NameError, TypeError):
        hints = {}
    return {each.name: hints.get(each.name, Any) for each in dataclasses.fields(kind) if each.init}


def _required(kind: Any) -> list[str]:
    return [
        each.name
        for each in dataclasses.fields(kind)
        if each.init
        and each.default is dataclasses.MISSING
        and each.default_factory is dataclasses.MISSING
    ]


def _object_schema(title: str, types: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "properties": {name: schema_of(kind) for name, kind in types.items()},
        "required": required,
    }
