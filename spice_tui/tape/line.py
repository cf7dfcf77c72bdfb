"""One line of a tape while it is read: words, quoted texts, patterns, times, with their columns."""

from __future__ import annotations

import re
import shlex
import warnings

from spice_engine.errors import Place
from spice_tui.tape.commands import InvalidTape

QUOTES = "\"'`"
MAX_MILLISECONDS = 3_600_000
_BLANK = re.compile(r"[ \t]*")
_WORD = re.compile(r"[^ \t]+")
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|)\Z", re.ASCII)
_FACTORS = {"ms": 1, "s": 1000, "m": 60_000, "": 1000}


class Line:
    """A line and how far it is read."""

    def __init__(self, file: str, number: int, text: str) -> None:
        self.file = file
        self.number = number
        self.text = text
        self._at = 0

    def here(self) -> Place:
        """Where the next thing stands."""
        self._skip()
        return Place(self.file, self.number, self._at + 1)

    def _skip(self) -> None:
        found = _BLANK.match(self.text, self._at)
        self._at = found.end() if found else self._at

    def at_end(self) -> bool:
        """Whether only blanks and a comment are left."""
        self._skip()
        return self._at == len(self.text) or self.text[self._at] == "#"

    def rest(self) -> tuple[str, Place]:
        """What is left, and where."""
        place = self.here()
        return self.text[self._at :], place

    def word(self, what: str) -> tuple[str, Place]:
        """The next characters up to a blank."""
        place = self.here()
        if self.at_end():
            raise InvalidTape(f"{what} is missing here.", place=place)
        found = _WORD.match(self.text, self._at)
        word = found[0] if found else ""
        self._at += len(word)
        return word, place

    def string(self, what: str) -> str:
        """A text between quotes; there are three kinds and no escapes, as in VHS."""
        place = self.here()
        if self.at_end() or self.text[self._at] not in QUOTES:
            raise InvalidTape(
                f"{what} is missing here.", hint="Put it between quotes.", place=place
            )
        end = self.text.find(self.text[self._at], self._at + 1)
        if end < 0:
            raise InvalidTape("the quote is not closed.", place=place)
        text = self.text[self._at + 1 : end]
        self._at = end + 1
        return text

    def text_or_word(self, what: str) -> tuple[str, Place]:
        """A quoted text or a bare word; neither may be empty."""
        place = self.here()
        if not self.at_end() and self.text[self._at] in QUOTES:
            text = self.string(what)
        else:
            text, place = self.word(what)
            if any(quote in text for quote in QUOTES):
                raise InvalidTape(
                    f"a quote stands inside {text[:40]!r}.",
                    hint="Put all of it between quotes of another kind.",
                    place=place,
                )
        if not text:
            raise InvalidTape(f"{what} is empty.", place=place)
        return text, place

    def pattern(self) -> str:
        """A regular expression between slashes; `\\/` is a slash in it."""
        place = self.here()
        if self.at_end() or self.text[self._at] != "/":
            raise InvalidTape(
                "a pattern is missing here.", hint="Put it between slashes: /text/.", place=place
            )
        at = self._at + 1
        while at < len(self.text) and self.text[at] != "/":
            at += 2 if self.text[at] == "\\" else 1
        if at >= len(self.text):
            raise InvalidTape("the pattern has no closing slash.", place=place)
        pattern = self.text[self._at + 1 : at]
        self._at = at + 1
        if not pattern:
            raise InvalidTape("the pattern is empty.", place=place)
        try:
            compile_pattern(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            position = getattr(error, "pos", None) or 0
            raise InvalidTape(
                f"the pattern cannot be used: {getattr(error, 'msg', error)}.",
                hint="It is a regular expression of Python; escape ( [ { . * + ? with a backslash.",
                place=Place(self.file, self.number, place.column + 1 + position),
            ) from None
        return pattern

    def number_between(self, low: int, high: int, what: str) -> int:
        """A whole number in that range."""
        word, place = self.word(what)
        if not (word.isascii() and word.isdecimal() and len(word) < 10):
            raise InvalidTape(f"{word[:40]!r} is no whole number.", place=place)
        if not low <= int(word) <= high:
            raise InvalidTape(f"{what} is between {low} and {high}.", place=place)
        return int(word)

    def time_of(self, text: str, place: Place) -> int:
        """Milliseconds of `500ms`, `1.5s`, `2m` or `2` (seconds, as in VHS)."""
        found = _TIME.match(text)
        milliseconds = round(float(found[1]) * _FACTORS[found[2]]) if found else -1
        if not 0 <= milliseconds <= MAX_MILLISECONDS:
            raise InvalidTape(
                f"{text[:40]!r} is no time.",
                hint="Write 500ms, 2s or 1m, an hour at most.",
                place=place,
            )
        return milliseconds

    def words_of(self, text: str, place: Place) -> list[str]:
        """A command line's words.

        Raises:
            InvalidTape: a quote in it is not closed.
        """
        try:
            return shlex.split(text)
        except ValueError as error:
            raise InvalidTape(f"the command line cannot be read: {error}.", place=place) from None


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A tape's pattern; `^` and `$` are the ends of lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a later Python may understand otherwise
        return re.compile(pattern, re.MULTILINE)
