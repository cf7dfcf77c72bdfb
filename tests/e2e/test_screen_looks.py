"""What the screen sends to terminals that show less: no colours, 16 colours, ASCII only."""

from __future__ import annotations

import re

import pytest

from tests.conftest import EngineFixture
from tests.e2e.screen_process import screen, settle, trained
from tests.tui.pty_terminal import PtyTerminal

pytestmark = pytest.mark.e2e

_STYLES = re.compile(rb"\x1b\[([0-9;]*)m")


@pytest.fixture(scope="module")
def pods(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with a trained pod."""
    shared_engine.call("samples.add", name="samples/gardener")
    trained(shared_engine)
    return shared_engine


def visited(terminal: PtyTerminal) -> list[bytes]:
    """Look at every view and a dialog; gives the parameters of each style that was sent."""
    for view in "23456789":
        terminal.press(view)
        settle(terminal, 0.3)
    terminal.press("1")
    settle(terminal, 0.3)
    terminal.press("?")
    settle(terminal, 0.3)
    return [style for style in _STYLES.findall(terminal.seen) if style]


def colours(styles: list[bytes]) -> set[str]:
    """The colours among them: `30`…`107`, or `38;5` and `38;2` with their like."""
    found: set[str] = set()
    for style in styles:
        numbers = style.decode().split(";")
        while numbers:
            number = numbers.pop(0)
            if number in {"38", "48"}:
                kind = numbers.pop(0)
                del numbers[: 3 if kind == "2" else 1]
                found.add(f"{number};{kind}")
            elif number and (30 <= int(number) <= 49 or 90 <= int(number) <= 107):
                found.add(number)
    return found


def test_no_color_sends_none(pods: EngineFixture) -> None:
    with screen(pods, NO_COLOR="1", COLORTERM="truecolor") as terminal:
        assert colours(visited(terminal)) <= {"39", "49"}
        terminal.press("\x1b")
        settle(terminal, 0.3)
        terminal.press("\x10")  # the palette: its chosen row must be told apart all the same
        terminal.shows("Show training runs")
        settle(terminal, 0.3)
        rows = terminal.screen.buffer.values()
        assert any(sum(cell.reverse for cell in row.values()) > 10 for row in rows)


def test_sixteen_colours(pods: EngineFixture) -> None:
    with screen(pods, TERM="xterm") as terminal:
        found = colours(visited(terminal))
        assert found
        assert not found & {"38;2", "48;2", "38;5", "48;5"}


def test_256_colours(pods: EngineFixture) -> None:
    with screen(pods) as terminal:
        found = colours(visited(terminal))
        assert "38;5" in found
        assert not found & {"38;2", "48;2"}


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--ascii"], {}),
        ([], {"TERM": "linux"}),
        ([], {"LANG": "C", "LC_ALL": "C"}),
        ([], {"LC_ALL": "en_US.ISO-8859-1"}),
    ],
)
def test_ascii_only(pods: EngineFixture, arguments: list[str], variables: dict[str, str]) -> None:
    with screen(pods, *arguments, **variables) as terminal:
        visited(terminal)
        text = terminal.seen.decode("utf-8", "replace")
        assert {sign for sign in text if not sign.isascii()} == set()
        assert "gardener" in text


def test_the_linux_console_is_not_asked_what_it_does_not_know(pods: EngineFixture) -> None:
    with screen(pods, TERM="linux") as terminal:
        settle(terminal)
        assert b"\x1b[>" not in terminal.seen  # kitty keys, versions
        assert b"$p" not in terminal.seen
        assert not terminal.modes() & {"1000", "1002", "1003", "1006"}


def test_the_mouse_is_left_alone_when_asked(pods: EngineFixture) -> None:
    with screen(pods, "--no-mouse") as terminal:
        settle(terminal)
        assert not terminal.modes() & {"1000", "1002", "1003", "1006", "1015", "1016"}
