"""The window on a log of any size, its text and its searches, over real files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.views import LineIndex, LogBytes
from spice_tui.models.file_log import FileLog
from spice_tui.models.log_blocks import BLOCK, KEPT, LogBlocks
from spice_tui.models.log_text import log_line, pretty
from spice_tui.models.log_view import LogPage, LogWindow
from spice_tui.models.time_input import parse_moment

HEIGHT = 10


def numbered(count: int) -> list[str]:
    """Lines with times, one a second from noon on."""
    return [
        f"2026-05-01T{12 + i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}Z INFO step {i}"
        for i in range(count)
    ]


def write(folder: Path, lines: list[str]) -> Path:
    path = folder / "run.log"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


async def opened(path: Path, height: int = HEIGHT) -> LogWindow:
    window = LogWindow(FileLog(path), height)
    await window.open()
    return window


def texts(page: LogPage) -> list[str]:
    return [line.text for line in page.lines]


async def test_it_opens_at_the_end_before_any_index(tmp_path: Path) -> None:
    lines = numbered(5000)
    window = await opened(write(tmp_path, lines))
    assert texts(window.page) == lines[-HEIGHT:]
    assert window.page.following
    assert window.page.number == 0, "numbers of lines are not known yet"
    await window.index()
    page = await window.show()
    assert (page.number, page.lines_known) == (5000, 5000)


async def test_moves_show_the_lines_there_are_and_their_numbers(tmp_path: Path) -> None:
    lines = numbered(5000)
    window = await opened(write(tmp_path, lines))
    await window.index()
    at = len(lines) - 1
    for by in (-1, -8, -1, -1, -25, +3, -4000, +7, +39, -10_000, +1, +10_000):
        page = await window.move(by)
        at = max(0, min(at + by, len(lines) - 1))
        assert page.current is not None
        assert (page.current.text, page.number) == (lines[at], at + 1)
        first = at - page.cursor
        assert texts(page) == lines[first : first + HEIGHT]
    page = await window.go_line(1234)
    assert page.number == 1234
    assert texts(page)[page.cursor] == lines[1233]
    page = await window.go_start()
    assert texts(page) == lines[:HEIGHT]
    assert (await window.go_line(10**9)).number == 5000


async def test_a_torn_last_line_and_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"")
    window = await opened(path)
    assert window.page.lines == ()
    assert await window.move(-1) == window.page
    path.write_bytes(b"one\ntw")
    window.grew(6)
    assert texts(await window.pull()) == ["one", "tw"]
    path.write_bytes(b"one\ntwo\nthree\n")
    window.grew(14)
    assert texts(await window.pull()) == ["one", "two", "three"]


async def test_following_ends_on_the_way_up_and_tells_what_is_new(tmp_path: Path) -> None:
    lines = numbered(200)
    path = write(tmp_path, lines[:100])
    window = await opened(path)
    await window.index()
    write(tmp_path, lines[:120])
    assert window.grew(path.stat().st_size)
    assert texts(await window.pull()) == lines[110:120]
    page = await window.move(-1)
    assert not page.following
    write(tmp_path, lines)
    window.grew(path.stat().st_size)
    page = await window.pull()
    assert page.new == 80
    assert texts(page) == lines[110:120], "what is looked at stays"
    page = await window.go_end()
    assert (page.following, page.new) == (True, 0)
    assert texts(page) == lines[-HEIGHT:]


async def test_another_file_in_its_place_is_shown_from_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, numbered(100))
    window = await opened(path)
    await window.index()
    await window.move(-50)
    write(tmp_path, ["fresh"])
    window.grew(path.stat().st_size)
    assert texts(await window.pull()) == ["fresh"]


async def test_search_goes_both_ways_and_says_when_there_is_no_more(tmp_path: Path) -> None:
    lines = [*numbered(3000)]
    for i in (10, 1500, 2990):
        lines[i] += " Loss=NaN"
    window = await opened(write(tmp_path, lines))
    await window.index()
    await window.go_start()
    seen: list[int] = []
    while await window.find(r"loss=\w+"):
        seen.append(window.page.number - 1)
    assert seen == [10, 1500, 2990]
    assert await window.find("loss", backwards=True)
    assert window.page.number == 1501
    assert not await window.find("LOSS"), "capitals count when they are written"
    assert await window.find("step 7$", backwards=True)
    assert window.page.number == 8
    assert not await window.find("(", backwards=True), "no expression: looked for as it is"


async def test_a_filter_shows_matching_lines_only_and_grows(tmp_path: Path) -> None:
    lines = numbered(4000)
    wanted = [line for line in lines if line.endswith("7")]
    path = write(tmp_path, lines)
    window = await opened(path)
    await window.index()
    page = await window.set_filter("7$")
    assert texts(page) == wanted[-HEIGHT:]
    page = await window.move(-25)
    assert page.current is not None
    assert page.current.text == wanted[-26]
    assert page.number == lines.index(wanted[-26]) + 1
    page = await window.go_start()
    assert texts(page) == wanted[:HEIGHT]
    await window.go_end()
    write(tmp_path, [*lines, "later 7", "later 8"])
    window.grew(path.stat().st_size)
    assert texts(await window.pull()) == [*wanted[-HEIGHT + 1 :], "later 7"]
    page = await window.set_filter("nothing like it")
    assert page.lines == ()
    page = await window.set_filter("")
    assert texts(page) == [*lines[-HEIGHT + 2 :], "later 7", "later 8"]


async def test_going_to_a_time(tmp_path: Path) -> None:
    lines = numbered(20_000)
    window = await opened(write(tmp_path, lines))
    noon = parse_moment("2026-05-01 12:00", 0)
    assert await window.go_time(noon + 12_345)
    assert window.page.current is not None
    assert window.page.current.text == lines[12_345]
    await window.go_time(noon + 10**6)
    assert texts(window.page)[-1] == lines[-1]
    plain = await opened(write(tmp_path, ["no times here"] * 50))
    assert not await plain.go_time(noon)


async def test_long_lines_are_cut_and_blocks_are_few(tmp_path: Path) -> None:
    path = tmp_path / "big.log"
    path.write_bytes(b"short\n" + b"x" * 3_000_000 + b"\nlast\n")
    door = FileLog(path)
    window = LogWindow(door, HEIGHT)
    page = await window.open()
    assert [len(line.text) for line in page.lines] == [5, 16 * 1024, 4]
    assert page.lines[1].cut
    blocks = LogBlocks(door)
    await blocks.open()
    for number in range(90):
        assert await blocks.block(number)
    assert len(blocks._blocks) == KEPT
    assert max(len(block) for block in blocks._blocks.values()) == BLOCK


class CountingLog(FileLog):
    """A file that counts what was asked of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.bytes = 0
        self.indexed: list[int] = []

    async def read(self, offset: int, limit: int) -> LogBytes:
        answer = await super().read(offset, limit)
        self.bytes += len(answer.data)
        return answer

    async def index(self, line: int, offset: int) -> LineIndex:
        self.indexed.append(offset)
        return await super().index(line, offset)


