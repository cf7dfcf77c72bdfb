"""The text of a manifest: coloured, with findings underlined, and keys that know YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from spice_tui.models import text_edits
from spice_tui.models.text_edits import Position, TextEdit
from spice_tui.theme.symbols import symbols
from spice_tui.widgets.manifest_syntax import STYLES, YAML, yaml_language
from spice_tui.widgets.text_area_internals import HighlightedArea

if TYPE_CHECKING:
    from spice_engine.protocol.pods import ProblemInfo

MAX_HIGHLIGHTED_LINES = 3_000
"""Longer texts are shown plain: reading them in would hold the screen up."""

_NOT_OURS = {"ctrl+a", "ctrl+e", "ctrl+d", "f6", "f7", "ctrl+x", "ctrl+k"}
"""Keys of Textual's that screen and tmux eat, or that do something else here or in the app."""


def _bindings() -> list[BindingType]:
    """Textual's bindings of a text area without the keys that are not ours."""
    kept: list[BindingType] = []
    for binding in TextArea.BINDINGS:
        if not isinstance(binding, Binding):
            continue
        keys = [key for key in binding.key.split(",") if key not in _NOT_OURS]
        if keys:
            kept.append(Binding(",".join(keys), binding.action, binding.description, show=False))
    kept += [
        Binding("ctrl+x", "cut", "Cut", show=False),
        Binding("ctrl+k", "delete_line", "Delete line", show=False),
        Binding("shift+tab", "dedent", "Dedent", show=False),
    ]
    return kept


