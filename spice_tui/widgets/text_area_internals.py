"""The only place that uses private names of Textual's TextArea (of 8.2.8; a test watches them).

Textual rebuilds the highlights of the whole text at every key, and then draws every line anew.
Here the highlights of lines are made when they are drawn, and lines that look as before are not
drawn again, so that a key costs the same in texts of any length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.cache import LRUCache
from textual.strip import Strip
from textual.widgets import TextArea

from spice_tui.widgets.manifest_syntax import ORDER, Highlight, add_node, code_highlights

CHUNK = 64
"""Lines whose highlights are made together."""

_RANK = {name: number for number, name in enumerate(ORDER)}


class _Lazy(dict[int, list[Highlight]]):
    """Highlights by line, made when a line is first asked for."""

    def __init__(self, fill: Callable[[int], dict[int, list[Highlight]]]) -> None:
        super().__init__()
        self._fill = fill

    def __bool__(self) -> bool:
        return True  # Textual looks at no line of an empty map

    def __missing__(self, row: int) -> list[Highlight]:
        first = row - row % CHUNK
        found = self._fill(first)
        for one in range(first, first + CHUNK):
            self[one] = found.get(one, [])
        return self[row]


class HighlightedArea(TextArea):
    """A text area whose highlights are made line by line, with marks of its owner on top."""

    marks: dict[int, list[Highlight]]
    """By row; drawn over the syntax. Call `redraw_marks` after a change."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.marks = {}
        self._drawn: LRUCache[tuple[Any, ...], Strip] = LRUCache(1024)
        self._drawn_theme: object = None
        super().__init__(*arguments, **options)

    def redraw_marks(self) -> None:
        """Draw anew, with the marks as they are now."""
        self._build_highlight_map()
        self.refresh()

    def insert_typed(self, text: str) -> None:
        """Insert as if it was typed: in place of what is selected, and never when read-only."""
        self._replace_via_keyboard(text, *self.selection)

    def _build_highlight_map(self) -> None:
        self._line_cache.clear()
        self._highlights = _Lazy(self._highlights_from)  # type: ignore[assignment]

    def _render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        if self.soft_wrap or row >= self.document.line_count or self._is_special(row):
            return super()._render_line(y)
        theme = self._theme
        if theme is not self._drawn_theme:
            self._drawn.clear()
            self._drawn_theme = theme
        look = (row, self.document[row], tuple(self._highlights[row]))
        frame = (self.size, self.virtual_size.width, self.scroll_offset.x, self.gutter_width)
        key = (*look, *frame, theme.base_style, theme.gutter_style)
        strip = self._drawn.get(key)
        if strip is None:
            strip = self._drawn[key] = super()._render_line(y)
        return strip

    def _is_special(self, row: int) -> bool:
        """Whether a line has the cursor, a selection, or the partner of a bracket."""
        top, bottom = sorted(self.selection)
        partner = self._matching_bracket_location
        return top[0] <= row <= bottom[0] or (partner is not None and partner[0] == row)

    def _highlights_from(self, first: int) -> dict[int, list[Highlight]]:
        found: dict[int, list[Highlight]] = {}
        rows = range(first, min(first + CHUNK, self.document.line_count))
        if self._highlight_query is not None:
            captures = self.document.query_syntax_tree(
                self._highlight_query, (rows.start, 0), (rows.stop, 0)
            )
            for name in sorted(captures, key=lambda name: _RANK.get(name, 0)):
                for node in captures[name]:
                    add_node(found, node.start_point, node.end_point, name, rows)
                    if name == "code":
                        self._add_code(found, node.start_point[0] + 1, node.end_point[0], rows)
        for row in rows:
            if row in self.marks:
                found.setdefault(row, []).extend(self.marks[row])
        return found

    def _add_code(
        self, found: dict[int, list[Highlight]], first: int, last: int, rows: range
    ) -> None:
        lines = self.document.lines[first : last + 1]
        for row, marks in code_highlights(lines).items():
            if first + row in rows:
                found.setdefault(first + row, []).extend(marks)