async def test_growth_costs_what_is_new_at_most(tmp_path: Path) -> None:
    lines = numbered(30_000)
    path = write(tmp_path, lines[:20_000])
    door = CountingLog(path)
    window = LogWindow(door, HEIGHT)
    await window.open()
    await window.index()
    before = path.stat().st_size
    door.bytes, door.indexed = 0, []
    write(tmp_path, lines[:20_250])
    window.grew(path.stat().st_size)
    await window.pull()
    assert door.bytes <= path.stat().st_size - before
    assert all(offset >= before for offset in door.indexed)


async def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        await opened(tmp_path / "none.log")


@settings(deadline=None)
@given(
    st.lists(st.text("ab\n", max_size=6), max_size=30), st.sampled_from(["a", "b$", "^a", "ab?a"])
)
async def test_searches_agree_with_looking_at_each_line(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], pattern: str
) -> None:
    path = tmp_path_factory.mktemp("log") / "x.log"
    text = "\n".join(parts)
    path.write_text(text)
    offsets: list[int] = []
    at = 0
    for line in text.splitlines(keepends=True):
        if re.search(pattern, line.rstrip("\n")):
            offsets.append(at)
        at += len(line)
    door = FileLog(path)
    forwards = await door.search(pattern, 0, backwards=False, ignore_case=False, limit=10**6)
    backwards = await door.search(pattern, at, backwards=True, ignore_case=False, limit=10**6)
    assert forwards.offsets == offsets
    assert backwards.offsets == offsets[::-1]


def test_colours_are_understood_and_other_controls_made_visible() -> None:
    line = log_line(0, 99, b"\x1b[1;31mbad\x1b[0m ok \x1b]0;title\x07\x1b[2Jx\x00\ty\r\n")
    assert line.text == "bad ok x\\x00    y"
    assert [(s.start, s.end, s.style) for s in line.spans] == [(0, 3, "bold red")]
    fancy = log_line(0, 9, b"\x1b[38;5;208;48;2;1;2;3mx\x1b[39my\x1b[m")
    assert [s.style for s in fancy.spans] == ["color(208) on #010203", "on #010203"]
    assert log_line(0, 9, b"\xff\xfe").text == "\ufffd\ufffd"


@given(st.binary(max_size=60))
def test_no_bytes_reach_the_screen_as_controls(data: bytes) -> None:
    line = log_line(0, len(data), data.replace(b"[", b"\x1b["))
    assert all(ch.isprintable() or ord(ch) > 0xA0 for ch in line.text)
    assert all(0 <= s.start < s.end <= len(line.text) for s in line.spans)


def test_json_in_a_line_is_laid_out() -> None:
    assert pretty('12:00 [info] {"a": [1, 2]}') == (
        '12:00 [info]\n{\n  "a": [\n    1,\n    2\n  ]\n}'
    )
    assert pretty("nothing [here] {") is None


def test_moments() -> None:
    now = parse_moment("2026-05-01T14:00:00Z", 0)
    assert parse_moment("10m", now) == now - 600
    assert parse_moment("13:30", now) == now - 1800
    assert parse_moment("14:30", now) == now + 1800 - 86_400
    assert parse_moment("2026-05-01 13:00", now) == now - 3600
    assert parse_moment("1777644000", now) == 1777644000
    for text in ("", "25:00", "soon", "2026-13-01"):
        with pytest.raises(InvalidRequest):
            parse_moment(text, now)
