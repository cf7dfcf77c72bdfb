"""What the editor asks the engine while a person types: findings, completion, explanations.

Answers to a text that has changed since are dropped; of each kind one question is under way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from textual.geometry import Offset
from textual.widget import Widget

from spice_engine.errors import SpiceError
from spice_engine.protocol.authoring import (
    Checked,
    Completion,
    Hover,
    OutlineItem,
    TextPosition,
    UnsavedManifest,
)
from spice_tui.models.text_edits import TextEdit
from spice_tui.widgets.debounce import Debounce

if TYPE_CHECKING:
    from spice_engine.protocol.pods import ProblemInfo
    from spice_tui.models.authoring_door import AuthoringDoor
    from spice_tui.widgets.completion import CompletionPopup
    from spice_tui.widgets.manifest_area import ManifestArea

CHECK_AFTER = 0.15
PREVIEW_AFTER = 0.4
COMPLETE_AFTER = 0.08
EXPLAIN_AFTER = 0.4

_OPENS = re.compile(r"\w{2,}$|(?::|-|=|,|\() $|\.$")
"""What stands before the cursor when the list opens by itself."""


class EditorChecks:
    """Asks about the text of one area. `path` is the manifest's, as the engine is to name it."""

    def __init__(
        self,
        owner: Widget,
        door: AuthoringDoor,
        area: ManifestArea,
        popup: CompletionPopup,
        *,
        on_checked: Callable[[Checked], None],
        on_preview: Callable[[], None],
        on_help: Callable[[], None],
        on_failed: Callable[[SpiceError], None],
    ) -> None:
        self._owner, self._door = owner, door
        self._area, self._popup = area, popup
        self._on_checked, self._on_preview = on_checked, on_preview
        self._on_help, self._on_failed = on_help, on_failed
        popup.typed_now = self._typed_of_item
        self._text_number = 0
        self._checked_number = -1
        self._preview_due = False
        self._check = Debounce(owner, CHECK_AFTER, self.check_now)
        self._preview = Debounce(owner, PREVIEW_AFTER, self._preview_wanted)
        self._complete = Debounce(owner, COMPLETE_AFTER, self.complete_now)
        self._moved_in = 0
        self._explain = Debounce(owner, EXPLAIN_AFTER, self.explain_now)
        self.path = ""
        self.hover = Hover()
        self.outline: tuple[OutlineItem, ...] = ()
        self.problems: tuple[ProblemInfo, ...] = ()
        self.valid = False

    @property
    def is_current(self) -> bool:
        """Whether the findings are about the text as it is now."""
        return self._checked_number == self._text_number

    def another_text(self) -> None:
        """A text was loaded: forget what is known of the one before."""
        self._text_number += 1
        self.outline, self.problems, self.valid, self.hover = (), (), False, Hover()
        self._popup.close()
        self._preview.stop()
        self._preview_due = False
        self.check_now()

    def edited(self) -> None:
        """The text was changed."""
        self._text_number += 1
        self._preview_due = False
        self._check.again()
        self._preview.again()
        if self._popup.is_open or self._opens_here():
            self._complete.again()

    def moved(self) -> None:
        """The cursor was moved."""
        row, column = self._area.cursor_location
        at = self.hover
        if at.title and (row + 1 != at.line or not at.column <= column + 1 <= at.end_column):
            self.hover = Hover()
        if self._popup.is_open and not self._complete_under_way():
            self._popup.close()
        if self._moved_in == self._text_number:
            self._complete.stop()  # it went away from what was typed
        self._moved_in = self._text_number
        if self.path:
            self._explain.again()

    def stop(self) -> None:
        """Ask nothing any more."""
        for waiting in (self._check, self._preview, self._complete, self._explain):
            waiting.stop()

    def _run(self, group: str, work: Callable[[], object]) -> None:
        if self.path:
            self._owner.run_worker(work, group=group, exclusive=True)  # type: ignore[arg-type]

    # -- findings

    def check_now(self) -> None:
        """Check the text now."""
        self._check.stop()
        self._run("editor-check", self._checking)

    async def _checking(self) -> None:
        number, text = self._text_number, self._area.text
        try:
            checked = await self._door.check(UnsavedManifest(text, self.path))
        except SpiceError as error:
            self._on_failed(error)
            return
        if number != self._text_number:
            return
        self._checked_number = number
        self.outline, self.problems = tuple(checked.outline), tuple(checked.problems)
        self.valid = checked.valid
        self._on_checked(checked)
        if self._preview_due:
            self._preview_wanted()

    def _preview_wanted(self) -> None:
        self._preview_due = not self.is_current
        if self.is_current and self.valid:
            self._on_preview()

    def is_here(self, problem: ProblemInfo) -> bool:
        """Whether a finding is in the text, and not in a file that it names."""
        if not problem.file:
            return True
        return PurePosixPath(problem.file).name == PurePosixPath(self.path).name

    # -- completion

    def _before_cursor(self) -> str:
        row, column = self._area.cursor_location
        return self._area.lines[row][:column]

    def _opens_here(self) -> bool:
        return self._area.has_focus and bool(_OPENS.search(self._before_cursor()))

    def _typed_of_item(self) -> str:
        """What is written of the item that the list is for."""
        return self._before_cursor()[max(self._popup.start_column - 1, 0) :]

    def _complete_under_way(self) -> bool:
        """Whether the cursor is still in the word that the list is for."""
        before = self._before_cursor()
        start = self._popup.start_column - 1
        return start <= len(before) and not before[start:].endswith(" ")

    def complete_now(self) -> None:
        """List what can stand at the cursor."""
        self._complete.stop()
        if not self._area.read_only:
            self._run("editor-complete", self._completing)

    async def _completing(self) -> None:
        area = self._area
        text, (row, column) = area.text, area.cursor_location
        place = TextPosition(text, row + 1, column + 1, self.path)
        try:
            found = await self._door.complete(place)
        except SpiceError as error:
            self._on_failed(error)
            return
        if area.text != text or area.cursor_location != (row, column) or not area.has_focus:
            return
        start = max(found.start_column - 1, 0)
        typed = area.lines[row][start:column]
        x, y = area.cursor_screen_offset
        self._popup.show(found, typed, Offset(x - len(typed), y))

    def insert(self, item: Completion, start_column: int) -> None:
        """Put an item in place of what was typed of it."""
        row, column = self._area.cursor_location
        start = min(max(start_column - 1, 0), column)
        self._area.apply(TextEdit((row, start), (row, column), item.insert))
        if item.insert.endswith((": ", ":\n", ".")):
            self._complete.again()

    # -- explanations

    def explain_now(self) -> None:
        """Ask what stands at the cursor."""
        self._explain.stop()
        self._run("editor-explain", self.explaining)

    async def explaining(self) -> Hover:
        """What stands at the cursor; nothing when it moved on meanwhile."""
        area = self._area
        text, (row, column) = area.text, area.cursor_location
        try:
            found = await self._door.hover(TextPosition(text, row + 1, column + 1, self.path))
        except SpiceError as error:
            self._on_failed(error)
            return Hover()
        if area.text != text or area.cursor_location != (row, column):
            return Hover()
        self.hover = found
        self._on_help()
        return found
