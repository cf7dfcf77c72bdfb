"""The screen on a real terminal: it starts, ends well whatever ends it, and outlives its engine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, EngineFixture, wait_for
from tests.e2e.screen_process import (
    PROGRAM,
    attached,
    environment,
    program,
    restored,
    screen,
    settle,
    trained,
)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def pods(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with one trained pod and nothing at work."""
    shared_engine.call("samples.add", name="samples/gardener")
    trained(shared_engine)
    return shared_engine


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_first_screen(pods: EngineFixture, size: tuple[int, int]) -> None:
    with screen(pods, size=size) as terminal:
        terminal.shows("gardener")
        terminal.shows("? Help")
        lines = terminal.screen.display
        assert "Pods" in lines[0]
        assert pods.location.root.name in lines[0]
        assert "Pods" in lines[1]
        # Every pane is closed at the right edge: nothing is cut.
        assert lines[1].rstrip().endswith("╮")
        if size[0] == 120:
            terminal.shows("gardener.yaml")
        terminal.press("q")
        assert terminal.ends() == 0
        restored(terminal)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
)
def test_signals_leave_engine_and_terminal_alone(
    pods: EngineFixture, number: int, code: int
) -> None:
    pid = pods.pid
    with screen(pods) as terminal:
        os.kill(terminal.process.pid, number)
        assert terminal.ends() == code
        restored(terminal)
    assert pods.pid == pid


def test_a_closed_window_detaches(pods: EngineFixture) -> None:
    pid = pods.pid
    with screen(pods) as terminal:
        terminal.hang_up()
        assert terminal.process.wait(30) == 129
    assert pods.pid == pid


def test_quitting_asks_when_something_runs(pods: EngineFixture) -> None:
    run = pods.call("runs.start", command=["sleep", "600"])["id"]
    with screen(pods) as terminal:
        wait_for(lambda: pods.call("runs.get", id=run)["state"] == "running", "the run")
        terminal.press("2")
        terminal.shows("sleep 600")
        settle(terminal)
        terminal.press("q")
        terminal.shows("Still at work: 1 run")
        terminal.press("\r")
        assert terminal.ends() == 0
    assert pods.call("runs.get", id=run)["state"] == "running"
    pods.call("runs.kill", id=run)
    wait_for(lambda: pods.call("runs.get", id=run)["state"] == "killed", "its end")


def test_an_engine_that_is_killed_is_told_and_started_again(engine: EngineFixture) -> None:
    engine.start()
    engine.call("samples.add", name="samples/gardener")
    with screen(engine) as terminal:
        terminal.shows("gardener")
        engine.kill()
        terminal.shows("What is shown is as it was")
        assert "gardener" in terminal.text()  # what was known stays
        terminal.press("E")
        terminal.until(lambda: "What is shown" not in terminal.text(), "the banner to go")
        wait_for(engine.answers, "the new engine")
        attached(terminal, engine)
        terminal.shows("gardener")
        settle(terminal)
        os.kill(terminal.process.pid, signal.SIGTERM)
        assert terminal.ends() == 143
        restored(terminal)


def test_it_starts_the_engine_that_is_missing(engine: EngineFixture) -> None:
    root = engine.location.root
    with program(root.parent, "-C", str(root)) as terminal:
        terminal.shows("Welcome to spice-tui")
        assert engine.answers()
        terminal.press("\x1b")
        terminal.until(lambda: "Welcome" not in terminal.text(), "the dialog to go")
        terminal.press("q")
        assert terminal.ends() == 0
    assert engine.answers()


def test_attach_to_a_folder_and_to_a_socket(pods: EngineFixture, tmp_path: Path) -> None:
    folder = pods.location.root
    for path in (folder, pods.location.socket):
        with program(tmp_path, "--attach", str(path), "--view", "pods") as terminal:
            attached(terminal, pods)
            terminal.shows("gardener")
            terminal.press("q")
            assert terminal.ends() == 0


def test_a_recording_shows_the_same(pods: EngineFixture, tmp_path: Path) -> None:
    tape = tmp_path / "stream"
    with screen(pods, "--record", str(tape), "--view", "runs") as terminal:
        settle(terminal)
        shown = terminal.text().splitlines()
        terminal.press("q")
        assert terminal.ends() == 0
    with program(tmp_path, "--replay", str(tape), "--view", "runs") as terminal:
        attached(terminal, pods)
        settle(terminal)
        replayed = terminal.text().splitlines()
        # The first line names the folder, or the recording.
        assert [ageless(line) for line in replayed[1:]] == [ageless(line) for line in shown[1:]]
        terminal.press("q")
        assert terminal.ends() == 0
        restored(terminal)


def ageless(line: str) -> str:
    """A line without its numbers: ages go on while nothing else does."""
    return re.sub(r"[\d ]+", " ", line)


def test_without_a_terminal_the_overview_is_printed(pods: EngineFixture, tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "-C", str(pods.location.root)],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "gardener" in done.stdout
    assert "\x1b" not in done.stdout
    done = subprocess.run(
        [PROGRAM, "-C", str(pods.location.root), "--view", "runs"],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "not a terminal" in done.stderr
    assert REPOSITORY.name not in done.stdout


@pytest.mark.parametrize(
    ("variables", "size", "told"),
    [
        ({"TERM": "dumb"}, (120, 40), "TERM is 'dumb'"),
        ({"TERM": ""}, (120, 40), "TERM is not set"),
        ({}, (19, 5), "19x5"),
        ({}, (20, 4), "20x4"),
    ],
)
def test_terminals_that_cannot_show_it(
    engine: EngineFixture,
    tmp_path: Path,
    variables: dict[str, str],
    size: tuple[int, int],
    told: str,
) -> None:
    root = engine.location.root
    with program(tmp_path, "-C", str(root), size=size, **variables) as terminal:
        assert terminal.ends() == 2
        text = terminal.seen.decode().replace("\r\n", "")
        assert told in text
        assert "Traceback" not in text
        assert not terminal.modes()
    assert not engine.answers()  # nothing was started for nothing


def test_the_smallest_screen(pods: EngineFixture) -> None:
    """20x5 is little, but it is drawn, says so, and can be left."""
    root = pods.location.root
    with program(root.parent, "-C", str(root), size=(20, 5)) as terminal:
        terminal.until(lambda: "1049" in terminal.modes(), "the screen")
        settle(terminal)
        assert terminal.text().strip()
        terminal.press("q")
        assert terminal.ends() == 0
        restored(terminal)
