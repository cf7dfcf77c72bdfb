"""Which lines of a piece of a log match a pattern: as fast as the pattern's form allows.

Plain text and regular expressions that cannot match across lines, nor look at what is around
the match, are searched for in the whole piece at once. Other patterns are tried line by line.
A pattern of ASCII characters is compared with bytes, another with the text they are in UTF-8.
A line's end, `\\n` or `\\r\\n`, is no part of it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import AnyStr

from spice_engine.errors import InvalidRequest

LONGEST_PATTERN = 1000

_LOOKS_AROUND = re.compile(
    r"""\(\?          # groups of all kinds: lookarounds, flags, conditions
    | \\[^dw.^$*+?()\[\]{}|/\\\-"':=,;<>\#@!%&~_bt]  # classes with newlines, anchors, references
    | \[\^            # all but some characters: newlines, too
    | [$]             # is before a \r
    | [*+?}][+]       # does not give back what it took
    | [\x00-\x08\x0a-\x1f]""",
    re.VERBOSE,
)
_LEADING_ANY = re.compile(r"\^?\.\*(?![*+?{])")


class Matcher:
    """One pattern, ready to be looked for.

    Raises:
        InvalidRequest: it is no regular expression, or can be in no line.
    """

    def __init__(self, pattern: str, *, regex: bool, ignore_case: bool, invert: bool) -> None:
        if len(pattern) > LONGEST_PATTERN:
            raise InvalidRequest(f"a pattern has at most {LONGEST_PATTERN} characters.")
        if not regex and "\n" in pattern:
            raise InvalidRequest("a line holds no newline: nothing could be found.")
        text = pattern if regex else re.escape(pattern)
        self._invert = invert
        self._plain = pattern.encode("utf-8", "replace")
        self._as_text = _compiled(text, ignore_case)
        self._finds: Callable[[bytes, int], int] | None = None
        self._in_line = self._text_in_line
        if not regex and not ignore_case:
            self._in_line = self._plain_in_line
            self._finds = self._plain_at if pattern else None
        elif pattern.isascii():
            self._as_bytes = _compiled(text.encode(), ignore_case)
            self._in_line = self._bytes_in_line
            if not regex or not _LOOKS_AROUND.search(pattern):
                # What follows `.*` is found in a line just where all of it is, and much faster.
                short = _LEADING_ANY.sub("", text) if regex else text
                self._fast = _compiled(short.encode(), ignore_case)
                self._finds = self._fast_at

    def matches(self, piece: bytes) -> Iterator[int]:
        """Where in the piece lines begin that match (with `invert`: that do not), in order."""
        found = self._by_lines(piece) if self._finds is None else self._at_once(piece, self._finds)
        return _others(piece, found) if self._invert else found

    def _at_once(self, piece: bytes, find: Callable[[bytes, int], int]) -> Iterator[int]:
        position = 0
        while position < len(piece) and (at := find(piece, position)) >= 0:
            begin = piece.rfind(b"\n", position, at) + 1 or position
            end = piece.find(b"\n", at)
            end = len(piece) if end < 0 else end
            if begin >= len(piece):
                return
            # What was found may be (partly) the \r of the line's end.
            if piece[end - 1 : end] != b"\r" or self._in_line(piece[begin : end - 1]):
                yield begin
            position = end + 1

    def _by_lines(self, piece: bytes) -> Iterator[int]:
        for begin, end in _lines(piece):
            if self._in_line(piece[begin : end - (piece[end - 1 : end] == b"\r")]):
                yield begin

    def _plain_at(self, piece: bytes, position: int) -> int:
        return piece.find(self._plain, position)

    def _fast_at(self, piece: bytes, position: int) -> int:
        match = self._fast.search(piece, position)
        return -1 if match is None else match.start()

    def _plain_in_line(self, line: bytes) -> bool:
        return self._plain in line

    def _bytes_in_line(self, line: bytes) -> bool:
        return self._as_bytes.search(line) is not None

    def _text_in_line(self, line: bytes) -> bool:
        return self._as_text.search(line.decode("utf-8", "replace")) is not None


def _lines(piece: bytes) -> Iterator[tuple[int, int]]:
    """Where each line begins and its newline is."""
    begin = 0
    while (end := piece.find(b"\n", begin)) >= 0:
        yield begin, end
        begin = end + 1
    if begin < len(piece):
        yield begin, len(piece)


def _others(piece: bytes, found: Iterator[int]) -> Iterator[int]:
    """Where the lines begin that were not found."""
    following = next(found, -1)
    for begin, _ in _lines(piece):
        if begin == following:
            following = next(found, -1)
        else:
            yield begin


def _compiled(pattern: AnyStr, ignore_case: bool) -> re.Pattern[AnyStr]:
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else re.NOFLAG)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what may mean something else one day
            return re.compile(pattern, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidRequest(
            f"the pattern is no regular expression: {error}.", hint="Search for plain text instead."
        ) from error
