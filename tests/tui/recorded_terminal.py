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
        for _ in range(3):
            for pump in (self.app, self.app.screen, *self.app.screen.walk_children()):
                done = asyncio.Event()
                if pump.call_later(done.set):
                    await done.wait()
                    await asyncio.sleep(0)
            with self.app._context():
                self.app.screen._on_timer_update()
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
        with self.app._context():
            update = self.app.screen._compositor.render_full_update()
        pyte.Stream(screen).feed(update.render_segments(self.app.console))
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


@contextlib.asynccontextmanager
async def running(app: App[Any], width: int = 80, height: int = 24) -> AsyncIterator[Terminal]:
    """Run the app on a recorded terminal of this size."""
    ready = asyncio.Event()
    app.driver_class = Recorder
    terminal = Terminal(app, width, height)
    task = asyncio.create_task(app.run_async(size=(width, height)))
    app.call_later(ready.set)
    try:
        await asyncio.wait_for(ready.wait(), 20)
        await _until(lambda: app._running and app.screen.size == Size(width, height))
        yield terminal
    finally:
        app.exit()
        await task
