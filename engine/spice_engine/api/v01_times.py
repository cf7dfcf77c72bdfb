"""Times and numbers in the paths, queries and bodies of the v0.1 API."""

from __future__ import annotations

from datetime import datetime

from spice_engine.api import json_text
from spice_engine.errors import InvalidRequest, NotFound


class InvalidMoment(InvalidRequest):
    """Text that is no time."""

    code = "invalid_time"


def parse_moment(text: str) -> int:
    """Unix seconds from decimal or hexadecimal digits or RFC 3339; 0 for empty text.

    Raises:
        InvalidMoment: it is none of these, or beyond 64 bits.
    """
    text = text.strip()
    try:
        if not text:
            return 0
        if text[:2].lower() == "0x" and len(text) <= 18:
            moment = int(text[2:], 16)
        elif text.lstrip("+-").isdigit() and len(text) <= 20:
            moment = int(text)
        else:
            parsed = datetime.fromisoformat(text)
            if parsed.tzinfo is None:
                raise ValueError("no time zone")
            moment = int(parsed.timestamp())
        json_text.check_integers(moment, "time")
    except (ValueError, OverflowError, InvalidRequest):
        raise InvalidMoment(
            f"the time {text[:50]!r} cannot be read.",
            hint="Give Unix seconds, or RFC 3339 with a time zone.",
        ) from None
    return moment


def training_number(text: str) -> int:
    """The number of a training run in a path.

    Raises:
        NotFound: no run can have it.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound(f"there is no training run {text[:50]!r}.")
    return int(text)
