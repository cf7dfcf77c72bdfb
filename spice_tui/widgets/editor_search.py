"""Find and replace in the editor: between the find bar and the text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spice_engine.errors import InvalidRequest
from spice_tui.models import text_search
from spice_tui.models.text_edits import TextEdit, offset_of, position_at

if TYPE_CHECKING:
    from spice_tui.widgets.find_bar import FindBar
    from spice_tui.widgets.manifest_area import ManifestArea


class EditorSearch:
    """Finds what the bar wants in the area, and tells the bar how many there are."""

    def __init__(self, area: ManifestArea, bar: FindBar) -> None:
        self._area, self._bar = area, bar

    def open(self, wanted: str = "") -> None:
        """Open the bar, with what is selected if that is of one line."""
        selected = self._area.selected_text
        self._bar.open(wanted or (selected if "\n" not in selected else ""))
        if self._bar.wanted:
            self.wanted()

    def _pattern(self) -> re.Pattern[str] | None:
        if not self._bar.wanted:
            self._bar.tell("")
            return None
        try:
            return text_search.pattern_of(self._bar.wanted, regex=self._bar.regex)
        except InvalidRequest as error:
            self._bar.tell(str(error), problem=True)
            return None

    def wanted(self) -> None:
        """What to find changed: go to the nearest hit from where the selection begins."""
        self._go(min(self._area.selection), backwards=False)

    def step(self, *, backwards: bool) -> None:
        """Go to the next hit, or the one before."""
        selection = self._area.selection
        self._go(min(selection) if backwards else max(selection), backwards=backwards)

    def _go(self, start: tuple[int, int], *, backwards: bool) -> None:
        pattern = self._pattern()
        if pattern is None:
            return
        text = self._area.plain
        hits = text_search.spans(text, pattern)
        number = text_search.nearest(hits, offset_of(text, start), backwards=backwards)
        if number is None:
            self._bar.tell("no hit", problem=True)
            return
        left, right = hits[number]
        self._area.move_cursor(position_at(text, left), center=True)
        self._area.move_cursor(position_at(text, right), select=True)
        self._bar.tell(f"{number + 1} of {len(hits)}")

    def replace(self, *, every: bool) -> None:
        """Replace the selected hit and go to the next; or every hit, as one step."""
        pattern = self._pattern()
        if pattern is None or self._area.read_only:
            return
        text, new, regex = self._area.plain, self._bar.replacement, self._bar.regex
        try:
            if every:
                changed, count = text_search.replace_all(text, pattern, new, regex=regex)
                self._area.change_to(changed)
                self._bar.tell(f"{count} replaced")
                return
            start, end = sorted(self._area.selection)
            found = pattern.match(text, offset_of(text, start))
            if found and start != end and found.end() == offset_of(text, end):
                put = text_search.replacement(found, new, regex=regex)
                self._area.apply(TextEdit(start, end, put))
        except InvalidRequest as error:
            self._bar.tell(str(error), problem=True)
            return
        self.step(backwards=False)
