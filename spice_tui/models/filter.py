"""The `/` language: which rows a person wants to see.

    pod cart           both words occur somewhere in the row, in any case
    "two words"        this text occurs
    !failed            does not hold
    ~crtpl             the letters occur in this order
    state:run          the text occurs in this column
    state=running      the column is exactly this
    reward>=0.5        numbers; also <, <=, >, != with units as in age<10m, size>3MiB, cpu>50%
    ready|failed       one of them; after a column, one of them in that column

Terms stand apart by spaces and all must hold. What is not understood is searched as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from spice_engine.records import record
from spice_tui.models.filter_terms import (
    MOMENTS_FROM,
    AgeIs,
    AnyOf,
    Contains,
    Not,
    NumberIs,
    Term,
    TextIs,
    Values,
    fuzzy,
    plain,
    quantity,
    reads_text,
)

_CONDITION = re.compile(r"([A-Za-z_][\w.-]*)(<=|>=|!=|:|=|<|>)(.*)", re.DOTALL)


@record
class Filter:
    """A parsed text. `problem` says what is odd in it, empty if nothing is."""

    text: str
    problem: str = ""
    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def reads_text(self) -> bool:
        """Whether it looks at the whole text of a row."""
        return any(reads_text(term) for term in self.terms)

    def matches(self, values: Values, text: str | None = None, now: float = 0.0) -> bool:
        """Whether a row with these values is wanted.

        `text` is its `text_of`, if at hand; `now` (unix seconds) is what ages are told from.
        """
        if text is None:
            text = text_of(values.values())
        return all(term.holds(values, text, now) for term in self.terms)


def text_of(values: Collection[Any]) -> str:
    """The text that plain terms are looked for in: all values, casefolded."""
    if None in values:
        values = [value for value in values if value is not None]
    return "\n".join(map(str, values)).casefold()


def parse(text: str, columns: Mapping[str, str] | None = None) -> Filter:
    """Read a filter; any text is one. `columns` are the kinds by key, if they are known."""
    reader = _Reader(columns)
    terms = [term for pieces in _split(text) if (term := reader.term(pieces)) is not None]
    return Filter(text, " ".join(reader.problems), tuple(terms))


@record
class _Piece:
    """A part of a term between bars; `bare` characters of its text stood before any quote."""

    text: str
    bare: int
    quoted: bool


def _split(text: str) -> list[list[_Piece]]:
    """Terms, each of its alternatives, with the quotes taken off; none of them is empty."""
    terms: list[list[_Piece]] = []
    pieces: list[_Piece] = []
    letters: list[str] = []
    quote_at: int | None = None
    quoted = False

    def end_piece() -> None:
        nonlocal quote_at
        if letters or quote_at is not None:
            bare = len(letters) if quote_at is None else quote_at
            pieces.append(_Piece("".join(letters), bare, quote_at is not None))
        letters.clear()
        quote_at = None

    def end_term() -> None:
        nonlocal pieces
        end_piece()
        if pieces:
            terms.append(pieces)
            pieces = []

    for letter in text:
        if letter == '"':
            quoted = not quoted
            quote_at = len(letters) if quote_at is None else quote_at
        elif quoted or not (letter == "|" or letter.isspace()):
            letters.append(letter)
        elif letter == "|":
            end_piece()
        else:
            end_term()
    end_term()
    return terms


class _Reader:
    """Makes terms of pieces and collects what is odd."""

    def __init__(self, columns: Mapping[str, str] | None) -> None:
        self.problems: list[str] = []
        self._columns = columns
        self._keys = {key.casefold(): key for key in columns or ()}

    def term(self, pieces: list[_Piece]) -> Term | None:
        """The meaning of one term; None while it is not written to its end."""
        first = pieces[0]
        negative = first.bare > 0 and first.text.startswith("!")
        if negative:
            first = _Piece(first.text[1:], first.bare - 1, first.quoted)
        terms: list[Term] = []
        lead = ""
        for piece in (first, *pieces[1:]):
            term, lead = self._alternative(piece, lead)
            if term is not None:
                terms.append(term)
        if not terms:
            return None
        wanted = terms[0] if len(terms) == 1 else AnyOf(tuple(terms))
        return Not(wanted) if negative else wanted

    def _alternative(self, piece: _Piece, lead: str) -> tuple[Term | None, str]:
        """The meaning of a part, and what leads the next part if that has nothing of its own."""
        if piece.bare > 0 and piece.text.startswith("~"):
            return fuzzy(piece.text[1:]), "~"
        found = _CONDITION.match(piece.text)
        if found is not None and found.end(2) <= piece.bare:
            key = self._key(found[1])
            if key is not None:
                unfinished = not found[3] and not piece.quoted
                term = None if unfinished else self._condition(key, found[2], found[3])
                return term, f"{key}{found[2]}"
        if lead == "~":
            return fuzzy(piece.text), lead
        before = _CONDITION.match(lead)
        if before is not None:
            return self._condition(before[1], before[2], piece.text), lead
        return plain(piece.text), lead

    def _key(self, name: str) -> str | None:
        if self._columns is None:
            return name
        key = self._keys.get(name.casefold())
        if key is None:
            known = ", ".join(self._columns)
            self.problems.append(
                f"No column is called '{name}', so it is searched as text; there are {known}."
            )
        return key

    def _condition(self, key: str, operator: str, operand: str) -> Term | None:
        written = operand.casefold()
        if operator == ":":
            return Contains(key, written)
        kind = (self._columns or {}).get(key, "")
        number = quantity(operand, kind)
        if number is None:
            if operator not in ("=", "!=") and kind not in ("", "text", "state"):
                self.problems.append(f"'{operand}' is not a {kind} to compare '{key}' with.")
                return None
            return TextIs(key, operator, written)
        if kind == "time" and number < MOMENTS_FROM:
            return AgeIs(key, operator, number)
        return NumberIs(key, operator, number, written)
