"""The chart on a screen: what is repainted, what keys do, charts in step."""

from __future__ import annotations

from textual.app import App, ComposeResult

from spice_tui.models.chart_view import ChartInput
from spice_tui.models.plot import Reference
from spice_tui.models.series import Series
from spice_tui.theme.symbols import ANSI_SERIES, SERIES
from spice_tui.widgets.chart import Chart


def curve(count: int, key: str = "now") -> Series:
    """A series of squares."""
    return Series(key, key, range(1, count + 1), [float(i * i) for i in range(count)])


class Host(App[None]):
    """An app with two charts and a list of what they told."""

    def __init__(self, data: ChartInput) -> None:
        super().__init__()
        self.chart, self.other = Chart(data, id="one"), Chart(data, id="other")
        self.told: list[object] = []

    def compose(self) -> ComposeResult:
        yield self.chart
        yield self.other

    def on_mount(self) -> None:
        self.chart.focus()

    def on_chart_cursor_moved(self, event: Chart.CursorMoved) -> None:
        self.other.set_cursor(event.x)

    def on_chart_picked(self, event: Chart.Picked) -> None:
        self.told.append(("picked", event.key, event.x))

    def on_chart_view_changed(self, event: Chart.ViewChanged) -> None:
        self.told.append(("view", event.lo, event.hi, event.whole))

    def on_chart_compare_wanted(self, event: Chart.CompareWanted) -> None:
        self.told.append("compare")

    def on_chart_export_wanted(self, event: Chart.ExportWanted) -> None:
        self.told.append("export")


def text(chart: Chart) -> str:
    """What a chart shows."""
    return "\n".join(chart.render_line(y).text for y in range(chart.size.height))


def data(count: int = 9) -> ChartInput:
    """One curve of whole x up to 10."""
    return ChartInput((curve(count),), title="Reward", x_kind="whole", x_until=10.0)


async def test_it_draws_series_and_reference_lines_with_names() -> None:
    app = Host(ChartInput((curve(9),), (Reference("oracle", 50.0, "oracle"),), title="Reward"))
    async with app.run_test(size=(60, 24)):
        shown = text(app.chart)
        assert "Reward" in shown
        assert "● now" in shown
        assert " oracle " in shown


async def test_without_points_it_says_so() -> None:
    app = Host(ChartInput(empty="No episode yet."))
    async with app.run_test(size=(60, 24)) as pilot:
        await pilot.press("l", "plus", "enter")
        await pilot.pause()
        assert "No episode yet." in text(app.chart)


async def test_a_growing_series_repaints_few_cells() -> None:
    app = Host(ChartInput((curve(50),), (Reference("top", 4000.0),), x_kind="whole", x_until=100.0))
    async with app.run_test(size=(100, 60)) as pilot:
        before = app.chart.repainted
        app.chart.data.series[0].append(51, 2500.0)
        app.chart.show(app.chart.data)
        await pilot.pause()
        assert 0 < app.chart.repainted - before < 20


async def test_the_same_again_repaints_nothing() -> None:
    app = Host(data())
    async with app.run_test(size=(60, 24)) as pilot:
        before = app.chart.repainted
        app.chart.show(data())
        await pilot.pause()
        assert app.chart.repainted == before


async def test_the_crosshair_walks_from_point_to_point_and_others_follow() -> None:
    app = Host(data())
    async with app.run_test(size=(60, 24)) as pilot:
        await pilot.press("l", "h", "h")
        await pilot.pause()
        assert app.chart.view.walk.cursor == 7.0
        assert "now 36" in text(app.chart)
        assert app.other.view.walk.cursor == 7.0
        assert "now 36" in text(app.other)
        await pilot.press("H", "H", "H", "H")
        await pilot.pause()
        assert app.chart.view.walk.cursor == 1.0
        await pilot.press("0")
        await pilot.pause()
        assert app.other.view.walk.cursor is None


async def test_zoom_and_back() -> None:
    app = Host(data())
    async with app.run_test(size=(60, 24)) as pilot:
        await pilot.press("plus")
        await pilot.pause()
        assert app.told[-1] == ("view", 4.5, 9.0, False)
        await pilot.press("minus")
        await pilot.pause()
        assert app.told[-1] == ("view", 1.0, 10.0, True)


async def test_a_point_can_be_opened_and_series_chosen_and_hidden() -> None:
    both = ChartInput((curve(9), Series("old", "old", range(1, 6), [1.0] * 5, color=1)))
    app = Host(both)
    async with app.run_test(size=(60, 24)) as pilot:
        await pilot.press("right_square_bracket", "right_square_bracket", "l", "enter")
        await pilot.pause()
        assert app.told[-1] == ("picked", "old", 5.0)
        await pilot.press("space")
        await pilot.pause()
        assert app.chart.view.hidden == {"old"}
        assert "╌ old" in text(app.chart)
        await pilot.press("c", "w")
        await pilot.pause()
        assert app.told[-2:] == ["compare", "export"]


async def test_log_scale_drops_what_is_not_positive() -> None:
    app = Host(data())
    async with app.run_test(size=(60, 24)) as pilot:
        linear = text(app.chart)
        await pilot.press("g")
        await pilot.pause()
        assert text(app.chart) != linear
        assert "log" in text(app.chart).splitlines()[0]
        await pilot.press("g")
        await pilot.pause()
        assert text(app.chart) == linear


async def test_a_click_puts_the_crosshair_there() -> None:
    app = Host(data())
    async with app.run_test(size=(60, 24)) as pilot:
        await pilot.click("#one", offset=(30, 5))
        await pilot.pause()
        assert app.chart.view.walk.cursor == 5.0


async def test_it_fits_small_places() -> None:
    for size in ((20, 6), (9, 4), (5, 2), (200, 60)):
        app = Host(data())
        async with app.run_test(size=size) as pilot:
            await pilot.press("l", "plus")
            await pilot.pause()
            assert all(len(line) == app.chart.size.width for line in text(app.chart).splitlines())


async def test_16_colours_and_other_themes() -> None:
    app = Host(data())
    async with app.run_test(size=(60, 24)) as pilot:

        def colours() -> set[str]:
            strips = [app.chart.render_line(y) for y in range(app.chart.size.height)]
            styles = [part.style for strip in strips for part in strip if part.style]
            return {style.color.name for style in styles if style.color}

        assert SERIES[0].lower() in colours()
        app.theme = "ansi-dark"
        await pilot.pause()
        assert ANSI_SERIES[0] in colours()
        assert not any(name.startswith("#e69") for name in colours())
