"""The log view on a screen, over real files."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot

from spice_tui.models.file_log import FileLog
from spice_tui.theme import symbols as signs
from spice_tui.widgets.copying import CopyText
from spice_tui.widgets.log_pane import LogPane
from spice_tui.widgets.log_view import LogView

NOON = 1_777_636_800.0
"""2026-05-01T12:00:00Z."""


class Host(App[None]):
    """An app with one log."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.pane = LogPane(clock=lambda: NOON + 3600)
        self.copied: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.pane

    def on_mount(self) -> None:
        self.pane.show(FileLog(self.path))
        self.pane.view.focus()

    def on_copy_text(self, event: CopyText) -> None:
        self.copied.append(event.text)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A thousand lines, one a second from noon on, with some errors."""
    path = tmp_path / "run.log"
    lines = [
        f"2026-05-01T12:{i // 60:02}:{i % 60:02}Z {what} {i}"
        for i in range(1000)
        for what in ("ERROR lost" if i % 100 == 50 else "INFO step",)
    ]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def lines(view: LogView) -> list[str]:
    """What the view shows above its last line."""
    return [view.render_line(y).text.rstrip() for y in range(view.size.height - 1)]


def status(view: LogView) -> str:
    return view.render_line(view.size.height - 1).text.strip()


def current(view: LogView) -> str:
    """The text of the line the cursor is on, read from the screen."""
    (line,) = [line for line in lines(view) if line[:1] in "▌>" and line]
    return line[1:]


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait until the log's reading has led to this; pytest's timeout bounds it."""
    while not condition():
        await pilot.pause()


async def test_it_opens_at_the_end_and_learns_its_lines(log: Path) -> None:
    app = Host(log)
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: "line 1,000 of 1,000" in status(view))
        assert current(view).endswith("step 999")
        assert len(lines(view)) == 11
        assert all(lines(view))
        assert status(view).endswith("● following")


async def test_keys_move_and_end_following(log: Path) -> None:
    app = Host(log)
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: view.page.lines_known)
        for key, number in (
            ("k", 999),
            ("up", 998),
            ("j", 999),
            ("pageup", 988),
            ("ctrl+u", 983),
            ("ctrl+d", 988),
            ("g", 1),
            ("k", 1),
            ("pagedown", 12),
            ("G", 1000),
        ):
            await pilot.press(key)
            await until(pilot, lambda number=number: view.page.number == number)
            assert current(view).endswith(f" {number - 1}"), key
        assert view.page.following
        await pilot.press("f")
        await until(pilot, lambda: not view.page.following)


async def test_growth_is_followed_or_counted(log: Path) -> None:
    app = Host(log)
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: view.page.lines_known)

        def write(text: str) -> None:
            with log.open("a") as file:
                file.write(text)
            app.pane.grew(log.stat().st_size)

        write("fresh 1\n")
        await until(pilot, lambda: current(view) == "fresh 1")
        await pilot.press("k")
        await until(pilot, lambda: not view.page.following)
        seen = lines(view)
        for i in range(50):
            write(f"more {i}\n")
        await until(pilot, lambda: "50 new" in status(view))
        assert lines(view) == seen
        await pilot.press("G")
        await until(pilot, lambda: current(view) == "more 49")


async def test_a_log_that_is_not_seen_reads_nothing_until_it_is(log: Path) -> None:
    app = Host(log)
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: view.page.lines_known)
        view.display = False
        await until(pilot, lambda: not view.size)
        with log.open("a") as file:
            file.write("fresh\n")
        app.pane.grew(log.stat().st_size)
        await pilot.pause()
        assert view.page.size < log.stat().st_size
        view.display = True
        await until(pilot, lambda: view.size and any(lines(view)) and current(view) == "fresh")


async def test_growth_repaints_only_lines_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("one\ntwo\n")
    app = Host(path)
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: view.page.lines_known)
        await pilot.pause()
        asked: list[Region] = []
        refresh = view.refresh

        def watched(*regions: Region, **options: bool) -> LogView:
            asked.extend(regions)
            return refresh(*regions, **options)

        view.refresh = watched  # type: ignore[method-assign]
        path.write_text("one\ntwo\nthree\n")
        app.pane.grew(14)
        await until(pilot, lambda: current(view) == "three")
        # The cursor left line 1 for line 2; the last line tells the new number.
        assert {region.y for region in asked} == {1, 2, 11}


