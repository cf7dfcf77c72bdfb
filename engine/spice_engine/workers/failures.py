"""Errors that cross a worker's socket: plain data on the way, the same class on both sides."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any, cast

from spice_engine.errors import ChildFailed, Place, SpiceError, by_code

_MAX_TEXT = 4000
_KNOWN = ("code", "message", "hint", "place")


def to_wire(error: BaseException, *, doing: str) -> dict[str, Any]:
    """An exception as plain data.

    A `SpiceError` keeps everything `as_dict` gives. Anything else becomes a `ChildFailed` whose
    message holds its type, its text and the innermost line it came from. `doing` names the work
    ("train").
    """
    if not isinstance(error, SpiceError):
        error = _unexpected(error, doing)
    wire: dict[str, Any] = {"error": error.as_dict(), "lineage": lineage(type(error))}
    if error.place:
        place = error.place
        wire["place"] = [place.file, place.line, place.column, place.end_line, place.end_column]
    return wire


def from_wire(wire: Any) -> SpiceError:
    """The exception that `to_wire` took apart.

    A class that only the child has imported comes back as its nearest ancestor known here.
    What does not have the form comes back as `ChildFailed`: the child may be anything by now.
    """
    fields = cast("dict[Any, Any]", wire) if isinstance(wire, Mapping) else {}
    body = fields.get("error")
    if not isinstance(body, Mapping):
        return ChildFailed(f"a child answered with an error of unknown form: {wire!r:.200}")
    data = cast("Mapping[Any, Any]", body)
    known = by_code()
    codes = fields.get("lineage")
    names = cast("list[Any]", codes) if isinstance(codes, list) else [data.get("code")]
    cls = next((known[name] for name in names if name in known), ChildFailed)
    message = str(data.get("message", ""))[:_MAX_TEXT]
    hint, place = str(data.get("hint", ""))[:_MAX_TEXT], _place(fields.get("place"))
    try:
        error = cls(message, hint=hint, place=place)
    except TypeError:
        # A subclass whose constructor asks for more than the root's; its parts follow below.
        error = cls.__new__(cls)
        SpiceError.__init__(error, message, hint=hint, place=place)
    for key, value in data.items():
        # What a subclass adds to `as_dict` is an attribute of the same name; never a method.
        if isinstance(key, str) and key not in _KNOWN and not hasattr(cls, key):
            more: Any = tuple(cast("list[Any]", value)) if isinstance(value, list) else value
            setattr(error, key, more)
    return error


def lineage(cls: type[BaseException]) -> list[str]:
    """The codes of a class and its ancestors, nearest first."""
    codes: list[str] = []
    for ancestor in cls.__mro__:
        code = ancestor.__dict__.get("code")
        if isinstance(code, str) and issubclass(ancestor, SpiceError):
            codes.append(code)
    return codes


def _unexpected(error: BaseException, doing: str) -> ChildFailed:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    text = str(error)[:_MAX_TEXT]
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    hint = "The child's log holds the whole traceback."
    if isinstance(error, MemoryError):
        hint = "It needs more memory than it may use: take less data, or raise the limit."
    return ChildFailed(f"{doing} failed with {said}{where}.", hint=hint)


def _place(value: Any) -> Place | None:
    if not isinstance(value, list):
        return None
    match cast("list[Any]", value):
        case [str(file), int(line), int(column), int(end_line), int(end_column)]:
            return Place(file, line, column, end_line, end_column)
        case _:
            return None
