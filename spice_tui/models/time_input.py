"""Moments as a person writes them to go there: `10m` (ago), `14:30`, a date, unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from spice_engine.errors import InvalidRequest
from spice_engine.units import parse_duration, parse_time

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{1,2}:\d{2}(?::\d{2})?))?", re.ASCII)
_DAY = 86_400


def parse_moment(text: str, now: float) -> float:
    """Unix seconds of a moment, in UTC; a time of day is the last one before `now`.

    Raises:
        InvalidRequest: it is none.
    """
    body = text.strip()
    clock, date = _CLOCK.fullmatch(body), _DATE.fullmatch(body)
    try:
        if clock is not None:
            return _last_time_of_day(int(clock[1]), int(clock[2]), int(clock[3] or 0), now)
        if date is not None:
            time_of_day = (date[2] or "00:00").rjust(5, "0")
            return (
                datetime.fromisoformat(f"{date[1]} {time_of_day}").replace(tzinfo=UTC).timestamp()
            )
        if body[-1:].isalpha() and body[-1:] not in "zZ":
            return now - parse_duration(body) / 1e9
        return float(parse_time(body))
    except (ValueError, InvalidRequest):
        raise InvalidRequest(
            f"'{text}' is not a time.",
            hint="Write 10m (ago), 14:30, 2026-05-01 14:30 or RFC 3339.",
        ) from None


def _last_time_of_day(hours: int, minutes: int, seconds: int, now: float) -> float:
    """Raises ValueError for what no clock shows."""
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError
    moment = now // _DAY * _DAY + hours * 3600 + minutes * 60 + seconds
    return moment if moment <= now else moment - _DAY
