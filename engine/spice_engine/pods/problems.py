"""Findings in a manifest: code, severity, place, sentence, and where possible a fix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from spice_engine.errors import InvalidManifest, Place
from spice_engine.records import record

Severity = Literal["error", "warning"]


@record
class Fix:
    """An edit that cures a problem: put `text` in place of what is at `place`."""

    title: str
    place: Place
    text: str

    def as_dict(self) -> dict[str, Any]:
        """The fix as plain data."""
        return {"title": self.title, "place": place_as_dict(self.place), "text": self.text}


@record
class Problem:
    """One finding. `str()` gives `file:line:col: severity code: sentence`."""

    code: str
    severity: Severity
    place: Place
    message: str
    fix: Fix | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.severity} {self.code}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """The problem as plain data, the same on every door."""
        return {
            "code": self.code,
            "severity": self.severity,
            "place": place_as_dict(self.place),
            "message": self.message,
            "fix": self.fix.as_dict() if self.fix else None,
        }


def place_as_dict(place: Place) -> dict[str, Any]:
    """A place as plain data: file, line, column, end_line, end_column."""
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "end_line": place.end_line,
        "end_column": place.end_column,
    }


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems sorted by place, duplicates left out."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda p: (p.place.line, p.place.column, p.severity)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known word closest to `word`, or an empty string."""
    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


def raise_if_errors(problems: Sequence[Problem]) -> None:
    """Raise InvalidManifest holding every finding if any of them is an error."""
    errors = [p for p in problems if p.severity == "error"]
    if not errors:
        return
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    raise InvalidManifest(
        f"{errors[0].message}{more}",
        place=errors[0].place,
        problems=[p.as_dict() for p in problems],
    )
