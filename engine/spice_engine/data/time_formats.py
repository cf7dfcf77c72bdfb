"""How times are written: the named formats, Go layouts (`2006-01-02 15:04`) and `%Y-%m-%d`.

Standard library only: the engine checks manifests with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from spice_engine.errors import InvalidRequest
from spice_engine.units import MAX_TIME, MIN_TIME, TIME_FORMATS, parse_time

_GO_TOKENS: dict[str, str] = {
    "January": "%B",
    "Jan": "%b",
    "Monday": "%A",
    "Mon": "%a",
    "MST": "%Z",
    "2006": "%Y",
    "-07:00": "%z",
    "-0700": "%z",
    "Z07:00": "%z",
    "Z0700": "%z",
    "002": "%j",
    "__2": "%j",
    "_2": "%d",
    "01": "%m",
    "02": "%d",
    "03": "%I",
    "04": "%M",
    "05": "%S",
    "06": "%y",
    "15": "%H",
    "PM": "%p",
    "pm": "%p",
    "1": "%m",
    "2": "%d",
    "3": "%I",
    "4": "%M",
    "5": "%S",
}
_GO = re.compile("|".join([r"[.,](?:0+|9+)(?!\d)", *map(re.escape, _GO_TOKENS)]))
_LONG_FRACTION = re.compile(r"(?<=\d[.,]\d{6})\d+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TimeReader = Callable[[str], "int | None"]
"""Text to unix seconds, None where it is no time; a fraction is cut off towards the past."""


def time_reader(time_format: str) -> TimeReader:
    """The reader of a format: `""` for decimal or `0x` unix seconds or RFC 3339, else that only.

    Raises InvalidRequest where there is no such format.
    """
    name = time_format.strip()
    if name.lower() in ("", *TIME_FORMATS):
        return _named(name.lower())
    if "%" in name:
        return _by_strptime((name,), time_format)
    return _by_strptime(_from_go(name), time_format)


def _named(name: str) -> TimeReader:
    def read(text: str) -> int | None:
        try:
            return parse_time(text, name)
        except InvalidRequest:
            return None

    return read


def _by_strptime(forms: tuple[str, ...], time_format: str) -> TimeReader:
    # Looked at first: Python warns of days without a year.
    if not all(_YEAR.search(form) for form in forms):
        raise _unknown(time_format)
    moment = datetime(2006, 1, 2, 15, 4, 5, 700_000, tzinfo=UTC)
    try:
        years = {datetime.strptime(moment.strftime(form), form).year for form in forms}
    except (ValueError, re.error) as error:
        raise _unknown(time_format) from error
    if years != {2006}:
        raise _unknown(time_format)

    def read(text: str) -> int | None:
        body = _LONG_FRACTION.sub("", text.strip())
        for form in forms:
            try:
                found = datetime.strptime(body, form)
                since = (found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH
            except (ValueError, OverflowError):
                continue
            seconds = since.days * 86_400 + since.seconds
            return seconds if MIN_TIME <= seconds <= MAX_TIME else None
        return None

    return read


def _from_go(layout: str) -> tuple[str, ...]:
    """The layout for `strptime`; two of them where its fraction (`.999`) may be absent."""
    optional = False

    def token(match: re.Match[str]) -> str:
        nonlocal optional
        text = match[0]
        if text[0] in ".,":
            optional = optional or text[1] == "9"
            return f"{text[0]}%f"
        return _GO_TOKENS[text]

    form = _GO.sub(token, layout)
    if form == layout:
        raise _unknown(layout)
    return (form, re.sub("[.,]%f", "", form)) if optional else (form,)


def _unknown(time_format: str) -> InvalidRequest:
    return InvalidRequest(
        f"The time format '{time_format}' is not known.",
        hint=(
            f"Use one of {', '.join(TIME_FORMATS)}, a layout such as '2006-01-02 15:04:05', "
            "or '%Y-%m-%d %H:%M:%S'; or none for unix seconds or RFC 3339."
        ),
    )


_YEAR = re.compile(r"(?<!%)(?:%%)*%[YyGcx]")
_MILLISECONDS = re.compile(r"\d{13}", re.ASCII)
_NO_OFFSET = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?", re.ASCII)


def why_no_time(cell: str) -> str:
    """What is wrong with a cell that is no time, for people."""
    text = cell.strip()
    shown = f"'{text[:40]}'"
    if _MILLISECONDS.fullmatch(text):
        # Today in milliseconds has 13 digits; in seconds that is the year 55,000.
        return f"{shown} looks like milliseconds: seconds are expected"
    if _NO_OFFSET.fullmatch(text):
        return f"{shown} is a time without an offset: put Z behind it for UTC"
    return f"{shown} is not a time"
