"""Find and replace in a text."""

from __future__ import annotations

import re

from spice_engine.errors import InvalidRequest

Span = tuple[int, int]
"""Offsets of a hit in the text; the end is exclusive."""


def pattern_of(wanted: str, *, regex: bool = False) -> re.Pattern[str]:
    """What to look for; small letters find capital ones too, a capital one only itself.

    Raises:
        InvalidRequest: it is no regular expression.
    """
    flags = re.MULTILINE if any(c.isupper() for c in wanted) else re.MULTILINE | re.IGNORECASE
    try:
        return re.compile(wanted if regex else re.escape(wanted), flags)
    except re.error as error:
        where = "" if error.pos is None else f" at its character {error.pos + 1}"
        raise InvalidRequest(
            f"this is no regular expression{where}: {error.msg}.",
            hint="Put \\ before a sign that is meant as itself, or switch .* off.",
        ) from error


def spans(text: str, pattern: re.Pattern[str]) -> list[Span]:
    """All hits in order, but for those of no width."""
    return [found.span() for found in pattern.finditer(text) if found.end() > found.start()]


def nearest(hits: list[Span], offset: int, *, backwards: bool = False) -> int | None:
    """The number of the hit at or after `offset` (or of the last before it), going round."""
    if not hits:
        return None
    if backwards:
        before = [i for i, (start, _) in enumerate(hits) if start < offset]
        return before[-1] if before else len(hits) - 1
    return next((i for i, (start, _) in enumerate(hits) if start >= offset), 0)


def replacement(found: re.Match[str], new: str, *, regex: bool) -> str:
    """What stands in place of one hit; groups count in regular expressions only.

    Raises:
        InvalidRequest: it names a group that the expression has not.
    """
    if not regex:
        return new
    try:
        return found.expand(new)
    except (re.error, IndexError) as error:
        raise InvalidRequest(f"this cannot stand in place of a hit: {error}.") from error


def replace_all(
    text: str, pattern: re.Pattern[str], new: str, *, regex: bool = False
) -> tuple[str, int]:
    """The text with every hit replaced, and how many there were.

    Raises:
        InvalidRequest: `new` names a group that the expression has not.
    """
    parts: list[str] = []
    position = count = 0
    for found in pattern.finditer(text):
        if found.end() > found.start():
            parts += (text[position : found.start()], replacement(found, new, regex=regex))
            position, count = found.end(), count + 1
    return "".join(parts) + text[position:], count
