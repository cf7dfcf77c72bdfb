"""The decision timeline of a pod: its data, what the policy does, and what would be best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from spice_tui.models.chart_view import Walk
from spice_tui.models.plot import gutter
from spice_tui.models.styled import LABEL, Line, Rows, rows_of
from spice_tui.models.timeline_view import TimelineView
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.picture import PictureWidget

if TYPE_CHECKING:
    from spice_engine.protocol.views import Timeline

_FAR = 10


class DecisionTimeline(PictureWidget, can_focus=True):
    """Give data by `show`; after a zoom finer data are asked for by `RangeWanted`."""

    CONTEXT = "timeline"
    BINDINGS = bindings("timeline")

    class _About(Message):
        """Something about this timeline."""

        def __init__(self, timeline: DecisionTimeline) -> None:
            super().__init__()
            self.timeline = timeline

        @property
        def control(self) -> DecisionTimeline:
            """The timeline, for `@on` with a selector."""
            return self.timeline

    class RangeWanted(_About):
        """Other data are needed: of [start, end), Unix seconds."""

        def __init__(self, timeline: DecisionTimeline, start: int, end: int) -> None:
            super().__init__(timeline)
            self.start, self.end = start, end

    class CursorMoved(_About):
        """A person moved the crosshair to a moment (Unix seconds); None: took it away."""

        def __init__(self, timeline: DecisionTimeline, moment: int | None) -> None:
            super().__init__(timeline)
            self.moment = moment

    class Picked(_About):
        """A person opened the step at a moment (Unix seconds)."""

        def __init__(self, timeline: DecisionTimeline, moment: int) -> None:
            super().__init__(timeline)
            self.moment = moment

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._view: TimelineView | None = None
        self._walk = Walk(follow=False)
        self._first = 0

    @property
    def cursor(self) -> int | None:
        """The time at the crosshair."""
        return None if self._walk.cursor is None else int(self._walk.cursor)

    def show(self, data: Timeline | None) -> None:
        """Show these stretches; zoom and crosshair stay, another pod begins anew."""
        if data is None:
            self._view, self._walk = None, Walk(follow=False)
        else:
            if self._view is not None and self._view.data.pod != data.pod:
                self._walk, self._first = Walk(follow=False), 0
            self._view = TimelineView(data)
            end = float(data.last + data.granularity)
            self._walk.extend(float(data.first), end, end)
            self._first = min(self._first, max(0, len(self._view.fields) - 1))
        self.redraw()

    def set_cursor(self, time: float | None) -> None:
        """Put the crosshair at a time, as another view in step with this one has it."""
        self._walk.cursor = time
        self.redraw()

    def draw_rows(self, width: int, height: int) -> Rows:
        """Charts, strips and axis, or a sentence."""
        if self._view is None or not self._view.data.times:
            lines = [Line() for _ in range(height)]
            lines[height // 2].add(f"{'No data yet.':^{width}}", LABEL)
            return rows_of(lines, width)
        return self._view.draw(self._walk.seen, self._walk.cursor, self._first, width, height)

    # -- what a person does

    def _moved(self, cells: int) -> None:
        if self._view is None:
            return
        before = self._walk.seen
        width = self.size.width - gutter(self.size.width)
        self._walk.move(cells, width, self._view.data.times)
        self.redraw()
        self.post_message(self.CursorMoved(self, self.cursor))
        if self._walk.seen != before:
            self._zoomed()

    def _zoomed(self) -> None:
        self.redraw()
        if self._view is not None:
            lo, hi = self._walk.seen
            self.post_message(self.RangeWanted(self, int(lo), int(hi) + 1))

    def action_left(self) -> None:
        """Move the crosshair one stretch to the left."""
        self._moved(-1)

    def action_right(self) -> None:
        """Move the crosshair one stretch to the right."""
        self._moved(1)

    def action_jump_left(self) -> None:
        """Move the crosshair far to the left."""
        self._moved(-_FAR)

    def action_jump_right(self) -> None:
        """Move the crosshair far to the right."""
        self._moved(_FAR)

    def _zoom(self, factor: float) -> None:
        if self._view is not None:
            self._walk.zoom_by(factor)
            self._zoomed()

    def action_zoom_in(self) -> None:
        """See half as much."""
        self._zoom(0.5)

    def action_zoom_out(self) -> None:
        """See twice as much."""
        self._zoom(2.0)

    def action_show_all(self) -> None:
        """See everything, without a crosshair."""
        self._walk.show_all()
        self._zoomed()
        self.post_message(self.CursorMoved(self, None))

    def action_up(self) -> None:
        """See charts of fields before."""
        self._first = max(0, self._first - 1)
        self.redraw()

    def action_down(self) -> None:
        """See charts of fields after."""
        if self._view is not None:
            self._first = min(self._first + 1, max(0, len(self._view.fields) - 1))
            self.redraw()

    def action_pick(self) -> None:
        """Open the step at the crosshair."""
        if self.cursor is not None:
            self.post_message(self.Picked(self, self.cursor))
