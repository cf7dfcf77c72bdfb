"""A widget that shows rows of characters and style bytes and repaints only what changed."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from spice_tui.models import styled
from spice_tui.theme.symbols import ANSI_SERIES, SERIES
from spice_tui.widgets.sized import Sized

# A run of one style; blanks after it belong to it, for they look alike in any style.
_RUN = re.compile(rb"([^\0])(?:\1|\0)*|\0+", re.DOTALL)
_MANY = 12

_PARTS = {
    styled.AXIS: "picture--axis",
    styled.LABEL: "picture--label",
    styled.TITLE: "picture--title",
    styled.CROSS: "picture--cross",
    styled.CHOSEN: "picture--chosen",
    styled.GOOD: "picture--good",
    styled.BAD: "picture--bad",
    **{styled.REFERENCE + i: f"picture--{tone}" for i, tone in enumerate(styled.TONES)},
}


class PictureWidget(Sized, Widget):
    """Draws what `draw_rows` gives. Call `redraw` when that may have changed."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(_PARTS.values())
    DEFAULT_CSS = """
    PictureWidget {
        width: 1fr;
        height: 1fr;
        .picture--axis { color: $foreground 50%; }
        .picture--label { color: $text-muted; }
        .picture--title { text-style: bold; }
        .picture--cross { color: $primary; }
        .picture--chosen { text-style: bold underline; }
        .picture--good { color: $success; text-style: bold; }
        .picture--bad { color: $error; }
        .picture--random { color: $text-muted; }
        .picture--constant { color: $warning; }
        .picture--oracle { color: $success; }
        .picture--plain { color: $secondary; }
    }
    """

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: styled.Rows = ((), ())
        self._painted: dict[int, Style] = {}
        self.repainted = 0
        """Cells asked to be painted again since the start, for tests and measurements."""

    def draw_rows(self, width: int, height: int) -> styled.Rows:
        """The rows to show: characters, and as many style bytes."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw again, and repaint the spans of rows that look different."""
        width, height = self.size
        if not width or not height:
            return
        old, self._rows = self._rows, self.draw_rows(width, height)
        if len(old[0]) != len(self._rows[0]):
            self.repainted += width * height
            self.refresh()
            return
        changed: list[Region] = []
        rows = zip(*old, *self._rows, strict=True)
        for y, (text, style, new_text, new_style) in enumerate(rows):
            if text != new_text or style != new_style:
                first, last = _span(text, new_text, style, new_style)
                changed.append(Region(first, y, last - first + 1, 1))
        if len(changed) > _MANY:
            # So many regions cost more to put together than to paint what is between them.
            changed = [Region.from_union(changed)]
        self.repainted += sum(region.area for region in changed)
        if changed:
            self.refresh(*changed)

    def on_resize(self) -> None:
        """Another size is another picture."""
        self._rows = ((), ())
        self.redraw()

    def notify_style_update(self) -> None:
        """Another theme: the same picture in other colours."""
        super().notify_style_update()
        self._painted.clear()

    def render_line(self, y: int) -> Strip:
        """One row, as few segments as possible."""
        texts, styles = self._rows
        if y >= len(texts):
            return Strip.blank(self.size.width, self.rich_style)
        text = texts[y]
        segments = [
            Segment(text[run.start() : run.end()], self._style(run[0][0]))
            for run in _RUN.finditer(styles[y])
        ]
        return Strip(segments, len(text))

    def _style(self, index: int) -> Style:
        found = self._painted.get(index)
        if found is None:
            found = self._painted[index] = self.rich_style + self._made(index)
        return found

    def _made(self, index: int) -> Style:
        if index in _PARTS:
            return self.get_component_rich_style(_PARTS[index], partial=True)
        if index < styled.SERIES:
            return Style.null()
        colours = ANSI_SERIES if self.app.native_ansi_color else SERIES
        dim = index >= styled.DIM
        return Style(color=colours[(index - styled.SERIES) % styled.COLORS], dim=dim or None)


def _span(text: str, new_text: str, style: bytes, new_style: bytes) -> tuple[int, int]:
    """The first and last cell that differ."""
    width = min(len(text), len(new_text))
    pairs = zip(text, new_text, style, new_style, strict=False)
    first = next((i for i, (a, b, c, d) in enumerate(pairs) if a != b or c != d), width)
    last = max(len(text), len(new_text)) - 1
    if len(text) == len(new_text):
        while last > first and text[last] == new_text[last] and style[last] == new_style[last]:
            last -= 1
    return first, last
