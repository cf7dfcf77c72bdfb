"""Bytes and CPU of one update on 120x40 cells: plain Textual against the cell diff.

Run: python bench/terminal_bytes.py [--json]. CPU is that of drawing only (`App._display`): what
widgets need to render is the same on both sides. Nothing is on a real terminal, so that figures
do not depend on one.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from collections.abc import Callable
from time import process_time
from typing import Any

from rich.console import RenderableType
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import DataTable, Log

from spice_tui.terminal.cells import CellDiff

WIDTH, HEIGHT, UPDATES = 120, 40, 60
SIZE = Size(WIDTH, HEIGHT)


class Counter(Driver):
    """Counts bytes."""

    count = 0

    def write(self, data: str) -> None:
        self.count += len(data.encode())

    def start_application_mode(self) -> None:
        self.send_message(events.Resize(SIZE, SIZE))

    def disable_input(self) -> None: ...

    def stop_application_mode(self) -> None: ...


class Chart(Widget):
    """A braille line that grows to the right, with an axis that stays."""

    points = 0

    def render_line(self, y: int) -> Strip:
        line = Style(color="#56b4e9", bgcolor="#121212")
        text = list(" " * self.size.width)
        for x in range(min(self.points, self.size.width)):
            height = (math.sin(x / 9) + 1) / 2 * (self.size.height - 1)
            if int(height) == y:
                text[x] = chr(0x2800 + 1 + (x * 37) % 255)
        return Strip([Segment("".join(text), line)], self.size.width)


class Timed(App[int]):
    """Measures drawing."""

    cpu = 0.0
    frames = 0

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        began = process_time()
        super()._display(screen, renderable)
        if renderable is not None:
            self.cpu += process_time() - began
            self.frames += 1


class PlainApp(Timed):
    """Textual as it is."""


class DiffApp(Timed, CellDiff):
    """With the cell diff."""


def one_cell(app: App[int], step: int) -> None:
    app.query_one(DataTable).update_cell_at((step % 30, 3), f"{step:6d}")


def log_line(app: App[int], step: int) -> None:
    app.query_one(Log).write_line(
        f"2026-01-01 12:00:{step:02d} INFO step {step} loss={1 / (step + 1):.5f}"
    )


def grow(app: App[int], step: int) -> None:
    chart = app.query_one(Chart)
    chart.points = step * 2
    chart.refresh()


def repaint(app: App[int], _step: int) -> None:
    app.screen.refresh()


def new_page(app: App[int], step: int) -> None:
    app.query_one(DataTable).scroll_to(y=(step % 2) * 60, animate=False)


def table() -> Widget:
    made: DataTable[str] = DataTable()
    made.add_columns(*[f"column {n}" for n in range(8)])
    for row in range(200):
        made.add_row(*[f"{row * n * 7919 % 100003:8d}" for n in range(8)])
    return made


CASES: dict[str, tuple[Callable[[], Widget], Callable[[App[int], int], None]]] = {
    "one cell of a DataTable": (table, one_cell),
    "a log that scrolls": (lambda: Log(max_lines=1000), log_line),
    "a growing braille chart": (Chart, grow),
    "everything again, nothing new": (table, repaint),
    "another page of a DataTable": (table, new_page),
}


async def measure(base: type[Timed], case: str) -> tuple[float, float]:
    """Bytes and CPU microseconds per update."""
    make, change = CASES[case]

    class Bench(base):
        CSS = "Screen > * { height: 100%; width: 100%; }"

        def compose(self):
            yield make()

    app = Bench(driver_class=Counter)
    app.animation_level = "none"
    task = asyncio.create_task(app.run_async(size=(WIDTH, HEIGHT)))
    ready = asyncio.Event()
    app.call_later(ready.set)
    await ready.wait()
    with app._context():
        if case == "a log that scrolls":
            app.query_one(Log).write_lines([f"earlier line {n}" for n in range(100)])
        await settle(app)
        driver = app._driver
        assert isinstance(driver, Counter)
        driver.count, app.cpu, app.frames = 0, 0.0, 0
        for step in range(UPDATES):
            change(app, step)
            await settle(app)
        result = driver.count / UPDATES, app.cpu / UPDATES * 1e6
    app.exit()
    await task
    return result


async def settle(app: App[int]) -> None:
    """Let the app draw."""
    for _ in range(2):
        for pump in (app, app.screen, *app.screen.walk_children()):
            done = asyncio.Event()
            if pump.call_later(done.set):
                await done.wait()
                await asyncio.sleep(0)
        app.screen._on_timer_update()


async def main() -> None:
    """Measure all cases."""
    rows: list[dict[str, Any]] = []
    for case in CASES:
        plain, diff = await measure(PlainApp, case), await measure(DiffApp, case)
        rows.append(
            {
                "case": case,
                "plain_bytes": round(plain[0]),
                "diff_bytes": round(diff[0]),
                "plain_us": round(plain[1]),
                "diff_us": round(diff[1]),
            }
        )
    if "--json" in sys.argv:
        print(json.dumps(rows, indent=2), file=sys.__stdout__)
        return
    print(f"{'':31}{'bytes':>16}{'CPU us':>18}", file=sys.__stdout__)
    print(f"{'':31}{'plain':>8}{'diff':>8}{'plain':>10}{'diff':>8}", file=sys.__stdout__)
    for row in rows:
        line = f"{row['case']:31}{row['plain_bytes']:8}{row['diff_bytes']:8}"
        print(f"{line}{row['plain_us']:10}{row['diff_us']:8}", file=sys.__stdout__)


if __name__ == "__main__":
    os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"
    asyncio.run(main())
