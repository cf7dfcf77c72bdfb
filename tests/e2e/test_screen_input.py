"""Keys and sizes on a real terminal: typed ahead, typed while it draws, resized while it runs."""

from __future__ import annotations

import re

import pytest

from tests.conftest import EngineFixture
from tests.e2e.screen_process import program, screen, settle, trained

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def pods(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with two trained pods."""
    shared_engine.call("samples.add", name="samples/gardener")
    shared_engine.call("samples.add", name="samples/serverops")
    trained(shared_engine)
    return shared_engine


def test_a_long_line_typed_at_once_is_whole(pods: EngineFixture) -> None:
    words = "".join(f"{number:04d}/" for number in range(40))
    with screen(pods, size=(230, 30)) as terminal:
        # The colon and 200 characters in one write: none is a command, none is lost.
        terminal.press(f":{words}")
        terminal.shows(words)
        assert "Leave" not in terminal.text()
        terminal.press("\x1b")


def test_a_command_and_keys_after_it_are_done_in_order(pods: EngineFixture) -> None:
    with screen(pods) as terminal:
        terminal.press(":view-nonsense\r2:sql SELECT 20 + 22 AS answer\r")
        terminal.shows("answer")
        terminal.shows("42")


def test_keys_typed_before_the_first_screen_are_kept(pods: EngineFixture) -> None:
    root = pods.location.root
    with program(root.parent, "-C", str(root)) as terminal:
        terminal.until(lambda: "1049" in terminal.modes(), "the screen to begin")
        terminal.press("7")
        terminal.until(lambda: "7 Logs" in terminal.text(), "the top line")
        settle(terminal)
        assert "Log" in terminal.screen.display[1]
        assert "Manifest" not in terminal.screen.display[1]


def test_views_one_after_the_other_at_once(pods: EngineFixture) -> None:
    with screen(pods) as terminal:
        terminal.press("23456789" * 3 + "2")
        settle(terminal)
        assert "Runs" in terminal.screen.display[1]
        terminal.press("1j")
        terminal.until(lambda: "serverops.yaml" in terminal.text(), "the next pod")


def test_typing_in_the_editor_keeps_every_character(pods: EngineFixture) -> None:
    with screen(pods) as terminal:
        terminal.shows("gardener.yaml")
        settle(terminal)
        terminal.press("e")
        settle(terminal)
        text = "# abcdefghijklmnopqrst "
        terminal.press(text)
        terminal.until(lambda: re.search(r"modified", terminal.text()), "the state")
        settle(terminal)
        assert text in terminal.text()
        # Whatever was typed is undone before the next test finds a draft.
        terminal.press("\x1a" * 40)
        settle(terminal)


def test_resizing_while_it_runs(pods: EngineFixture) -> None:
    with screen(pods) as terminal:
        for columns, rows in ((80, 24), (200, 60), (60, 15), (30, 6), (120, 40)):
            terminal.resize(columns, rows)
            settle(terminal)
            lines = terminal.screen.display
            assert "Pods" in lines[0]
            assert lines[0].rstrip().endswith(pods.http.removeprefix("http://")) or columns < 60
            # Nothing of the larger screen is left: each line is of this one.
            assert sum("1 Pods" in line for line in lines) == 1
            assert lines[1].rstrip().endswith("╮")
        assert terminal.process.poll() is None
        terminal.press("q")
        assert terminal.ends() == 0
