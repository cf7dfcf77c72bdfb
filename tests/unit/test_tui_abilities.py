"""What a terminal can do, told by its environment; notices, copying and reports follow from it."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from spice_tui.terminal.abilities import Abilities, UnsuitableTerminal, detect, require
from spice_tui.terminal.clipboard import OSC52_LIMIT, copy
from spice_tui.terminal.crash import scrub, write_report
from spice_tui.terminal.notify import notice
from spice_tui.terminal.passthrough import wrap

USUAL = {"TERM": "xterm-256color", "LANG": "en_GB.UTF-8"}


def abilities(**variables: str) -> Abilities:
    return detect({**USUAL, **variables})


@pytest.mark.parametrize(
    ("variables", "colours"),
    [
        ({}, "256"),
        ({"COLORTERM": "truecolor"}, "truecolor"),
        ({"COLORTERM": "24bit", "NO_COLOR": "1"}, "none"),
        ({"NO_COLOR": ""}, "256"),
        ({"TERM": "xterm-direct"}, "truecolor"),
        ({"TERM": "linux"}, "16"),
        ({"TERM": "xterm"}, "16"),
    ],
)
def test_colours(variables: dict[str, str], colours: str) -> None:
    assert abilities(**variables).colours == colours


@pytest.mark.parametrize(
    ("locale", "utf8"),
    [
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "de_DE.utf8"}, True),
        ({"LANG": "de_DE.utf8@euro"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "C"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C", "LC_CTYPE": "en_GB.UTF-8"}, True),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": ""}, True),
        ({"LANG": "", "LC_CTYPE": "C.UTF-8"}, True),
    ],
)
def test_locale(locale: dict[str, str], utf8: bool) -> None:
    found = abilities(**locale)
    assert found.utf8 is utf8
    assert found.ascii is not utf8


def test_where_it_runs() -> None:
    plain = abilities()
    assert not any((plain.ssh, plain.tmux, plain.screen, plain.simple))
    assert abilities(SSH_CONNECTION="a 1 b 22").ssh
    inside = abilities(TMUX="/tmp/t,1,0", STY="1.a", TERM="screen-256color")
    assert inside.tmux
    assert not inside.screen
    assert abilities(STY="1.a").screen
    console = abilities(TERM="linux")
    assert console.simple
    assert console.ascii


@pytest.fixture
def terminal() -> Iterator[io.TextIOWrapper]:
    master, slave = pty.openpty()
    with open(slave, encoding="utf-8") as stream:
        yield stream
    os.close(master)


def test_a_stream_that_is_no_terminal_is_refused_with_advice() -> None:
    with pytest.raises(UnsuitableTerminal, match=r"standard input is not a terminal.*--json"):
        require(detect(USUAL, io.StringIO(), io.StringIO()))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TERM": ""}, "TERM is not set"),
        ({"TERM": "dumb"}, "TERM is 'dumb'"),
        ({"COLUMNS": "19"}, "19x24 cells.*20x5"),
        ({"LINES": "4"}, "80x4 cells"),
    ],
)
def test_terminals_that_cannot_show_it_are_refused(
    terminal: io.TextIOWrapper, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(UnsuitableTerminal, match=message):
        require(detect({**USUAL, **variables}, terminal, terminal))
    assert require(detect(USUAL, terminal, terminal)).output_tty


def test_orders_pass_through_multiplexers() -> None:
    order = "\x1b]9;done\x07"
    assert wrap(order, abilities()) == order
    assert wrap(order, abilities(TMUX="x")) == "\x1bPtmux;\x1b\x1b]9;done\x07\x1b\\"
    long = "\x1b]52;c;" + "A" * 600 + "\x07"
    parts = wrap(long, abilities(STY="x")).split("\x1b\\")[:-1]
    assert "".join(part.removeprefix("\x1bP") for part in parts) == long
    assert all(len(part) < 256 for part in parts)


def test_notices() -> None:
    assert notice("training is done", abilities()) == "\x07\x1b]9;training is done\x07"
    assert notice("done", abilities(), "bell") == "\x07"
    assert notice("done", abilities(), "off") == ""
    assert notice("done", abilities(TERM="linux")) == "\x07"
    assert notice("a\x1b\x07b", abilities()) == "\x07\x1b]9;a b\x07"
    assert notice("4;1;50", abilities()) == "\x07\x1b]9;spice-tui: 4;1;50\x07"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "spice-tui"


async def test_copying_over_ssh_asks_the_terminal_and_keeps_a_file(state: Path) -> None:
    written: list[str] = []
    ssh = abilities(SSH_TTY="/dev/pts/1")
    answer = await copy("ü", ssh, written.append, {"DISPLAY": ":10"})
    assert written == ["\x1b]52;c;w7w=\x07"]
    assert answer.way == "terminal"
    assert answer.file == state / "clipboard.txt"
    assert answer.file.read_text() == "ü"
    assert answer.file.stat().st_mode & 0o777 == 0o600
    assert str(answer.file) in answer.message


async def test_what_is_too_long_for_terminals_is_in_the_file_only(state: Path) -> None:
    written: list[str] = []
    text = "x" * OSC52_LIMIT
    answer = await copy(text, abilities(SSH_TTY="x"), written.append, {})
    assert (answer.way, written) == ("file", [])
    assert "too long" in answer.message
    assert (state / "clipboard.txt").read_text() == text


async def test_a_disk_that_refuses_does_not_stop_copying(state: Path) -> None:
    state.parent.joinpath("spice-tui").touch()  # a file where the directory should be
    written: list[str] = []
    answer = await copy("text", abilities(SSH_TTY="x"), written.append, {})
    assert (answer.way, answer.file, len(written)) == ("terminal", None, 1)


def test_secrets_are_scrubbed() -> None:
    environ = {"SERVICE_TOKEN": "tok-123456", "HOME_COLOUR": "purple"}
    text = (
        "tok-123456 purple password='abc def' api_key: q1w2e3 Authorization: Bearer abc.def\n"
        "https://me:pw@host/path 0123456789abcdef0123456789abcdef0123 {'secret': 'zzz'}"
    )
    assert scrub(text, environ) == (
        "*** purple password=*** api_key: *** Authorization: *** ***\n"
        "https://***@host/path *** {'secret': ***}"
    )


def test_a_report_names_the_place_and_no_values(state: Path) -> None:
    def fails(password: str) -> None:
        raise ValueError("cannot go on")

    try:
        fails("open-sesame")
    except ValueError as error:
        line = write_report(error)
    (report,) = (state / "crashes").iterdir()
    assert str(report) in line
    text = report.read_text()
    assert "ValueError: cannot go on" in text
    assert "in fails" in text
    assert "open-sesame" not in text.replace('fails("open-sesame")', "")
    assert report.stat().st_mode & 0o777 == 0o600


def test_a_report_without_a_place_is_told_whole(state: Path) -> None:
    state.touch()
    assert "ValueError: lost" in write_report(ValueError("lost"))