class ManifestArea(HighlightedArea, inherit_bindings=False):
    """The text. `Left` tells that escape was pressed, `TabAfterText` that tab was."""

    BINDINGS: ClassVar[list[BindingType]] = _bindings()
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"manifest--{name}" for name in STYLES),
        "manifest--error",
        "manifest--warning",
    }
    DEFAULT_CSS = """
    ManifestArea {
        border: none; padding: 0; scrollbar-size-horizontal: 0; scrollbar-size-vertical: 1;
        &:focus { border: none; }
        .manifest--code { color: $foreground; }
        .manifest--string { color: $text-success; }
        .manifest--constant { color: $text-warning; }
        .manifest--number { color: $text-warning; }
        .manifest--key { color: $text-primary; text-style: bold; }
        .manifest--tag { color: $text-accent; }
        .manifest--punctuation { color: $text-muted; }
        .manifest--comment { color: $text-muted; text-style: italic; }
        .manifest--keyword { color: $text-accent; text-style: bold; }
        .manifest--function { color: $text-secondary; }
        .manifest--error { color: $text-error; text-style: underline bold; }
        .manifest--warning { color: $text-warning; text-style: underline; }
    }
    """

    class Left(Message):
        """Escape was pressed in the text."""

    class TabAfterText(Message):
        """Tab was pressed behind a word."""

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=False, tab_behavior="indent", show_line_numbers=True, compact=True
        )
        self.cursor_blink = False
        self.indent_width = text_edits.INDENT
        self.problems: tuple[ProblemInfo, ...] = ()
        self._signs: dict[int, str] = {}
        self.take_key: Callable[[str], bool] = lambda _: False
        """Asked about each key first; true when it was used, as by a list of completions."""
        language = yaml_language()
        self._coloured = language is not None
        if language is not None:
            self.register_language("manifest", language, YAML)

    def on_mount(self) -> None:
        self._take_theme()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._take_theme())

    def _take_theme(self) -> None:
        styles = {
            name: self.get_component_rich_style(f"manifest--{name}", partial=True)
            for name in (*STYLES, "error", "warning")
        }
        self.register_theme(TextAreaTheme(name="manifest", syntax_styles=styles))
        self.theme = "manifest"

    # -- the text

    @property
    def lines(self) -> Sequence[str]:
        """The lines, without their ends."""
        return self.document.lines

    @property
    def plain(self) -> str:
        """The text with `\\n` between its lines, whatever stands in the file."""
        return "\n".join(self.document.lines)

    def show(self, text: str) -> None:
        """Another text; what was done before cannot be undone."""
        self.problems, self._signs, self.marks = (), {}, {}
        short = text.count("\n") < MAX_HIGHLIGHTED_LINES
        language = "manifest" if self._coloured and short else None
        if language != self.language:
            self.language = language
        self.load_text(text)

    def change_to(self, text: str) -> None:
        """This text in place of the old one, as one edit that can be undone."""
        edit = text_edits.between(self.plain, text.replace("\r\n", "\n"))
        if edit is not None:
            self.apply(edit, keep_cursor=True)

    def apply(self, edit: TextEdit, *, keep_cursor: bool = False) -> None:
        """Make an edit, as one step that can be undone."""
        self.history.checkpoint()
        self.replace(edit.text, edit.start, edit.end, maintain_selection_offset=keep_cursor)
        self.history.checkpoint()

    def go(self, position: Position) -> None:
        """Put the cursor somewhere and show it in the middle."""
        self.move_cursor(self.clamp_visitable(position), center=True)

    @on(TextArea.SelectionChanged)
    def _show_line_starts(self) -> None:
        """Scroll back to the left where the cursor does not need the room on the right."""
        column = self.cursor_screen_offset.x - self.content_region.x + self.scroll_offset.x
        if self.scroll_offset.x and column < self.scrollable_content_region.width - 1:
            self.scroll_to(x=0, animate=False)

    # -- findings

    def show_problems(self, problems: Iterable[ProblemInfo]) -> None:
        """Underline these findings and mark their lines in the gutter."""
        self.problems = tuple(problems)
        marks: dict[int, list[tuple[int, int | None, str]]] = {}
        signs: dict[int, str] = {}
        for problem in sorted(self.problems, key=lambda one: one.severity == "error"):
            name = "error" if problem.severity == "error" else "warning"
            found = text_edits.range_of(problem, self.lines)
            if found is None:
                continue
            (first, left), (last, right) = found
            signs[first] = name
            for row in range(first, last + 1):
                line = self.lines[row]
                start = left if row == first else len(text_edits.leading(line))
                end = right if row == last else len(line)
                bytes_before = len(line[:start].encode("utf-8", "replace"))
                size = len(line[start:end].encode("utf-8", "replace"))
                if size:
                    marks.setdefault(row, []).append((bytes_before, bytes_before + size, name))
        if (marks, signs) != (self.marks, self._signs):
            self.marks, self._signs = marks, signs
            self.redraw_marks()

    def problem_at(self, position: Position) -> ProblemInfo | None:
        """The finding under a position, an error before a warning; else one of its line."""
        best: tuple[int, int, ProblemInfo] | None = None
        for problem in self.problems:
            found = text_edits.range_of(problem, self.lines)
            if found is None or not found[0][0] <= position[0] <= found[1][0]:
                continue
            inside = found[0] <= position <= found[1]
            rank = (0 if inside else 1, 0 if problem.severity == "error" else 1)
            if best is None or rank < best[:2]:
                best = (*rank, problem)
        return best[2] if best else None

    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        kind = self._signs.get(y + self.scroll_offset.y)
        if kind is None:
            return strip
        signs = symbols()
        sign = signs.failed if kind == "error" else signs.warning
        gutter, *rest = strip
        style = self.get_component_rich_style(f"manifest--{kind}", partial=True)
        # The gutter ends with two blanks; the sign stands in the first of them.
        return Strip(
            [
                Segment(gutter.text[:-2], gutter.style),
                Segment(sign, (gutter.style or Style()) + style + Style(underline=False)),
                Segment(" ", gutter.style),
                *rest,
            ],
            strip.cell_length,
        )

    # -- keys

    def on_key(self, event: events.Key) -> None:
        if self.take_key(event.key):
            pass
        elif event.key == "escape":
            self.post_message(self.Left())
        elif self.read_only:
            return
        elif event.key == "enter":
            self._enter()
        elif event.key == "tab":
            if not self._tab():
                return
        else:
            return
        event.stop()
        event.prevent_default()

    def _enter(self) -> None:
        if not self.selection.is_empty:
            self.insert_typed("\n")
            return
        row, column = self.cursor_location
        edit = text_edits.new_line(self.lines[row], row, column)
        self.replace(edit.text, edit.start, edit.end, maintain_selection_offset=False)

    def _tab(self) -> bool:
        """Indent what is selected, or offer to complete a word; False: insert blanks."""
        if not self.selection.is_empty:
            self._change_rows(text_edits.indent_lines)
            return True
        row, column = self.cursor_location
        if self.lines[row][:column].strip():
            self.post_message(self.TabAfterText())
            return True
        return False

    @property
    def selected_rows(self) -> tuple[int, int]:
        """First and last row of what is selected, or that of the cursor."""
        top, bottom = sorted(self.selection)
        last = bottom[0] - 1 if bottom[1] == 0 and bottom[0] > top[0] else bottom[0]
        return top[0], last

    def _change_rows(self, change: text_edits.LinesChange) -> None:
        if self.read_only:
            return
        first, last = self.selected_rows
        old = self.lines[first : last + 1]
        new = change(old)
        if list(old) == new:
            return
        selection = self.selection
        self.apply(TextEdit((first, 0), (last, len(old[-1])), "\n".join(new)))
        shift = len(new[0]) - len(old[0])
        if selection.is_empty:
            row, column = selection.end
            self.move_cursor((row, max(column + shift, 0)))
        else:
            self.move_cursor((first, 0))
            self.move_cursor((last, len(self.lines[last])), select=True)

    def action_dedent(self) -> None:
        """Rows one level less deep."""
        self._change_rows(text_edits.dedent_lines)

    def toggle_comment(self) -> None:
        """Rows as comments, or not."""
        self._change_rows(text_edits.toggle_comment)

    def duplicate_rows(self) -> None:
        """The rows once more, below."""
        if self.read_only:
            return
        column = self.cursor_location[1]
        first, last = self.selected_rows
        self.apply(text_edits.duplicate_lines(self.lines, first, last))
        self.move_cursor((last + 1 + last - first, column))

    def move_rows(self, step: int) -> None:
        """The rows one up (-1) or down (1)."""
        first, last = self.selected_rows
        edit = text_edits.move_lines(self.lines, first, last, step)
        if edit is None or self.read_only:
            return
        row, column = self.cursor_location
        self.apply(edit)
        self.move_cursor((row + step, column))
