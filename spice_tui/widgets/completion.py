"""The list of what can be inserted at the cursor. It never takes the focus from the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Offset, Size
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

if TYPE_CHECKING:
    from spice_engine.protocol.authoring import Completion, Completions

MAX_ROWS = 8
MAX_WIDTH = 60


def matching(items: Sequence[Completion], typed: str) -> list[Completion]:
    """Those that go with what was typed: that begin with it, then that hold it, in their order."""
    wanted = typed.lower()
    first = [item for item in items if item.label.lower().startswith(wanted)]
    held = [item for item in items if item not in first and wanted in item.label.lower()]
    return first + held


def place(cursor: Offset, size: Size, screen: Size) -> Offset:
    """Where a list of this size goes: below the cursor, or above where there is more room."""
    below = screen.height - cursor.y - 1
    y = cursor.y + 1 if below >= size.height or below >= cursor.y else cursor.y - size.height
    x = min(cursor.x, screen.width - size.width)
    return Offset(max(x, 0), max(y, 0))


class _List(OptionList, can_focus=False):
    """The labels."""


class CompletionPopup(Vertical):
    """A list beside the cursor, with a line about the item that is chosen."""

    DEFAULT_CSS = """
    CompletionPopup {
        display: none; overlay: screen; background: $panel; height: auto;
        _List { height: auto; background: $panel; border: none; padding: 0;
                scrollbar-size-vertical: 1; }
        Static { height: 1; color: $text-muted; background: $surface; text-wrap: nowrap;
                 text-overflow: ellipsis; padding: 0 1; }
    }
    """

    class Chosen(Message):
        """An item was chosen; `start_column` is where what it replaces begins (1-based)."""

        def __init__(self, item: Completion, start_column: int) -> None:
            super().__init__()
            self.item = item
            self.start_column = start_column

    def __init__(self) -> None:
        super().__init__()
        self._list = _List(markup=False, compact=True)
        self._about = Static("", markup=False)
        self.items: list[Completion] = []
        self.start_column = 0
        self.typed_now: Callable[[], str] = str
        """Tells what stands between the start and the cursor at this moment."""

    def compose(self) -> ComposeResult:
        yield self._list
        yield self._about

    @property
    def is_open(self) -> bool:
        """Whether it is on the screen."""
        return bool(self.display)

    def show(self, found: Completions, typed: str, cursor: Offset) -> None:
        """List what goes with what is typed, beside the cursor; nothing: close."""
        items = matching(found.items, typed)
        if not items or (len(items) == 1 and items[0].insert == typed):
            self.close()
            return
        self.items, self.start_column = items, found.start_column
        names = min(max(cell_len(item.label) for item in items), MAX_WIDTH // 2)
        screen = self.app.size
        self._list.clear_options()
        self._list.add_options(
            Option(Content.assemble(f"{item.label:<{names}}", "  ", (item.kind, "$text-muted")))
            for item in items
        )
        kinds = max(len(item.kind) for item in items)
        detail = max(cell_len(item.detail) for item in items) + 2
        width = min(max(names + kinds + 6, detail), MAX_WIDTH, screen.width)
        height = min(len(items), MAX_ROWS, max(max(cursor.y, screen.height - cursor.y) - 2, 1))
        self._list.styles.max_height = height
        self.styles.width = width
        self.absolute_offset = place(cursor, Size(width, height + 1), screen)
        self.display = True
        self._list.highlighted = 0
        self._tell()

    def close(self) -> None:
        """Go away."""
        if self.display:
            self.display = False
            self.items = []

    def step(self, rows: int) -> None:
        """Choose an item further down or up, going round."""
        at = self._list.highlighted or 0
        far = abs(rows) > 1
        to = at + rows
        self._list.highlighted = (
            max(0, min(to, len(self.items) - 1)) if far else to % len(self.items)
        )
        self._tell()

    def _tell(self) -> None:
        item = self.items[self._list.highlighted or 0]
        self._about.update(item.detail.replace("\n", " "))

    def accept(self) -> None:
        """Take the item that is chosen."""
        if self.is_open and self.items:
            item = self.items[self._list.highlighted or 0]
            start = self.start_column
            self.close()
            self.post_message(self.Chosen(item, start))

    def _is_wanted(self, key: str) -> bool:
        """Whether the item still goes with the text: keys may be faster than the list.

        Enter behind what is written out already is a new line.
        """
        item, typed = self.items[self._list.highlighted or 0], self.typed_now()
        if key == "enter" and typed in (item.label, item.insert):
            return False
        return bool(matching([item], typed))

    def take_key(self, key: str) -> bool:
        """Do what a key means while the list is open; false when it means nothing here."""
        if not self.is_open:
            return False
        match key:
            case "down" | "up":
                self.step(1 if key == "down" else -1)
            case "pagedown" | "pageup":
                self.step(MAX_ROWS if key == "pagedown" else -MAX_ROWS)
            case "enter" | "tab":
                if not self._is_wanted(key):
                    self.close()
                    return False
                self.accept()
            case "escape":
                self.close()
            case _:
                return False
        return True

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._list.highlighted = event.option_index
        self.accept()