async def test_search_goes_on_with_n_and_back(log: Path) -> None:
    app = Host(log)
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: view.page.lines_known)
        await pilot.press("g")
        await until(pilot, lambda: view.page.number == 1)
        await pilot.press("slash", *"error.*50$", "enter")
        for key, number in (("", 51), ("n", 151), ("n", 251), ("N", 151), ("N", 51)):
            if key:
                await pilot.press(key)
            await until(pilot, lambda number=number: view.page.number == number)
        await pilot.press("N")
        await until(pilot, lambda: "no earlier match" in status(view))
        strip = view.render_line(lines(view).index(f"▌{current(view)}"))
        marked = "".join(part.text for part in strip if part.style and part.style.reverse)
        assert marked == "ERROR lost 50"
        assert app.focused is view
        await pilot.press("escape")
        await until(pilot, lambda: not view.page.search)


async def test_only_matching_lines(log: Path) -> None:
    app = Host(log)
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: view.page.lines_known)
        await pilot.press("ampersand", *"ERROR", "enter")
        await until(pilot, lambda: "only /ERROR/" in status(view))
        assert [line.split()[-1] for line in lines(view) if line] == [
            str(50 + 100 * i) for i in range(10)
        ]
        await pilot.press("escape")
        await until(pilot, lambda: not view.page.filter)
        assert current(view).endswith("step 999")
        await pilot.press("ampersand", *"nothing", "enter")
        await until(pilot, lambda: lines(view)[0].strip() == "No line matches.")


async def test_going_to_lines_and_times(log: Path) -> None:
    app = Host(log)
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: view.page.lines_known)
        await pilot.press("number_sign", *"321", "enter")
        await until(pilot, lambda: view.page.number == 321)
        await pilot.press("t", *"12:10", "enter")
        await until(pilot, lambda: current(view).startswith("2026-05-01T12:10:00Z"))
        await pilot.press("t", *"55m", "enter")
        await until(pilot, lambda: current(view).startswith("2026-05-01T12:05:00Z"))
        view.action_line("77")
        await until(pilot, lambda: view.page.number == 77)
        view.action_time("soon")
        await until(pilot, lambda: "not a time" in status(view))


async def test_long_lines_sideways_and_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("0123456789" * 20 + "\n強化学習" * 20 + "\n")
    app = Host(path)
    async with app.run_test(size=(41, 12)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: view.page.lines_known)
        await pilot.press("g")
        await until(pilot, lambda: view.page.number == 1)
        assert lines(view)[0] == "▌" + "0123456789" * 3 + "012345678…"
        await pilot.press("l")
        assert lines(view)[0] == "▌" + "6789" + "0123456789" * 3 + "01234…"
        await pilot.press("h", "w")
        assert lines(view)[:5] == ["▌" + "0123456789" * 4] * 5
        assert all(view.render_line(y).cell_length == 41 for y in range(12))


async def test_enter_lays_json_out_and_c_copies(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(json.dumps({"episode": 3, "reward": 1.5}) + "\n")
    app = Host(path)
    async with app.run_test(size=(60, 14)) as pilot:
        view = app.pane.view
        await until(pilot, lambda: view.page.lines_known)
        await pilot.press("c", "enter")
        await pilot.pause()
        assert app.copied == ['{"episode": 3, "reward": 1.5}']
        assert app.pane.detail.has_class("-open")
        shown = "\n".join(
            "".join(segment.text for segment in strip).rstrip()
            for strip in app.screen._compositor.render_strips()
        )
        assert '  "reward": 1.5' in shown
        await pilot.press("escape")
        assert app.focused is view


async def test_controls_never_reach_the_terminal_and_ascii_is_ascii(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"\x1b[31mred\x1b[0m \x1b]0;evil\x07\x07bell " + b"x" * 99 + b"\n")
    app = Host(path)
    signs.use(signs.ASCII)
    try:
        async with app.run_test(size=(40, 6)) as pilot:
            view = app.pane.view
            await until(pilot, lambda: view.page.lines_known)
            assert lines(view)[0].startswith(">red \\x07bell xxx")
            assert "".join([*lines(view), status(view)]).isascii()
            assert lines(view)[0].endswith("~")
    finally:
        signs.use(signs.UNICODE)


async def test_a_log_that_is_gone_is_told(tmp_path: Path) -> None:
    app = Host(tmp_path / "none.log")
    async with app.run_test(size=(100, 6)) as pilot:
        await until(pilot, lambda: "does not exist" in status(app.pane.view))


async def test_work_that_is_ended_before_it_began_leaves_nothing_behind(log: Path) -> None:
    app = Host(log)
    async with app.run_test() as pilot:
        await pilot.pause()
        app.pane.show(FileLog(log))
        app.workers.cancel_all()  # as is done for a view that goes away
        await pilot.pause()
    gc.collect()  # a coroutine that nobody awaited warns when it is collected
