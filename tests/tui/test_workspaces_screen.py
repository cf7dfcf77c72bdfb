"""The dialog of workspaces and the command `jupyter`, on a real engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from spice_tui.cli.main import main
from spice_tui.screens.workspaces_screen import WorkspacesScreen
from tests.conftest import EngineFixture
from tests.integration.notebook_package import notebook_package
from tests.tui.app_driver import Driver, open_app


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineFixture]:
    base = tmp_path_factory.mktemp("workspaces")
    (base / "app").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(base / "state-home"))
        patch.setenv("PYTHONPATH", str(notebook_package(base)))
        fixture = EngineFixture(base / "app")
        fixture.start()
        fixture.call("runs.start", command="true")  # a folder that is in use has no welcome
        yield fixture
        fixture.stop()


@pytest.fixture
async def opened(engine: EngineFixture, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Driver]:
    monkeypatch.setattr("spice_tui.base.GRACE_SECONDS", 0.3)
    async with open_app(engine) as driver:
        yield driver


async def test_workspaces_are_listed_started_stopped_and_opened(opened: Driver) -> None:
    await opened.command("workspaces")
    await opened.shows("No workspace yet.")
    await opened.press("escape")
    await opened.command("workspaces notes")
    await opened.shows("notes", "ready", "http://127.0.0.1:")
    assert isinstance(opened.app.screen, WorkspacesScreen)
    await opened.press("enter")
    await opened.shows("/lab?token=", "ssh -L ")
    await opened.press("X")
    await opened.shows("■ stopped")
    assert "/lab?token=" not in opened.text, "it is open no longer"
    await opened.press("enter")
    await opened.shows("notes does not run: a starts it.")
    await opened.press("a")
    await opened.shows("ready")
    await opened.press("D")
    await opened.shows("Stop it first")
    await opened.press("X")
    await opened.shows("■ stopped")
    await opened.press("D")
    await opened.shows("No workspace yet.")
    await opened.press("escape")


def test_the_command_line_has_them_too(
    engine: EngineFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(engine.location.root)

    def call(*words: str) -> tuple[int, str]:
        code = int(main(["jupyter", *words]))
        out, err = capsys.readouterr()
        return code, out + err

    code, said = call("--no-activity-timeout", "1h", "notes")
    assert code == 0, said
    assert "/lab?token=" in said
    found = json.loads(call("list", "--json")[1])
    assert [(one["name"], one["state"], one["no_activity_timeout"]) for one in found] == [
        ("notes", "ready", 3600.0)
    ]
    assert "token" not in found[0]["address"]
    assert "notes" in call("list")[1]
    code, said = call("--no-activity-timeout", "1h", "notes", "--lab", "--json")
    assert code == 0, said
    assert json.loads(said)["forward"].startswith(f"ssh -L {found[0]['port']}:127.0.0.1:")
    code, said = call("notes", "--notebook", "--cwd", ".", "--env", "A=b")
    assert (code, "otherwise: interface, env." in said) == (6, True), said
    assert main(["info", str(found[0]["run"])]) == 0
    assert "workspace" in capsys.readouterr().out
    assert main(["clone", str(found[0]["run"])]) == 2
    assert "jupyter start notes" in capsys.readouterr().err
    assert call("rm", "notes")[0] == 6
    assert call("stop", "notes")[0] == 0
    Path("die").touch()
    assert main(["wait", str(found[0]["run"])]) in {0, 143}
    code, said = call("start", "notes")
    assert (code, "the configuration cannot be read" in said) == (11, True)
    assert call("rm", "notes")[0] == 0
    assert call("stop", "notes")[0] == 5
