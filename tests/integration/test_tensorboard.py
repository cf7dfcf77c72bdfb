"""TensorBoard on demand: a real engine, and a program of its name that shows what it is given."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner
from v01_world import ask, furnish, state, url

from spice_engine.errors import Conflict, NotFound
from spice_tui.cli.main import app
from tests.conftest import EngineFixture, wait_for

pytestmark = pytest.mark.e2e

BOARD = """\
#!{python}
import http.server, os, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
os.chdir(given["--logdir"])
door = (given["--host"], int(given["--port"]))
http.server.ThreadingHTTPServer(door, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def page(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is on the engine's PATH, without the one where a TensorBoard might be."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def test_curves_of_a_training_are_shown(folders: Path, engine: EngineFixture) -> None:
    engine.start()
    furnish(engine.location.root)
    wait_for(lambda: len(engine.call("pods.list")["pods"]) == 3, "the pods")
    wait_for(lambda: state(engine, "shop") == "ready", "the policy of shop")
    plain: dict[str, Any] = engine.call("pods.trainings", pod="shop")["trainings"][-1]
    assert plain["loggers"] == []
    with pytest.raises(Conflict, match="nothing for TensorBoard"):
        engine.call("pods.tensorboard", pod="shop")
    for wrong in ({"pod": "nobody"}, {"pod": "shop", "number": 99}):
        with pytest.raises(NotFound):
            engine.call("pods.tensorboard", **wrong)

    asked = {"pod": "shop", "wait": True, "loggers": ["tensorboard"]}
    info: dict[str, Any] = engine.call("pods.train", **asked)
    number = info["number"]
    assert info["loggers"] == ["tensorboard"]
    logger = url(engine, f"pods/shop/training_runs/{number}/loggers/tensorboard")
    refused = ask(logger, "")
    assert (refused.status, "pip install tensorboard" in refused.text) == (409, True)

    board = folders / "tensorboard"
    board.write_text(BOARD.format(python=sys.executable))
    board.chmod(0o755)
    found = ask(logger, "")
    assert found.status == 200
    wanted = parse_qs(urlsplit(found.text).query)
    assert wanted == {"runFilter": [f"^shop/{number}$"]}
    base = found.text.partition("?")[0]
    assert "tfevents" in page(f"{base}shop/{number}/")
    told = CliRunner().invoke(app, ["-C", str(engine.location.root), "tensorboard", "shop"])
    assert told.stdout.startswith(base)  # the one that runs
    engine.kill()

    def gone() -> bool:
        try:
            page(base)
        except OSError:
            return True
        return False

    wait_for(gone, "the end of TensorBoard with its engine")
