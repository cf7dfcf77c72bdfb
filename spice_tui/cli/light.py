"""Convert the values of plain parameters without pydantic.

Typer converts every value through a pydantic adapter, and importing pydantic takes longer than
most commands have. Text, whole numbers, numbers, flags and lists of them need no library.
Anything else keeps typer's own way. If a later typer has other insides, this does nothing and
commands are only slower; the import test then says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_origin

import typer

_WORDS = {int: "a whole number", float: "a number"}
_YES = frozenset({"1", "true", "t", "yes", "y", "on"})
_NO = frozenset({"0", "false", "f", "no", "n", "off"})


class PlainValue:
    """Stands in for typer's converter of one parameter."""

    def __init__(self, kind: type[Any], *, many: bool) -> None:
        self._kind = kind
        self._many = many

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as its type.

        Raises:
            typer.BadParameter: it is not of that type.
        """
        if self._many:
            return [self._one(item, param, ctx) for item in value or ()]
        return None if value is None else self._one(value, param, ctx)

    def _one(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, self._kind):
            return value
        try:
            if self._kind is bool:
                return _flag(str(value))
            return self._kind(value)
        except (ValueError, TypeError):
            word = _WORDS.get(self._kind, "usable here")
            raise typer.BadParameter(f"{value!r} is not {word}.", ctx=ctx, param=param) from None


def _flag(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _YES:
        return True
    if lowered in _NO:
        return False
    raise ValueError(text)


def _plain(descriptor: Any) -> PlainValue | None:
    info = descriptor.parameter_info
    if getattr(info, "parser", None) is not None or getattr(info, "min", None) is not None:
        return None
    if getattr(info, "max", None) is not None:
        return None
    annotation = descriptor.annotation
    many = get_origin(annotation) is list
    kind = get_args(annotation)[0] if many else annotation
    return PlainValue(kind, many=many) if kind in {str, int, float, bool} else None


def lighten(command: Any) -> Any:
    """Prepare a command, whose parameters (`--help` is made late) are seen when asked for."""
    ask = command.get_params

    def get_params(ctx: Any) -> list[Any]:
        params = ask(ctx)
        for param in params:
            _lighten_parameter(param)
        return params

    command.get_params = get_params
    return command


def _lighten_parameter(param: Any) -> None:
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is not None and getattr(param, "_runtime_param", param) is None:
        param._runtime_param = _plain(descriptor)


Convert = Callable[[str], Any]


def option(text: str, convert: Convert, name: str) -> Any:
    """`convert(text)`, whose `ValueError` becomes a usage error that names the option.

    Raises:
        typer.BadParameter: with the reason.
    """
    try:
        return convert(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from None


__all__ = ["PlainValue", "lighten", "option"]
