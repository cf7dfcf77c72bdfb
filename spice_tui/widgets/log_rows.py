"""Lines of a log as rows of cells: broken or cut to a width, with colours and matches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.cells import get_character_cell_size
from rich.errors import StyleSyntaxError
from rich.segment import Segment
from rich.style import Style

from spice_engine.records import record

if TYPE_CHECKING:
    from spice_tui.models.log_text import LogLine, Span
    from spice_tui.models.log_view import LogPage

_LEVEL = re.compile(r"\b(?:(CRITICAL|FATAL|ERROR)|(WARN(?:ING)?))\b")


@record
class LogRow:
    """Characters [start, end) of a line; `pad` cells before them where a wide one was halved.

    `more`: the line goes on behind them. `here`: the cursor is on the line.
    """

    line: LogLine
    start: int
    end: int
    pad: int = 0
    more: bool = False
    here: bool = False


@record
class LogStyles:
    """Styles that rows are drawn with."""

    base: Style
    cursor: Style
    match: Style
    error: Style
    warning: Style


def page_rows(page: LogPage, left: int, width: int, room: int, *, wrap: bool) -> list[LogRow]:
    """A page's lines as at most `room` rows of `width` cells: broken, or cut from `left` on."""
    numbered = enumerate(page.lines)
    if not wrap:
        return [cut_row(line, left, width, here=n == page.cursor) for n, line in numbered]
    rows: list[LogRow] = []
    end_of_cursor = 0
    for number, line in numbered:
        rows += broken_rows(line, width, room, here=number == page.cursor)
        if number == page.cursor:
            end_of_cursor = len(rows)
    # The cursor's line is seen to its end; what does not fit is left out above it.
    first = max(0, end_of_cursor - room)
    return rows[first : first + room]


def cut_row(line: LogLine, left: int, width: int, *, here: bool = False) -> LogRow:
    """The part of a line that is seen in `width` cells from cell `left` on."""
    text = line.text
    if text.isascii():
        start, end, pad = min(left, len(text)), min(left + width, len(text)), 0
    else:
        start, end, pad = _wide_part(text, left, width)
    return LogRow(line, start, end, pad, end < len(text) or line.cut, here)


def _wide_part(text: str, left: int, width: int) -> tuple[int, int, int]:
    """Characters that lie in cells [left, left + width) whole, and the empty cells before them."""
    start, pad, at = len(text), 0, 0
    for number, character in enumerate(text):
        if at >= left and start == len(text):
            start, pad = number, at - left
        size = get_character_cell_size(character)
        if at + size > left + width:
            return min(start, number), number, pad
        at += size
    return start, len(text), pad


def broken_rows(line: LogLine, width: int, limit: int, *, here: bool = False) -> list[LogRow]:
    """A line over as many rows as it needs, at most `limit`."""
    rows: list[LogRow] = []
    start = 0
    while len(rows) < limit:
        part = line.text[start : start + width]
        _, size, _ = (0, len(part), 0) if part.isascii() else _wide_part(part, 0, width)
        end = start + max(1, size) if part else start
        rows.append(LogRow(line, start, end, here=here))
        start = end
        if start >= len(line.text):
            return rows
    last = rows[-1]
    rows[-1] = LogRow(line, last.start, last.end, more=True, here=here)
    return rows


def segments(
    row: LogRow, base: Style, styles: LogStyles, pattern: re.Pattern[str] | None
) -> list[Segment]:
    """The row's text in its colours, matches of `pattern` marked."""
    painted = list(_painted(row, styles, pattern))
    text = row.line.text
    cuts = sorted(
        {row.start, row.end}
        | {min(max(at, row.start), row.end) for start, end, _ in painted for at in (start, end)}
    )
    parts = [Segment(" " * row.pad, base)] if row.pad else []
    for start, end in pairwise(cuts):
        style = base
        for first, last, paint in painted:
            if first <= start and end <= last:
                style += paint
        parts.append(Segment(text[start:end], style))
    return parts


def _painted(
    row: LogRow, styles: LogStyles, pattern: re.Pattern[str] | None
) -> Iterator[tuple[int, int, Style]]:
    """Stretches with styles, later ones over earlier ones."""
    if row.line.spans:
        yield from _spans(row.line.spans)
    else:
        level = _LEVEL.search(row.line.text, 0, 200)
        if level is not None:
            yield level.start(), level.end(), styles.error if level[1] else styles.warning
    if pattern is not None:
        for match in pattern.finditer(row.line.text):
            if match.start() >= row.end:
                return
            if match.end() > max(row.start, match.start()):
                yield match.start(), match.end(), styles.match


def _spans(spans: Sequence[Span]) -> Iterator[tuple[int, int, Style]]:
    for span in spans:
        yield span.start, span.end, _style(span.style)


@lru_cache(maxsize=256)
def _style(text: str) -> Style:
    try:
        return Style.parse(text)
    except StyleSyntaxError:
        return Style.null()
