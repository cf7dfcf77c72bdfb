"""Slow links, tmux and its clipboard, on real terminals."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pty_terminal import HOST, ROOT, host_in_pty

from tests.conftest import wait_for


def test_a_slow_terminal_gets_fewer_frames_and_then_the_last_one(tmp_path: Path) -> None:
    over = tmp_path / "over"
    with host_in_pty(tmp_path, FLOOD_IS_OVER=str(over)) as terminal:
        before = len(terminal.seen)
        terminal.pause()
        terminal.press("f")
        terminal.until(over.exists, "the flood to be over")  # nothing stalls in the program
        terminal.go_on()
        terminal.shows("flood is over")
        # All 600 frames are about a megabyte.
        assert len(terminal.seen) - before < 100_000
        terminal.until(lambda: chr(ord("a") + 600 % 26) * 80 in terminal.text(), "the last frame")
        terminal.press("q")
        assert terminal.ends() == 3
        assert not terminal.modes()


def test_quitting_does_not_wait_for_a_terminal_that_takes_nothing(tmp_path: Path) -> None:
    over = tmp_path / "over"
    with host_in_pty(tmp_path, FLOOD_IS_OVER=str(over)) as terminal:
        terminal.pause()
        terminal.press("f")
        terminal.until(over.exists, "the flood to be over")
        terminal.process.terminate()
        assert terminal.process.wait(30) == 143
        assert terminal.is_as_before()


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """A private tmux server with the host app in its one window."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    name = f"spice-test-{uuid.uuid4().hex[:8]}"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "engine")]),
    }

    def call(*arguments: str) -> str:
        command = ["tmux", "-L", name, "-f", os.devnull, *arguments]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    call("new-session", "-d", "-x", "80", "-y", "24", sys.executable, str(HOST))
    yield call
    call("kill-server")


def test_copying_in_tmux_fills_its_buffer(tmux: Callable[..., str], tmp_path: Path) -> None:
    wait_for(lambda: "ready" in tmux("capture-pane", "-p"), "the app in tmux")
    tmux("send-keys", "y")
    wait_for(lambda: "copied: tmux" in tmux("capture-pane", "-p"), "the answer")
    assert tmux("show-buffer") == "text to copy, ü"
    file = tmp_path / "spice-tui" / "clipboard.txt"
    assert file.read_text() == "text to copy, ü"
    assert file.stat().st_mode & 0o777 == 0o600
