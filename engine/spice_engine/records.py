"""Frozen dataclasses with slots whose methods are written when they are first called.

`dataclasses` compiles five functions a class when its module is imported. A program that imports
some hundred classes, and makes objects of a few, waits for that as long as for a fifth of its
start. `record` puts it off; in all else a record is a dataclass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """As `dataclass(frozen=True, slots=True)`. Base classes have to be records, too."""
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    for name, method in _METHODS.items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


def _write(self: Any, name: str, shared: Callable[..., Any]) -> None:
    """Put a method of its own in the class that has the shared one of that name."""
    owner = next((item for item in type(self).__mro__ if item.__dict__.get(name) is shared), None)
    if owner is None:
        return  # another thread did it at the same moment
    fields = [
        (
            item.name,
            item.type,
            field(
                default=item.default,
                default_factory=item.default_factory,
                repr=item.repr,
                hash=item.hash,
                compare=item.compare,
                kw_only=item.kw_only,
            ),
        )
        for item in dataclasses.fields(owner)
    ]
    try:
        written = dataclasses.make_dataclass(
            owner.__name__,
            fields,
            frozen=True,
            init=name == "__init__",
            repr=name == "__repr__",
            eq=name in {"__eq__", "__hash__"},
        )
    except RuntimeError as error:
        # Before 3.12 what is raised while a class is made comes as a RuntimeError, Ctrl+C too.
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise
    setattr(owner, name, getattr(written, name))


def _init(self: Any, *values: Any, **named: Any) -> None:
    _write(self, "__init__", _init)
    self.__init__(*values, **named)


def _repr(self: Any) -> str:
    _write(self, "__repr__", _repr)
    return repr(self)


def _eq(self: Any, other: object) -> bool:
    _write(self, "__eq__", _eq)
    return self.__eq__(other)


def _hash(self: Any) -> int:
    _write(self, "__hash__", _hash)
    return hash(self)


def _setattr(_self: Any, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, item.name) for item in dataclasses.fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for item, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, item.name, value)


_METHODS = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__getstate__": _getstate,
    "__setstate__": _setstate,
}
