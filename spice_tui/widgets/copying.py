"""A wish to copy text, for the app to carry out: it knows the way to this terminal's clipboard."""

from __future__ import annotations

from textual.message import Message


class CopyText(Message):
    """A person wants this text on the clipboard; `what` names it for the answer."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text = text
        self.what = what
