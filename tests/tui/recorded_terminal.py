"""An app on a terminal of this process: what it writes goes to a pyte screen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pyte
from rich.cells import cell_len
from textual import events
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the app did not get there")


class Recorder(Driver):
    """Keeps what is written; not headless, so that the app draws."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self.written: list[str] = []

    def write(self, data: str) -> None:
        self.written.append(data)

    def start_application_mode(self) -> None:
        width, height = self._size or (80, 24)
        size = Size(width, height)
        self.send_message(events.Resize(size, size))

    def disable_input(self) -> None: ...

    def stop_application_mode(self) -> None: ...


class Terminal:
    """A running app and the screen that its bytes make."""

    def __init__(self, app: App[Any], width: int, height: int) -> None:
        self.app = app
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.Stream(self.screen)

    @property
    def driver(self) -> Recorder:
        """The app's driver."""
        driver = self.app._driver
        assert isinstance(driver, Recorder)
        return driver

    async def settle(self) -> str:
        """Let the app draw what it has to; gives what it wrote and shows it on the screen."""
        quiet = 0
        while quiet < 3:
            await _until(lambda: self.app._resize_timer is None)
            before = len(self.driver.written)
            for pump in (self.app, self.app.screen, *self.app.screen.walk_children()):
                done = asyncio.Event()
                if pump.call_later(done.set):
                    await done.wait()
                    await asyncio.sleep(0)
            self.app.screen._on_timer_update()
            quiet = quiet + 1 if len(self.driver.written) == before else 0
        text = "".join(self.driver.written)
        self.driver.written.clear()
        self.stream.feed(text)
        return text

    async def resize(self, width: int, height: int) -> None:
        """The terminal's window changes."""
        self.screen.resize(height, width)
        self.screen.erase_in_display(2)
        size = Size(width, height)
        await self.app._post_message(events.Resize(size, size))
        await _until(lambda: self.app.screen.size == size)

    def expected(self) -> pyte.Screen:
        """What a repaint of everything shows."""
        screen = pyte.Screen(self.screen.columns, self.screen.lines)
        strips = self.app.screen._compositor.render_strips()
        rows = (
            f"\x1b[{y}H{strip.render(self.app.console)}" for y, strip in enumerate(strips, start=1)
        )
        pyte.Stream(screen).feed("".join(rows))
        return screen


def cells(screen: pyte.Screen) -> list[list[tuple[Any, ...]]]:
    """What a person sees: of blanks only what shows of them."""
    rows: list[list[tuple[Any, ...]]] = []
    for y in range(screen.lines):
        row: list[tuple[Any, ...]] = []
        for x in range(screen.columns):
            c = screen.buffer[y][x]
            seen = (c.underscore, c.reverse, c.strikethrough, c.blink)
            if c.data == " " and not any(seen):
                row.append((" ", c.bg))
            elif c.data == "" or cell_len(c.data) > 1:
                row.append((c.data, c.fg, c.bg))
            else:
                row.append((c.data, c.fg, c.bg, c.bold, c.italics, *seen))
        rows.append(row)
    return rows


def differences(terminal: Terminal) -> list[str]:
    """Rows that a repaint would change, with their first differing cell."""
    shown, wanted = cells(terminal.screen), cells(terminal.expected())
    return [
        f"row {y}, column {x}: {shown[y][x]}, not {wanted[y][x]}"
        for y in range(len(wanted))
        for x in [next((x for x, cell in enumerate(wanted[y]) if shown[y][x] != cell), -1)]
        if x >= 0
    ]


@contextlib.asynccontextmanager
async def running(app: App[Any], width: int = 80, height: int = 24) -> AsyncIterator[Terminal]:
    """Run the app on a recorded terminal of this size."""
    ready = asyncio.Event()
    app.driver_class = Recorder
    app.animation_level = "none"
    terminal = Terminal(app, width, height)
    task = asyncio.create_task(app.run_async(size=(width, height)))
    app.call_later(ready.set)
    try:
        await asyncio.wait_for(ready.wait(), 20)
        await _until(lambda: app._running and app.screen.size == Size(width, height))
        with app._context():  # as inside of its own tasks
            yield terminal
    finally:
        app.exit()
        await task
