"""JSON in and out of the public door: what each value becomes, and what is refused.

NaN and infinities have no form in JSON and become `null`; bytes become base64 text; integers
outside of 64 bits, which neither the store nor most readers can hold, are refused on the way in.
"""

from __future__ import annotations

import base64
import json
from typing import Any, cast

import orjson

from spice_engine.errors import InvalidRequest

LARGEST = 2**63 - 1
SMALLEST = -(2**63)


def _other(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, set | frozenset | tuple):
        return list(cast("set[Any]", value))
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def dumps(data: Any) -> bytes:
    """Plain data (maps, lists, text, numbers, bytes) as UTF-8 JSON.

    Raises:
        TypeError: for anything else; a defect of whoever made the data.
    """
    try:
        return orjson.dumps(data, default=_other, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        # Integers over 64 bits and lone surrogates: rare, legal in Python, refused by orjson.
        return json.dumps(_finite(data), default=_other).encode("ascii")


def _finite(data: Any) -> Any:
    """The same data with NaN and infinities as None, as orjson writes them."""
    if isinstance(data, float):
        return data if data - data == 0.0 else None
    if isinstance(data, dict):
        return {str(key): _finite(item) for key, item in cast("dict[Any, Any]", data).items()}
    if isinstance(data, list | tuple):
        return [_finite(item) for item in cast("list[Any]", data)]
    return data


def parse_object(body: bytes) -> dict[str, Any]:
    """A body that must be a JSON object; an empty one counts as `{}`.

    Raises:
        InvalidRequest: it is something else.
    """
    if not body.strip():
        return {}
    data = parse(body)
    if not isinstance(data, dict):
        raise InvalidRequest(
            f"the body must be a JSON object, not {_kind(data)}.", hint='Send {"name": value, …}.'
        )
    return cast("dict[str, Any]", data)


def parse(body: bytes) -> Any:
    """Any JSON document.

    Raises:
        InvalidRequest: it is not JSON; the message says at which line and column.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from None


def check_integers(data: Any, where: str) -> None:
    """Refuse integers that do not fit into 64 signed bits, at any depth.

    Raises:
        InvalidRequest: there is one.
    """
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, int):
            if not SMALLEST <= item <= LARGEST:
                raise InvalidRequest(
                    f"{where}: the integer {_short(item)} does not fit into 64 bits."
                )
        elif isinstance(item, dict):
            stack.extend(cast("dict[Any, Any]", item).values())
        elif isinstance(item, list | tuple):
            stack.extend(cast("list[Any]", item))


def is_suspicious(data: Any) -> bool:
    """Whether validation could make an integer over 64 bits of something in `data`.

    Cheap and never wrongly False: big numbers, and text long enough to be one.
    """
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if len(item) >= 19 and item.strip()[:1] in "+-0123456789":
                return True
        elif isinstance(item, int | float):
            if not SMALLEST <= item < LARGEST:
                return True
        elif isinstance(item, dict):
            stack.extend(cast("dict[Any, Any]", item).values())
        elif isinstance(item, list):
            stack.extend(cast("list[Any]", item))
    return False


def _short(number: int) -> str:
    # Python refuses to print integers of very many digits.
    return str(number) if number.bit_length() < 200 else f"of {number.bit_length()} bits"


def _kind(data: Any) -> str:
    if data is None:
        return "null"
    if isinstance(data, bool):
        return "true or false"
    if isinstance(data, str):
        return "text"
    return "a list" if isinstance(data, list) else "a number"
