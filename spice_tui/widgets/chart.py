"""A chart of series and reference lines, with crosshair, zoom, log scale and a live tail."""

from __future__ import annotations

import math
from typing import Any

from textual import events
from textual.message import Message

from spice_tui.models.chart_view import ChartInput, ChartView
from spice_tui.models.plot import Picture, Plotter
from spice_tui.models.styled import LABEL, Line, Rows, rows_of
from spice_tui.theme.symbols import symbols
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.picture import PictureWidget

_FAR = 10


class Chart(PictureWidget, can_focus=True):
    """Give data by `show`; a series may grow in place, then call `show` again with the same."""

    CONTEXT = "chart"
    BINDINGS = bindings("chart")

    class _About(Message):
        """Something about this chart."""

        def __init__(self, chart: Chart) -> None:
            super().__init__()
            self.chart = chart

        @property
        def control(self) -> Chart:
            """The chart, for `@on` with a selector."""
            return self.chart

    class CursorMoved(_About):
        """A person moved the crosshair to `x`; None: took it away."""

        def __init__(self, chart: Chart, x: float | None) -> None:
            super().__init__(chart)
            self.x = x

    class ViewChanged(_About):
        """A person zoomed: the x axis goes from `lo` to `hi`; `whole`: everything is seen."""

        def __init__(self, chart: Chart, lo: float, hi: float, whole: bool) -> None:
            super().__init__(chart)
            self.lo, self.hi, self.whole = lo, hi, whole

    class Picked(_About):
        """A person opened the point at the crosshair of the series `key`."""

        def __init__(self, chart: Chart, key: str, x: float) -> None:
            super().__init__(chart)
            self.key, self.x = key, x

    class CompareWanted(_About):
        """A person wants earlier ones shown beside, or no longer."""

    class ExportWanted(_About):
        """A person wants the points in a file."""

    def __init__(
        self,
        data: ChartInput | None = None,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.data = data or ChartInput()
        self.view = ChartView()
        self.view.extend(self.data)
        self._plotter = Plotter()
        self._picture: Picture | None = None

    # -- what comes in

    def show(self, data: ChartInput) -> None:
        """Show this; zoom, crosshair and what is hidden stay."""
        self.data = data
        self.view.extend(data)
        self.redraw()

    def set_cursor(self, x: float | None) -> None:
        """Put the crosshair at x, as another chart in step with this one has it."""
        self.view.walk.cursor = x
        self.redraw()

    def set_view(self, lo: float, hi: float, *, whole: bool = False) -> None:
        """See this stretch, or everything, as another chart in step with this one does."""
        self.view.walk.zoom = None if whole else (lo, hi)
        self.redraw()

    def export(self) -> tuple[list[str], list[list[Any]]]:
        """All points: a column of places and one of each series; None where it has no point."""
        shown = self.data.series
        points = [dict(zip(one.xs, one.ys, strict=True)) for one in shown]
        places = sorted({x for one in points for x in one})
        names = ["x", *(one.title for one in shown)]
        return names, [[x, *(_value(one.get(x)) for one in points)] for x in places]

    # -- drawing

    def draw_rows(self, width: int, height: int) -> Rows:
        """The picture; a sentence instead when there is nothing to draw."""
        data, view = self.data, self.view
        if data.extent() is None and not data.references:
            self._picture = None
            lines = [Line() for _ in range(height)]
            lines[height // 2].add(f"{data.empty:^{width}}", LABEL)
            return rows_of(lines, width)
        picture = self._plotter.draw(
            data.series,
            data.references,
            view.view(data),
            (width, height),
            title=data.title,
            cursor=view.walk.cursor,
            chosen=view.chosen,
            hidden=view.hidden,
            note=self._note(),
        )
        self._picture = picture
        return picture.texts, picture.styles

    def _note(self) -> str:
        words = [self.data.note] if self.data.note else []
        if self.view.log:
            words.append("log")
        if self.view.walk.zoom:
            words.append("zoomed" if self.view.walk.follow else "zoomed, standing")
        return f" {symbols().dot} ".join(words)

    # -- what a person does

    def _moved(self, cells: int) -> None:
        leading = self.view.leading(self.data)
        if leading is None:
            return
        width = self._picture.grid.width if self._picture else self.size.width
        before = self.view.walk.seen
        self.view.walk.move(cells, width, leading.xs)
        self.redraw()
        self.post_message(self.CursorMoved(self, self.view.walk.cursor))
        if self.view.walk.seen != before:
            self._zoomed()

    def _zoomed(self) -> None:
        walk = self.view.walk
        self.redraw()
        self.post_message(self.ViewChanged(self, *walk.seen, walk.zoom is None))

    def action_left(self) -> None:
        """Move the crosshair one point to the left."""
        self._moved(-1)

    def action_right(self) -> None:
        """Move the crosshair one point to the right."""
        self._moved(1)

    def action_jump_left(self) -> None:
        """Move the crosshair far to the left."""
        self._moved(-_FAR)

    def action_jump_right(self) -> None:
        """Move the crosshair far to the right."""
        self._moved(_FAR)

    def _zoom(self, factor: float) -> None:
        if self.data.extent() is not None:
            self.view.walk.zoom_by(factor)
            self._zoomed()

    def action_zoom_in(self) -> None:
        """See half as much."""
        self._zoom(0.5)

    def action_zoom_out(self) -> None:
        """See twice as much."""
        self._zoom(2.0)

    def action_show_all(self) -> None:
        """See everything, without a crosshair."""
        self.view.walk.show_all()
        self._zoomed()
        self.post_message(self.CursorMoved(self, None))

    def action_follow_tail(self) -> None:
        """Follow the tail, or stop."""
        self.view.walk.follow_tail()
        self._zoomed()

    def action_log_scale(self) -> None:
        """Switch between a linear and a logarithmic scale."""
        self.view.log = not self.view.log
        self.redraw()

    def action_next_series(self) -> None:
        """Choose the next series."""
        self.view.choose(self.data, 1)
        self.redraw()

    def action_previous_series(self) -> None:
        """Choose the series before."""
        self.view.choose(self.data, -1)
        self.redraw()

    def action_hide(self) -> None:
        """Hide the chosen series, or show it again."""
        self.view.hide(self.data)
        self.redraw()

    def action_compare(self) -> None:
        """Ask for earlier ones beside the current one."""
        self.post_message(self.CompareWanted(self))

    def action_export(self) -> None:
        """Ask for the points in a file."""
        self.post_message(self.ExportWanted(self))

    def action_pick(self) -> None:
        """Open the point at the crosshair."""
        leading, x = self.view.leading(self.data), self.view.walk.cursor
        if leading is not None and x is not None:
            self.post_message(self.Picked(self, leading.key, x))

    def on_click(self, event: events.Click) -> None:
        """A click puts the crosshair there."""
        place = event.get_content_offset(self)
        picture = self._picture
        if place is None or picture is None or place.x < picture.left:
            return
        lo, hi = self.view.walk.seen
        x = lo + (place.x - picture.left + 0.5) / picture.grid.width * (hi - lo)
        leading = self.view.leading(self.data)
        found = leading.at(x) if leading else None
        self.view.walk.cursor = found[0] if found else x
        self.redraw()
        self.post_message(self.CursorMoved(self, self.view.walk.cursor))


def _value(y: float | None) -> float | None:
    return y if y is not None and math.isfinite(y) else None
