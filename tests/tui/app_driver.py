"""Drives the whole app, headless, on a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from spice_tui.app import SpiceApp
from spice_tui.async_client import AsyncClient
from spice_tui.launch import start_engine
from spice_tui.models.app_settings import AppSettings
from spice_tui.models.stream_ring import StreamRing
from spice_tui.widgets.metrics_strip import MetricsStrip
from tests.conftest import EngineFixture

STEP = 0.02
"""Seconds between two looks at a condition."""


class Driver:
    """The app with its pilot."""

    def __init__(self, app: SpiceApp, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        """The characters on the screen."""
        return self.app.screen_text()

    @property
    def said(self) -> list[str]:
        """All notices on show, oldest first."""
        return [notice.message for notice in self.app._notifications]

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            await self.pilot.press(key)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type a text."""
        names = {" ": "space", ":": "colon", ".": "full_stop", "/": "slash", "-": "minus"}
        await self.press(*(names.get(letter, letter) for letter in text))

    async def command(self, line: str) -> None:
        """Type a `:` line."""
        prompt = self.app.prompt
        await self.press("colon")
        await self.until(lambda: prompt.has_focus, "the command line")
        prompt.value = line
        await self.press("enter")
        await self.until(lambda: not prompt.has_focus, "the command to be taken")

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
        """Wait until the condition holds."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while not condition():
            waited = clock() - began
            if waited > seconds or self.app._exception is not None:
                break
            # A pilot's pause would ask each widget whether it is done, for each look again.
            await asyncio.sleep(STEP if waited < 0.5 else 2 * STEP)
        else:
            return
        raise AssertionError(f"waited {seconds} s for {what}\n{self.text}\n{self.said}")

    async def shows(self, *texts: str, seconds: float = 20.0) -> None:
        """Wait until all texts are on the screen."""

        def all_there() -> bool:
            screen = self.text  # drawn once for all of them
            return all(text in screen for text in texts)

        await self.until(all_there, f"{texts} on show", seconds)

    async def says(self, text: str, seconds: float = 20.0) -> None:
        """Wait until a notice says so."""
        await self.until(
            lambda: any(text in said for said in self.said), f"notice {text!r}", seconds
        )


@asynccontextmanager
async def open_app(
    engine: EngineFixture,
    size: tuple[int, int] = (120, 40),
    *,
    remember: bool = False,
    attached: bool = True,
    ring: StreamRing | None = None,
    **settings: Any,
) -> AsyncIterator[Driver]:
    """The app on the engine's folder, attached and with the engine's pods."""
    location = engine.location

    async def connect() -> AsyncClient:
        return await AsyncClient.connect(location, observer=ring)

    app = SpiceApp(
        AppSettings(location.root.name, location.key, location.root, remember=remember, **settings),
        connect,
        start_engine=lambda: _start(engine),
        ring=ring,
    )
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot)
        if attached:
            await driver.until(lambda: app.link.knows_pods, "the engine's pods")
            await driver.until(lambda: app.world.attached, "the first drawing")
            if app.view_name == "pods":
                # Frames are filled after the first drawing, the metrics last.
                await driver.until(lambda: app.query(MetricsStrip), "the frames to be filled")
        await pilot.pause()
        yield driver


def _start(engine: EngineFixture) -> None:
    start_engine(engine.location, ["--http-port", "0"])
