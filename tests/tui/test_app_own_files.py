"""Keymaps, themes and reports: files that are the person's own."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from spice_engine.protocol.location import state_home
from spice_tui.models.stream_ring import StreamRing
from spice_tui.recording import read_recording
from tests.conftest import EngineFixture
from tests.tui.app_driver import open_app

SECRET = "hunter2-hunter2"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of keymap and themes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "spice-tui"
    (folder / "themes").mkdir(parents=True)
    return folder


async def test_a_key_of_ones_own(shared_engine: EngineFixture, config: Path) -> None:
    (config / "keys.toml").write_text('[keys]\n"app.view_runs" = ["R", "ctrl+r"]\n')
    async with open_app(shared_engine, remember=True) as one:
        await one.press("escape", "R")
        await one.until(lambda: one.app.view_name == "runs", "the view runs")
        await one.press("1", "2")
        assert one.app.view_name == "pods", "its old key means nothing now"


async def test_a_keymap_that_is_wrong_is_told(shared_engine: EngineFixture, config: Path) -> None:
    (config / "keys.toml").write_text('[keys]\n"app.zom" = "Z"\n')
    async with open_app(shared_engine, remember=True) as one:
        await one.says("Did you mean 'app.zoom'?")
        assert any("keys.toml:2" in said for said in one.said)
        await one.press("escape", "2")
        await one.until(lambda: one.app.view_name == "runs", "the view runs")


async def test_themes(shared_engine: EngineFixture, config: Path) -> None:
    themes = config / "themes"
    (themes / "mine.toml").write_text('primary = "#123456"\nbackground = "black"\ndark = true\n')
    (themes / "broken.toml").write_text('primary = "no such colour"\n')
    (themes / "odd.toml").write_text('primary = "red"\ndark = "perhaps"\nvariables = 3\n')
    async with open_app(shared_engine) as one:
        for theme in ("nord", "spice-light", "spice-colour-blind", "ansi-dark", "mine"):
            one.app.execute(f":theme {theme}")
            await one.until(lambda theme=theme: one.app.theme == theme, theme)
        for theme, says in (
            ("broken", "primary"),
            ("odd", "odd"),
            ("nothing", "there is no theme 'nothing'"),
            ("../mine", "there is no theme"),
        ):
            one.app.execute(f":theme {theme}")
            await one.says(says)
            assert one.app.theme == "mine"
        one.app.execute(":theme")
        await one.until(lambda: one.app.theme != "mine", "the next theme")


async def test_a_report_without_secrets(
    shared_engine: EngineFixture, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", SECRET)
    ring = StreamRing()
    async with open_app(shared_engine, ring=ring) as one:
        await one.app.ask(
            "runs.start",
            command=f"echo token={SECRET}; true",
            env={"PLAIN": SECRET, "DEPLOY_TOKEN": SECRET},
        )
        await one.until(lambda: one.app.world.runs, "the run")
        await one.press("escape", "f12")
        await one.says("A bug report without secrets", 30)
    (report,) = (state_home() / "reports").glob("*.zip")
    assert report.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(report) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert set(parts) >= {"about.txt", "screen.txt", "world.json", "engine.log", "doctor.json"}
    assert [name for name, data in parts.items() if SECRET.encode() in data] == []
    assert "runs" in json.loads(parts["world.json"])
    assert json.loads(parts["doctor.json"])
    recording = config / "stream.recording"
    recording.write_bytes(parts["stream.recording"])
    assert read_recording(recording).entries
