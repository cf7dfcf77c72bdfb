"""The decision timeline on a screen."""

from __future__ import annotations

from textual.app import App, ComposeResult

from spice_engine.protocol.views import Timeline
from spice_tui.widgets.timeline import DecisionTimeline

HOUR = 3600


def data(pod: str = "trader") -> Timeline:
    """Ten hours."""
    times = [i * HOUR for i in range(10)]
    level = [float(i) for i in range(10)]
    return Timeline(
        pod,
        HOUR,
        0,
        times[-1],
        times[8],
        ["buy", "sell"],
        times,
        {"price": [*level]},
        {"price": [*level]},
        {"price": [*level]},
        [i % 2 for i in range(10)],
        [0] * 10,
        [1.0] * 10,
    )


class Host(App[None]):
    """An app with a timeline and what it told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[object] = []

    def compose(self) -> ComposeResult:
        yield DecisionTimeline()

    def on_decision_timeline_range_wanted(self, event: DecisionTimeline.RangeWanted) -> None:
        self.told.append(("range", event.start, event.end))

    def on_decision_timeline_cursor_moved(self, event: DecisionTimeline.CursorMoved) -> None:
        self.told.append(("cursor", event.moment))

    def on_decision_timeline_picked(self, event: DecisionTimeline.Picked) -> None:
        self.told.append(("picked", event.moment))


def text(timeline: DecisionTimeline) -> str:
    """What it shows."""
    return "\n".join(timeline.render_line(y).text for y in range(timeline.size.height))


async def test_crosshair_zoom_and_pick() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        timeline = app.query_one(DecisionTimeline)
        timeline.focus()
        assert "No data yet." in text(timeline)
        await pilot.press("l", "plus", "enter")
        await pilot.pause()
        assert app.told == []
        timeline.show(data())
        await pilot.press("l", "h", "h", "enter")
        await pilot.pause()
        assert app.told[-2:] == [("cursor", 7 * HOUR), ("picked", 7 * HOUR)]
        assert "1970-01-01 07:00" in text(timeline)
        await pilot.press("plus")
        await pilot.pause()
        assert app.told[-1] == ("range", int(4.5 * HOUR), int(9.5 * HOUR) + 1)
        await pilot.press("0")
        await pilot.pause()
        assert app.told[-2:] == [("range", 0, 10 * HOUR + 1), ("cursor", None)]


async def test_another_pod_begins_anew_and_the_same_data_repaint_nothing() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        timeline = app.query_one(DecisionTimeline)
        timeline.show(data())
        timeline.focus()
        await pilot.press("l", "j", "k")
        before = timeline.repainted
        timeline.show(data())
        assert timeline.repainted == before
        timeline.show(data("other"))
        assert timeline.cursor is None
