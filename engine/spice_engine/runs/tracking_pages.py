"""Results of tracking clients' searches: in order, a page at a time."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.runs.tracking_filter import Order

T = TypeVar("T")


@record
class Page(Generic[T]):
    """Some results, and the token of the next page; empty after the last."""

    items: list[T]
    token: str = ""


def check_count(count: int, most: int) -> None:
    """Refuse a page of no results, and one of too many.

    Raises:
        InvalidRequest: it is one of these.
    """
    if not 0 < count <= most:
        raise InvalidRequest(f"max_results must be between 1 and {most}, not {count}.")


def page_of(found: Iterable[T], start: int, count: int) -> Page[T]:
    """The page that begins at `start`; no more is taken of `found` than it needs."""
    items = list(islice(found, start, start + count + 1))
    return Page(items[:count], token_of({"offset": start + count}) if len(items) > count else "")


def token_of(place: dict[str, Any]) -> str:
    """Where the next page begins, as a token."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def place_of(token: str) -> dict[str, Any]:
    """What a token was made of; empty for an empty one.

    Raises:
        InvalidRequest: it is none.
    """
    if not token:
        return {}
    try:
        place = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except ValueError:
        place = None
    if not isinstance(place, dict):
        raise InvalidRequest("Invalid page token.", hint="Send the one of the page before.")
    return place  # pyright: ignore[reportUnknownVariableType]


def offset_of(token: str) -> int:
    """How many results are before the page of a token.

    Raises:
        InvalidRequest: it is none.
    """
    offset = place_of(token).get("offset", 0)
    if not isinstance(offset, int) or not 0 <= offset < 2**53:
        raise InvalidRequest("Invalid page token.", hint="Send the one of the page before.")
    return offset


def sorted_by(
    found: list[T], orders: Sequence[Order], value: Callable[[T, Order], object]
) -> list[T]:
    """In the wanted orders, the first of which matters most; NaN and what is not there come last,
    whichever the direction."""
    for order in reversed(orders):
        values = [(value(one, order), one) for one in found]
        plain = [pair for pair in values if pair[0] is not None and not _is_nan(pair[0])]
        plain.sort(key=_value_of, reverse=not order.ascending)
        missing = [pair for pair in values if pair[0] is None]
        nans = [pair for pair in values if _is_nan(pair[0])]
        found = [one for _, one in (*plain, *nans, *missing)]
    return found


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _value_of(pair: tuple[Any, Any]) -> Any:
    return pair[0]
