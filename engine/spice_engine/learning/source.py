"""A piece of code inside a manifest: its text, and where each of its characters stands there."""

from __future__ import annotations

from typing import Any, Literal

from spice_engine.errors import Place
from spice_engine.records import record


@record
class Source:
    """Code as written in `file`.

    Line i (from 1), character c (from 0) of `text` stands in line `line + i - 1`, column
    `column + c` of the file. `exact` is False where YAML folded or unescaped the text; then every
    place is the one where the text starts.
    """

    text: str
    file: str
    line: int
    column: int
    exact: bool = True

    def place(self, line: int, column: int, end_line: int = 0, end_column: int = 0) -> Place:
        """The place in the file of a stretch of the text (lines from 1, characters from 0)."""
        if not self.exact:
            return Place(self.file, self.line, self.column, self.line, self.column + 1)
        return Place(
            self.file,
            self.line + line - 1,
            self.column + column,
            self.line + (end_line or line) - 1,
            self.column + (end_column if end_line else column + 1),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a frame."""
        return {
            "text": self.text,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "exact": self.exact,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Source:
        """The source that `as_dict` gave."""
        return cls(data["text"], data["file"], data["line"], data["column"], data["exact"])


@record
class Finding:
    """Something wrong or old-fashioned in a piece of code."""

    code: str
    severity: Literal["error", "warning"]
    place: Place
    message: str
    hint: str = ""
    replacement: str = ""
    """What to write at `place` instead, where that is known."""
