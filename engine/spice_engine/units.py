"""Durations, sizes and times: text to numbers and back.

Durations follow Go's `time.ParseDuration` (`72h`, `1h30m`, `1.5s`, `250ms`) plus `d` for days of
24 hours. Sizes are 1024-based (`4.9K`). Times are whole unix seconds, UTC.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from spice_engine.errors import InvalidRequest

_NANOSECONDS: dict[str, int] = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_MAX_NANOSECONDS = 2**63 - 1
_SECOND = 1_000_000_000
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d+\.?\d*|\.\d+)\s*([KMGTP]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
_SIZE_SUFFIXES = ("B", "K", "M", "G", "T", "P")
_ISO8601 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:?\d{2})", re.ASCII
)
_STRPTIME = {
    "rfc1123z": "%a, %d %b %Y %H:%M:%S %z",
    "rfc822z": "%d %b %y %H:%M %z",
}
TIME_FORMATS = ("hex", "rfc3339", "iso8601", *_STRPTIME)
MIN_TIME = -62_135_596_800
"""The first second of the year 1."""
MAX_TIME = 253_402_300_799
"""The last second of the year 9999."""


def parse_duration(text: str) -> int:
    """Nanoseconds in a duration such as `72h`, `1h30m`, `-1.5s`, `30d` or `0`.

    Raises InvalidRequest for anything else, and for more than 2**63 - 1 nanoseconds (292 years).
    """
    body = text.strip()
    negative = body.startswith("-")
    body = body[1:] if body[:1] in ("-", "+") else body
    if body == "0":
        return 0
    total = Decimal(0)
    position = 0
    while position < len(body):
        part = _DURATION_PART.match(body, position)
        if part is None:
            break
        total += Decimal(part[1]) * _NANOSECONDS[part[2]]
        position = part.end()
    if not body or position < len(body):
        hint = "Write numbers with units, as in 72h, 1h30m, 10s or 30d."
        if re.fullmatch(r"\d+(\.\d+)?", body, re.ASCII):
            hint = f"A unit is missing: write {body}s for seconds."
        raise InvalidRequest(f"'{text}' is not a duration.", hint=hint)
    if total > _MAX_NANOSECONDS:
        raise InvalidRequest(
            f"The duration '{text}' is too long.", hint="The longest possible is 292 years."
        )
    return -int(total) if negative else int(total)


def format_duration(nanoseconds: int) -> str:
    """The shortest exact text that `parse_duration` reads back: `72h`, `1h30m`, `1.5s`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < _SECOND:
        unit = next(u for u in ("ms", "us", "ns") if rest >= _NANOSECONDS[u])
        return f"{sign}{_decimal(rest, _NANOSECONDS[unit])}{unit}"
    hours, rest = divmod(rest, _NANOSECONDS["h"])
    minutes, rest = divmod(rest, _NANOSECONDS["m"])
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if minutes else ""
    text += f"{_decimal(rest, _SECOND)}s" if rest else ""
    return sign + text


def _decimal(value: int, unit: int) -> str:
    """`value / unit` exactly, without an exponent or trailing zeros; `unit` is a power of ten."""
    whole, fraction = divmod(value, unit)
    digits = str(fraction).zfill(len(str(unit)) - 1).rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_size(text: str) -> int:
    """Bytes in a size such as `1000`, `4.9K`, `29M` or `2GiB`; suffixes are powers of 1024.

    Raises InvalidRequest for anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(f"'{text}' is not a size.", hint="Write it as in 512K, 4.9M or 2G.")
    power = _SIZE_SUFFIXES.index(match[2].upper() or "B")
    return int(Decimal(match[1]) * 1024**power)


def format_size(size: int) -> str:
    """A size in at most five characters: `0B`, `1000B`, `4.9K`, `29M`; one decimal below 10."""
    if size < 1024:
        return f"{size}B"
    value = float(size)
    power = 0
    # 1023.5 would be printed as 1024 of the smaller unit.
    while value >= 1023.5 and power < len(_SIZE_SUFFIXES) - 1:
        value /= 1024
        power += 1
    digits = f"{value:.1f}"
    return f"{digits if len(digits) == 3 else round(value)}{_SIZE_SUFFIXES[power]}"


def parse_time(text: str, time_format: str = "") -> int:
    """Unix seconds of a time; a fraction of a second is cut off towards the past.

    Without a format: decimal or `0x` hexadecimal unix seconds, or RFC 3339. With one of
    `TIME_FORMATS` only that form. Raises InvalidRequest for anything else, and for times outside
    the years 1 to 9999.
    """
    name = time_format.lower()
    if name and name not in TIME_FORMATS:
        raise InvalidRequest(
            f"The time format '{time_format}' is not supported in this version.",
            hint=f"Use one of {', '.join(TIME_FORMATS)}, or none for unix seconds or RFC 3339.",
        )
    body = text.strip()
    try:
        seconds = _seconds(body, name)
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None or not MIN_TIME <= seconds <= MAX_TIME:
        expected = name or "unix seconds (decimal or 0x hexadecimal) or RFC 3339"
        raise InvalidRequest(f"'{text}' is not a time.", hint=f"Expected {expected}.")
    return seconds


def _seconds(body: str, name: str) -> int | None:
    """The unix seconds, or None (or ValueError) where `body` has not the form `name`."""
    if name in _STRPTIME:
        return _floor_timestamp(datetime.strptime(body, _STRPTIME[name]))
    if name == "hex" or (not name and body[:2].lower() == "0x"):
        digits = body[2:] if body[:2].lower() == "0x" else body
        return int(digits, 16) if re.fullmatch(r"[0-9a-fA-F]{1,16}", digits) else None
    if not name and re.fullmatch(r"[+-]?\d{1,18}(\.\d*)?", body, re.ASCII):
        return math.floor(Decimal(body))
    if _ISO8601.fullmatch(body) is None:
        return None
    return _floor_timestamp(datetime.fromisoformat(body.upper()))


def _floor_timestamp(moment: datetime) -> int:
    difference = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return difference.days * 86_400 + difference.seconds


def format_time(seconds: float) -> str:
    """RFC 3339 in UTC with whole seconds: `2021-02-05T20:30:00Z`.

    Outside the years 1 to 9999 (a period may end there) the unix seconds themselves.
    """
    if not MIN_TIME <= seconds < MAX_TIME + 1:
        return str(math.floor(seconds))
    # Not strftime: it writes the year 1 as `1` on Linux.
    moment = datetime(1970, 1, 1) + timedelta(seconds=math.floor(seconds))
    return f"{moment.isoformat()}Z"
