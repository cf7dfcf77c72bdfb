"""Budgets of the screen by counts, which no slow machine changes: bytes and modules."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import EngineFixture, wait_for
from tests.e2e.screen_process import screen, settle, trained
from tests.e2e.test_import_budgets import modules_after

pytestmark = pytest.mark.e2e

MODULES_OF_FIRST_VIEW = 675
"""Measured 613 (547 of them before the first paint), and a tenth."""

_TELL_MODULES = """
import json, os, signal, sys

def tell(*_):
    with open(os.environ["MODULES_FILE"] + ".new", "w") as file:
        json.dump(sorted(sys.modules), file)
    os.replace(os.environ["MODULES_FILE"] + ".new", os.environ["MODULES_FILE"])

if "MODULES_FILE" in os.environ:
    signal.signal(signal.SIGUSR1, tell)
"""


@pytest.fixture(scope="module")
def pods(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with a trained pod and three runs that have ended."""
    shared_engine.call("samples.add", name="samples/gardener")
    trained(shared_engine)
    for _ in range(3):
        shared_engine.call("runs.start", command=["true"])
    wait_for(lambda: ended(shared_engine), "the runs to end")
    return shared_engine


def runs(engine: EngineFixture) -> list[dict[str, object]]:
    return engine.call("runs.list")["runs"]


def ended(engine: EngineFixture) -> bool:
    return all(run["exit_code"] is not None for run in runs(engine))


def test_idle_writes_nothing(pods: EngineFixture) -> None:
    with screen(pods) as terminal:
        settle(terminal, 1.5)
        before = len(terminal.seen)
        time.sleep(5)  # nothing can be awaited here: nothing is what is to happen
        assert len(terminal.seen) == before, terminal.seen[before:]


def test_one_changed_cell_costs_few_bytes(pods: EngineFixture) -> None:
    with screen(pods, "--view", "runs") as terminal:
        terminal.shows("following")  # the log of the chosen run: of the panes the last
        settle(terminal)  # the bar of keys may be drawn after it
        before = len(terminal.seen)
        pods.call("runs.label", id=runs(pods)[-1]["id"], add=["changed"])
        terminal.shows("changed")
        # The ages of the runs may have changed meanwhile, which is the same budget.
        assert len(terminal.seen) - before <= 400, terminal.seen[before:]


def test_what_the_screen_imports(pods: EngineFixture, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_TELL_MODULES)
    file = tmp_path / "modules"
    with screen(pods, PYTHONPATH=str(tmp_path), MODULES_FILE=str(file)) as terminal:
        os.kill(terminal.process.pid, signal.SIGUSR1)
        wait_for(file.exists, "the list of modules")
        early = set(json.loads(file.read_text()))
        settle(terminal)
        file.unlink()
        os.kill(terminal.process.pid, signal.SIGUSR1)
        wait_for(file.exists, "the second list")
        late = set(json.loads(file.read_text()))
    assert "textual" in early
    heavy = {"aiohttp", "numba", "numpy", "orjson", "polars", "pydantic", "uvloop"}
    assert not {name.partition(".")[0] for name in late} & heavy
    assert len(early) <= len(late) <= MODULES_OF_FIRST_VIEW, (len(early), len(late))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["ps"]])
def test_commands_import_no_textual(pods: EngineFixture, arguments: list[str]) -> None:
    words = ["-C", str(pods.location.root), *arguments]
    loaded = modules_after(f"from spice_tui.cli.main import main; main({words!r})")
    assert "spice_tui.cli.main" in loaded
    heavy = {"textual", "aiohttp", "numpy", "polars", "pydantic", "tree_sitter", "uvloop"}
    assert not {name.partition(".")[0] for name in loaded} & heavy
