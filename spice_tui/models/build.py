"""Plain data from the engine as frozen dataclasses, forgiving towards other versions.

An engine that is newer sends fields this program does not know; an older one leaves some out.
Unknown ones are ignored, missing ones get their default, or an empty value of their type.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from spice_engine.errors import ProtocolError

T = TypeVar("T")
Make = Callable[[Any], Any]


def build(cls: type[T], data: Any) -> T:
    """`data`, a map, as an instance of the dataclass `cls`.

    Raises:
        ProtocolError: it is no map.
    """
    if not isinstance(data, Mapping):
        raise ProtocolError(f"the engine sent something that is no {cls.__name__}.")
    return cast("T", _maker(cls)(data))


@cache
def _maker(cls: type[Any]) -> Make:
    hints = get_type_hints(cls)
    fields = [
        (field.name, _converter(hints[field.name]), _default(field, hints[field.name]))
        for field in dataclasses.fields(cls)
    ]

    def make(data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise ProtocolError(f"the engine sent something that is no {cls.__name__}.")
        values = {
            name: convert(data[name]) if name in data else default()
            for name, convert, default in fields
        }
        return cls(**values)

    return make


def _same(value: Any) -> Any:
    return value


def _converter(hint: Any) -> Make:
    """What turns plain data into a value of this type; scalars stay as they are."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _maker(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list:
        one = _converter(arguments[0])
        return _same if one is _same else lambda value: [one(item) for item in value or ()]
    if origin is dict:
        one = _converter(arguments[1])
        if one is _same:
            return _same
        return lambda value: {key: one(item) for key, item in (value or {}).items()}
    if origin in (Union, types.UnionType):
        kinds = [argument for argument in arguments if argument is not types.NoneType]
        one = _converter(kinds[0]) if len(kinds) == 1 else _same
        return _same if one is _same else lambda value: None if value is None else one(value)
    return _same


def _default(field: dataclasses.Field[Any], hint: Any) -> Callable[[], Any]:
    if field.default is not dataclasses.MISSING:
        value = field.default
        return lambda: value
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    return _empty(hint)


def _empty(hint: Any) -> Callable[[], Any]:
    """The value of a field that an older engine does not know."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType) and types.NoneType in arguments:
        return lambda: None
    if origin is Literal:
        return lambda: arguments[0]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return lambda: _maker(hint)({})
    kind = origin or hint
    return kind if kind in (str, int, float, bool, list, dict) else lambda: None
