"""What the editor asks a person: about a draft that was found, and a file that others changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from spice_tui.screens.changed_on_disk import CHANGED, DRAFT, ChooseText

if TYPE_CHECKING:
    from spice_tui.models.draft import Draft
    from spice_tui.widgets.editor_pane import EditorPane


class EditorQuestions:
    """Asks when the person is at the text, and not again what was left without an answer."""

    def __init__(self, pane: EditorPane) -> None:
        self._pane = pane
        self._left = ""

    @property
    def _is_asking(self) -> bool:
        return isinstance(self._pane.app.screen, ChooseText)

    def ask_if_here(self) -> None:
        """Ask what is to be decided, if the person is at the text; else it waits for that."""
        file = self._pane.file
        if not self._pane.area.has_focus or self._is_asking:
            return
        if file.pending is not None:
            self._ask_about_draft(file.pending)
        elif file.foreign is not None and file.foreign.digest != self._left:
            self.ask_about_change()

    def _ask_about_draft(self, draft: Draft) -> None:
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(draft.written))
        why = f"{draft.path} was edited on {moment} and not saved. What is to become of that text?"
        self._pane.app.push_screen(
            ChooseText("A draft was found", why, DRAFT, self._pane.area.plain, draft.text),
            lambda choice: self._decide(draft, choice),
        )

    def _decide(self, draft: Draft, choice: str | None) -> None:
        file = self._pane.file
        if choice == "discard":
            file.discard(draft)
            return
        file.restore(draft)  # nothing is lost by it: undo gives the file's text
        if file.foreign is not None:
            self.ask_about_change()

    def ask_about_change(self) -> None:
        """Ask how to go on when the file and the text were both changed."""
        foreign = self._pane.file.foreign
        if foreign is None or self._is_asking:
            return
        why = f"{foreign.path} was changed by somebody else while you edited it."
        mine = self._pane.area.plain
        self._pane.app.push_screen(
            ChooseText("Changed on disk", why, CHANGED, foreign.text, mine), self._resolve
        )

    def _resolve(self, choice: str | None) -> None:
        pane = self._pane
        if choice is None:
            self._left = pane.file.foreign.digest if pane.file.foreign else ""
            return
        merged = pane.file.resolve(choice)
        if merged is not None and merged.conflicts:
            places = "1 place" if merged.conflicts == 1 else f"{merged.conflicts} places"
            pane.tell(f"{places} could not be merged; see the marks <<<<<<<.", "warning")
        pane.keep_draft()
        pane.show_status()
