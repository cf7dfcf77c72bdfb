"""The fields of a tracking client's request: protocol buffers as JSON, or parameters of a query.

Numbers of 64 bits may be text, and floats that JSON cannot hold are: NaN, Infinity, -Infinity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from spice_engine.errors import InvalidRequest

MOST_RECORDS = 1000
"""In one request, as for a server of MLflow's; its client sends more in parts."""
MOST_TEXTS = 10_000
_INFINITIES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Fields:
    """Reads fields; one that is not there is what an empty message has.

    Every method raises `InvalidRequest` for a field of another type.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    def has(self, name: str) -> bool:
        """Whether a field was sent."""
        return self._data.get(name) is not None

    def text(self, *names: str) -> str:
        """The first of these fields that is there and not empty."""
        for name in names:
            value = self._data.get(name)
            if value is None:
                continue
            if isinstance(value, bool | list | dict):
                raise _wrong(name, "a text")
            if str(value):
                return str(value)
        return ""

    def required(self, *names: str) -> str:
        """As `text`, for a field that must be there.

        Raises:
            InvalidRequest: it is not.
        """
        value = self.text(*names)
        if not value:
            raise InvalidRequest(f"Missing value for required parameter {names[0]!r}.")
        return value

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self._data.get(name)
        if value is None:
            return default
        if isinstance(value, str):
            try:
                value = int(value)
            except ValueError:
                raise _wrong(name, "a whole number") from None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
            raise _wrong(name, "a whole number of 64 bits")
        return value

    def number(self, name: str) -> float:
        """A number, NaN and infinities too; it must be there."""
        value = self._data.get(name)
        if isinstance(value, str) and value in _INFINITIES:
            return _INFINITIES[value]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(name, "a number")
        try:
            return float(value)
        except OverflowError:
            raise _wrong(name, "a number of 64 bits") from None

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._data.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise _wrong(name, "true or false")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        found = self._list(name, MOST_TEXTS)
        if not all(isinstance(item, str) for item in found):
            raise _wrong(name, "a list of texts")
        return cast("list[str]", found)

    def listed(self, name: str) -> list[str]:
        """A list of texts that may be a parameter of a query: one alone is no list there."""
        value = self._data.get(name)
        return [value] if isinstance(value, str) else self.texts(name)

    def records(self, name: str) -> list[Fields]:
        """A list of messages."""
        found = self._list(name, MOST_RECORDS)
        if not all(isinstance(item, dict) for item in found):
            raise _wrong(name, "a list of objects")
        return [Fields(cast("dict[str, Any]", item)) for item in found]

    def record(self, name: str) -> Fields:
        """A message; empty where it is not there."""
        value = self._data.get(name)
        if value is None:
            return Fields({})
        if not isinstance(value, dict):
            raise _wrong(name, "an object")
        return Fields(cast("dict[str, Any]", value))

    def pairs(self, name: str) -> dict[str, str]:
        """A list of keys with values."""
        found: dict[str, str] = {}
        for one in self.records(name):
            key, value = one.required("key"), one.text("value")
            if found.get(key, value) != value:
                raise InvalidRequest(f"{name}: {key[:100]!r} is given two values.")
            found[key] = value
        return found

    def _list(self, name: str, most: int) -> list[Any]:
        value = self._data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise _wrong(name, "a list")
        found = cast("list[Any]", value)
        if len(found) > most:
            raise InvalidRequest(f"{name}: more than {most} in one request.")
        return found


def experiment_number(given: Fields, default: str = "") -> int:
    """The experiment that a request is about.

    Raises:
        InvalidRequest: it is no number.
    """
    text = given.text("experiment_id") or default
    if not _is_number(text):
        raise InvalidRequest(
            f"Invalid experiment ID {text[:100]!r}. Experiment ID must be a valid integer."
        )
    return int(text)


def experiment_numbers(given: Fields) -> list[int]:
    """The experiments that are searched; others than ours have no runs here."""
    return [int(text) for text in given.texts("experiment_ids") if _is_number(text)]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _wrong(name: str, wanted: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for parameter {name!r}: it must be {wanted}.")
