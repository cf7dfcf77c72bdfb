"""The manifest editor against a real engine: what a person sees, types and saves."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot

from spice_tui.async_client import AsyncClient
from spice_tui.models.authoring_door import EngineDoor
from spice_tui.models.draft import Drafts
from spice_tui.screens.changed_on_disk import ChooseText
from spice_tui.widgets.manifest_editor import ManifestEditor
from tests.conftest import EngineFixture

MANIFEST = """\
name: shop
params:
  epoch_time: 1756684800
  period: 100h
  interval: 2h
  granularity: 1h
dataspaces:
  - from: store
    name: sales
    measurements:
      - name: price
actions:
  - name: buy
  - name: wait
training:
  rewards:
    - reward: buy
      with: |
        if current_state["store_sales_price"] > 1:
          reward = 1.5
        else:
          reward = -1
    - reward: wait
      with: reward = 0
"""


class Host(App[None]):
    """An app with an editor, and a list of what it told."""

    def __init__(self, client: AsyncClient, drafts: Drafts | None) -> None:
        super().__init__()
        self.editor = ManifestEditor(EngineDoor(client), drafts)
        self.told: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.editor

    def on_mount(self) -> None:
        self.editor.area.focus()

    def _heard(self, event: Message) -> None:
        self.told.append(event)

    on_editor_pane_saved = _heard
    on_editor_pane_changed = _heard
    on_editor_pane_preview_wanted = _heard
    on_editor_pane_preview_over = _heard

    def heard(self, kind: type[Message]) -> list[Message]:
        """Messages of one kind so far."""
        return [message for message in self.told if isinstance(message, kind)]


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str) -> None:
    """Let the app go on until something is so."""
    for _ in range(1500):
        if condition():
            return
        await pilot.pause()
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited for {what}")


@asynccontextmanager
async def editing(
    engine: EngineFixture, *, drafts: Drafts | None = None, size: tuple[int, int] = (90, 30)
) -> AsyncIterator[tuple[Host, Pilot[None]]]:
    """An app whose editor is connected to the engine."""
    client = await AsyncClient.connect(engine.location)
    app = Host(client, drafts)
    async with app.run_test(size=size) as pilot:
        yield app, pilot
    await client.close()


def path_of(engine: EngineFixture) -> Path:
    return engine.location.root / "spicepods" / "shop.yaml"


@pytest.fixture
def shop(engine: EngineFixture) -> EngineFixture:
    """An engine on a folder with one pod."""
    path_of(engine).parent.mkdir()
    path_of(engine).write_text(MANIFEST)
    engine.start()
    return engine


async def opened(app: Host, pilot: Pilot[None]) -> ManifestEditor:
    """The editor with the pod's manifest, checked."""
    await app.editor.open(path="spicepods/shop.yaml")
    await until(pilot, lambda: app.editor.checks.is_current, "the first check")
    return app.editor


async def test_a_manifest_is_opened_edited_and_saved(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        assert editor.area.text == MANIFEST
        assert editor.file.state == "saved"
        assert "spicepods/shop.yaml" in editor.status.plain
        editor.area.go((3, len("  period: 100h")))
        await pilot.press("backspace", "backspace", "5", "h")
        assert editor.file.state == "modified"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: editor.file.state == "saved", "the save")
        assert "period: 105h" in path_of(shop).read_text()
        assert app.heard(ManifestEditor.Saved)


async def test_findings_are_underlined_counted_and_gone_to(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.change_to(MANIFEST.replace("granularity: 1h", "granularity: soon"))
        await until(pilot, lambda: editor.area.problems, "findings")
        assert "1 error" in editor.status.plain
        editor.area.move_cursor((0, 0))
        await pilot.press("f8")
        await pilot.pause()
        assert editor.area.cursor_location[0] == 5
        assert editor.area.problems[0].message in editor.help.plain
        shown = editor.area.render_line(5 - editor.area.scroll_offset.y)
        assert "✗" in shown.text
        marked = [s.text for s in shown if s.style and s.style.underline]
        assert "".join(marked).strip() == "soon"
        editor.area.undo()
        await until(pilot, lambda: not editor.area.problems, "no findings")
