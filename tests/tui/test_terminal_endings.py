"""Whatever ends the program, the terminal is as before and the exit code tells what it was."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from pty_terminal import PtyTerminal, host_in_pty

SECRET = "s3cr3t-from-the-environment"


def left_clean(terminal: PtyTerminal) -> bool:
    return not terminal.modes() and terminal.is_as_before()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
)
def test_signals_end_it_with_their_codes(tmp_path: Path, number: int, code: int) -> None:
    with host_in_pty(tmp_path) as terminal:
        assert {"1049", "25"} <= terminal.modes()
        os.kill(terminal.process.pid, number)
        assert terminal.ends() == code
        assert left_clean(terminal), terminal.modes()


def test_quitting_gives_the_apps_own_code(tmp_path: Path) -> None:
    with host_in_pty(tmp_path) as terminal:
        terminal.press("q")
        assert terminal.ends() == 3
        assert left_clean(terminal), terminal.modes()


def test_a_defect_leaves_a_report_without_secrets(tmp_path: Path) -> None:
    with host_in_pty(tmp_path, MY_API_TOKEN=SECRET) as terminal:
        terminal.press("x")
        assert terminal.ends() == 70
        assert left_clean(terminal), terminal.modes()
        (report,) = (tmp_path / "spice-tui" / "crashes").glob("crash-*.txt")
        assert report.name in terminal.text().replace("\n", "")
        text = report.read_text()
        assert "RuntimeError" in text
        assert "in key_x" in text
        assert "hunter2" not in text
        assert SECRET not in text
        assert "hunter2" not in terminal.text()
        assert report.stat().st_mode & 0o777 == 0o600


def test_a_terminal_that_goes_away_detaches(tmp_path: Path) -> None:
    """Without a signal: reading and writing fail, and that is all there is to notice."""
    with host_in_pty(tmp_path, controlling=False) as terminal:
        terminal.hang_up()
        assert terminal.process.wait(30) == 129


def test_a_closed_window_detaches(tmp_path: Path) -> None:
    with host_in_pty(tmp_path) as terminal:
        terminal.hang_up()
        assert terminal.process.wait(30) == 129


def test_stopped_and_continued(tmp_path: Path) -> None:
    with host_in_pty(tmp_path) as terminal:
        os.kill(terminal.process.pid, signal.SIGTSTP)
        _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        terminal.until(lambda: left_clean(terminal), "a clean terminal while stopped")
        terminal.screen.reset()
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.shows("ready")
        terminal.press("q")
        assert terminal.ends() == 3
        assert left_clean(terminal), terminal.modes()


def test_after_another_program_all_is_drawn_again(tmp_path: Path) -> None:
    with host_in_pty(tmp_path) as terminal:
        terminal.screen.reset()
        terminal.press("o")
        terminal.until(lambda: b"other program" in terminal.seen, "the other program")
        terminal.shows("ready")
        os.kill(terminal.process.pid, signal.SIGTERM)
        assert terminal.ends() == 143
        assert left_clean(terminal), terminal.modes()


def test_a_simple_console_is_asked_nothing(tmp_path: Path) -> None:
    with host_in_pty(tmp_path, TERM="linux") as terminal:
        terminal.press("q")
        assert terminal.ends() == 3
        assert b"\x1b[>" not in terminal.seen
        assert b"$p" not in terminal.seen
        assert not terminal.modes() & {"1000", "1002", "1003"}
        assert left_clean(terminal), terminal.modes()


def test_modes_that_a_modern_terminal_offers_end_too(tmp_path: Path) -> None:
    with host_in_pty(tmp_path) as terminal:
        assert "1003" not in terminal.modes()  # no event for each move of the mouse
        terminal.press(
            "\x1b[?2026;2$y\x1b[?2048;2$y"
        )  # it can do updates at once and tell its size
        terminal.until(lambda: {"2048", "1016"} <= terminal.modes(), "the size reports")
        os.kill(terminal.process.pid, signal.SIGTERM)
        assert terminal.ends() == 143
        assert left_clean(terminal), terminal.modes()
