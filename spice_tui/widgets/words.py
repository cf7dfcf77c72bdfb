"""A text in a place of its own: other words in it move nothing else on the screen."""

from __future__ import annotations

from textual.widgets import Static


class Words(Static):
    """Its size comes from the style sheet, never from the text: a layout costs a key's patience."""

    def __init__(self, text: str = "", *, classes: str = "") -> None:
        super().__init__(text, markup=False, classes=classes)
        self._words = text

    def say(self, text: str) -> None:
        """Show these words."""
        if text != self._words:
            self._words = text
            self.update(text, layout=False)
