"""CPU a frame of a chart costs: 10,000 points in 100x30 cells, in milliseconds.

`python bench/chart.py [--points 10000] [--frames 60] [--json]`. First the picture alone (cold,
growing by a point, crosshair moved), then full updates of an app without a terminal, from new
data to what would be written; beside them plotext and textual-plotext, where installed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import random
import time
from collections.abc import Callable
from statistics import median

from textual.app import App, ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from spice_tui.models.chart_view import ChartInput
from spice_tui.models.plot import Plotter, Reference, View
from spice_tui.models.series import Series
from spice_tui.widgets.chart import Chart

WIDTH, HEIGHT = 100, 30
LINES = (Reference("random", -1.0, "random"), Reference("oracle", 3.5, "oracle"))


def cost(work: Callable[[int], object], frames: int) -> float:
    """The median CPU milliseconds of one call."""
    spent: list[float] = []
    for frame in range(frames):
        begun = time.process_time_ns()
        work(frame)
        spent.append((time.process_time_ns() - begun) / 1e6)
    return median(spent)


def noise(points: int) -> list[float]:
    """The worst case: nearly every dot is set."""
    chance = random.Random(1)
    return [chance.gauss(0, 1) for _ in range(points)]


def pictures(points: int, frames: int) -> dict[str, float]:
    """The plotter alone."""
    values, size = noise(points), (WIDTH, HEIGHT)
    view = View(0, points + frames)
    fresh = [Series("a", "a", range(points), values) for _ in range(min(frames, 20))]
    grown, plotter = Series("a", "a", range(points), values), Plotter()
    plotter.draw([grown], LINES, view, size)

    def cold(frame: int) -> None:
        Plotter().draw([fresh[frame]], LINES, view, size)

    def growing(frame: int) -> None:
        grown.append(points + frame, values[frame])
        plotter.draw([grown], LINES, view, size)

    def crosshair(frame: int) -> None:
        plotter.draw([grown], LINES, view, size, cursor=float(frame))

    return {
        "picture, cold": cost(cold, len(fresh)),
        "picture, one point more": cost(growing, frames),
        "picture, crosshair moved": cost(crosshair, frames),
    }


class Host(App[None]):
    """An app of one widget."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        """The widget."""
        yield self.widget


async def updates(widget: Widget, change: Callable[[int], object], frames: int) -> float:
    """The mean CPU milliseconds of one update of a widget, what Textual does included."""
    async with Host(widget).run_test(size=(WIDTH, HEIGHT)) as pilot:
        await pilot.pause()
        begun = time.process_time_ns()
        for frame in range(frames):
            change(frame)
            await pilot.pause()
        return (time.process_time_ns() - begun) / 1e6 / frames


async def apps(points: int, frames: int) -> dict[str, float]:
    """Full updates; the first is what an update of nothing costs."""
    values = noise(points)
    still = Static("still")
    found = {"app, nothing changes": await updates(still, lambda _: still.refresh(), frames)}
    series = Series("a", "a", range(points), values)
    data = ChartInput((series,), LINES, x_until=float(points + frames))
    chart = Chart(data)

    def grow(frame: int) -> None:
        series.append(points + frame, values[frame])
        chart.show(data)

    found["app, one point more"] = await updates(chart, grow, frames)
    fresh = [
        ChartInput((Series("a", "a", range(points), values[i:] + values[:i]),), LINES)
        for i in range(min(frames, 20))
    ]
    other = Chart(fresh[0])
    found["app, all points new"] = await updates(other, lambda i: other.show(fresh[i]), len(fresh))
    if importlib.util.find_spec("textual_plotext"):
        found["textual-plotext, all points new"] = await _plotext(values, min(frames, 10))
    return found


async def _plotext(values: list[float], frames: int) -> float:
    peer = importlib.import_module("textual_plotext").PlotextPlot()

    def change(frame: int) -> None:
        peer.plt.clear_data()
        peer.plt.plot(values[frame:] + values[:frame], marker="braille")
        peer.refresh()

    return await updates(peer, change, frames)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = pictures(options.points, options.frames)
    found |= asyncio.run(apps(options.points, options.frames))
    if options.json:
        print(json.dumps(found))
        return
    for name, milliseconds in found.items():
        print(f"{name:<34} {milliseconds:7.2f} ms")


if __name__ == "__main__":
    main()
