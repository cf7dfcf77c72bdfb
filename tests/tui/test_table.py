"""The table on a screen: what is drawn, what is repainted, and what a person can do with keys."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot
from textual.strip import Strip

from spice_engine.errors import NotFound
from spice_tui.models.columns import Column, Row
from spice_tui.theme import symbols as signs
from spice_tui.widgets.copying import CopyText
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

COLUMNS = (
    Column("pod", "Pod", weight=1, least=8),
    Column("state", "State", "state", least=10),
    Column("rows", "Rows", "number", importance=3),
    Column("size", "Size", "bytes", importance=2),
)


def pods(count: int, **changed: dict[str, object]) -> list[Row]:
    """Rows pod-0, pod-1 …; `changed` has other values by key."""
    return [
        Row(
            f"pod-{i}",
            {"pod": f"pod-{i}", "state": "ready", "rows": i * 10, "size": 2048}
            | changed.get(f"pod_{i}", {}),
        )
        for i in range(count)
    ]


class Host(App[None]):
    """An app with one table and a list of what it told."""

    def __init__(self) -> None:
        super().__init__()
        self.pane = TablePane(COLUMNS, empty="No pods. Add one with a.")
        self.told: list[object] = []

    def compose(self) -> ComposeResult:
        yield self.pane

    def on_mount(self) -> None:
        self.pane.table.focus()

    def on_grid_table_highlighted(self, event: GridTable.Highlighted) -> None:
        self.told.append(("highlighted", event.key))

    def on_grid_table_chosen(self, event: GridTable.Chosen) -> None:
        self.told.append(("chosen", event.key))

    def on_grid_table_marked(self, event: GridTable.Marked) -> None:
        self.told.append(("marked", event.key))

    def on_copy_text(self, event: CopyText) -> None:
        self.told.append(("copy", event.text))


def lines(table: GridTable) -> list[str]:
    """What the table shows."""
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


async def settle(pilot: Pilot[None]) -> None:
    await pilot.pause()


async def test_rows_stand_under_their_titles() -> None:
    app = Host()
    async with app.run_test(size=(60, 8)) as pilot:
        app.pane.show(pods(3, pod_1={"state": "failed"}))
        await settle(pilot)
        shown = lines(app.pane.table)
        assert shown[0].split() == ["Pod", "State", "Rows", "Size"]
        assert shown[1].split() == ["▌", "pod-0", "✓", "ready", "0", "2.0K"]
        assert shown[2].split() == ["pod-1", "✗", "failed", "10", "2.0K"]
        column = shown[0].index("State")
        assert shown[1][column] == "✓"
        assert shown[1].endswith("2.0K")
        assert len(shown[1]) == len(shown[0])


async def test_an_empty_table_says_what_to_do() -> None:
    app = Host()
    async with app.run_test(size=(60, 8)) as pilot:
        await settle(pilot)
        assert lines(app.pane.table)[1].strip() == "No pods. Add one with a."
        app.pane.show(pods(3))
        app.pane.table.set_filter("nothing")
        await settle(pilot)
        assert lines(app.pane.table)[1].strip() == "None of 3 matches the filter."


async def test_the_arrow_of_the_order_takes_no_letter_where_there_is_room() -> None:
    app = Host()
    columns = (Column("n", "run", "number", least=4), Column("pod", "Pod", least=4))
    async with app.run_test(size=(12, 8)) as pilot:
        table = app.pane.table
        table.set_columns(columns)
        app.pane.show([Row("a", {"n": 1, "pod": "x" * 70})])
        table.sort_by("n")
        await settle(pilot)
        assert lines(table)[0] == "  run▲  Pod"
        await pilot.resize_terminal(40, 8)
        await settle(pilot)
        assert "run ▲" in lines(table)[0]


async def test_signs_are_plain_ascii_where_wanted() -> None:
    app = Host()
    signs.use(signs.ASCII)
    try:
        async with app.run_test(size=(60, 8)) as pilot:
            app.pane.show([Row("a", {"pod": "x" * 90, "state": "failed"})])
            app.pane.table.sort_by("pod")
            await settle(pilot)
            assert "".join(lines(app.pane.table)).isascii()
    finally:
        signs.use(signs.UNICODE)


async def test_vim_keys_and_arrows_move_the_cursor() -> None:
    app = Host()
    async with app.run_test(size=(60, 10)) as pilot:
        app.pane.show(pods(100))
        table = app.pane.table
        for key, number in (
            ("j", 1),
            ("down", 2),
            ("k", 1),
            ("up", 0),
            ("G", 99),
            ("g", 0),
            ("end", 99),
            ("home", 0),
            ("pagedown", 9),
            ("ctrl+d", 13),
            ("ctrl+u", 9),
            ("pageup", 0),
            ("k", 0),
        ):
            await pilot.press(key)
            assert table.model.cursor == number, key
            drawn = [line for line in lines(table)[1:] if line.startswith("▌")]
            assert [line.split()[1] for line in drawn] == [f"pod-{number}"], key
        await pilot.press("j", "enter")
        await settle(pilot)
        assert app.told[-2:] == [("highlighted", "pod-1"), ("chosen", "pod-1")]


async def test_one_changed_cell_repaints_that_cell_only() -> None:
    app = Host()
    async with app.run_test(size=(60, 12)) as pilot:
        rows = pods(5)
        app.pane.show(rows)
        await settle(pilot)
        table = app.pane.table
        asked: list[tuple[Region, ...]] = []
        refresh = table.refresh

        def watched(*regions: Region, **options: bool) -> GridTable:
            asked.append(regions)
            return refresh(*regions, **options)

        table.refresh = watched  # type: ignore[method-assign]
        app.pane.show([*rows[:2], pods(3, pod_2={"rows": 77})[2], *rows[3:]])
        ((region,),) = asked
        assert (region.y, region.height) == (3, 1)
        line = table.render_line(3).text
        assert line[region.x : region.right].strip() == "77"
        asked.clear()
        app.pane.show(pods(3, pod_2={"rows": 77}) + pods(5)[3:])
        assert asked == [], "equal rows need no painting"


def painted(app: Host) -> list[str]:
    """The screen as it was last painted."""
    return [
        "".join(part.text for part in strip) for strip in app.screen._compositor.render_strips()
    ]


async def test_a_row_that_goes_moves_no_cursor() -> None:
    app = Host()
    async with app.run_test(size=(60, 12)) as pilot:
        app.pane.show(pods(5))
        await pilot.press("j", "j", "j")
        app.pane.show([*pods(5)[1:], Row("new", {})])
        await settle(pilot)
        assert [line[0] for line in painted(app)[:7]] == [" ", " ", " ", "▌", " ", " ", " "]
        assert app.pane.table.model.current == pods(5)[3]


async def test_rows_that_come_leave_the_place_looked_at() -> None:
    app = Host()
    async with app.run_test(size=(60, 12)) as pilot:
        app.pane.show(pods(200))
        table = app.pane.table
        await settle(pilot)
        table.scroll_to(y=100, animate=False, immediate=True)
        app.pane.show(pods(201))
        await settle(pilot)
        assert lines(table)[1].split()[0] == "pod-100", "the wheel went there, the cursor did not"
        await pilot.press("j")
        assert lines(table)[1].split()[1] == "pod-1"


async def test_a_state_that_has_no_room_for_its_word_shows_its_sign() -> None:
    app = Host()
    async with app.run_test(size=(60, 12)) as pilot:
        app.pane.table.set_columns([Column("state", "", "state", least=1, most=1), COLUMNS[0]])
        app.pane.show(pods(1, pod_0={"state": "failed"}))
        await settle(pilot)
        assert lines(app.pane.table)[1].split() == ["▌", "✗", "pod-0"]


async def test_sort_shows_an_arrow_and_reverses() -> None:
    app = Host()
    async with app.run_test(size=(60, 8)) as pilot:
        app.pane.show(pods(12))
        await pilot.press("s", "s", "s")
        assert "Rows ▲" in lines(app.pane.table)[0]
        await pilot.press("S", "g")
        assert "Rows ▼" in lines(app.pane.table)[0]
        assert lines(app.pane.table)[1].split()[1] == "pod-11"
        app.pane.table.action_sort("pod")
        assert "Pod ▲" in lines(app.pane.table)[0]
        with pytest.raises(NotFound, match="no column 'sise'"):
            app.pane.table.action_sort("sise")


async def test_filter_is_live_kept_by_enter_and_cleared_by_escape() -> None:
    app = Host()
    async with app.run_test(size=(60, 8)) as pilot:
        app.pane.show(pods(12))
        table = app.pane.table
        await pilot.press("slash", *"rows>=100")
        await settle(pilot)
        assert [row.key for row in table.model.rows] == ["pod-10", "pod-11"]
        assert str(app.pane.border_subtitle) == "/rows>=100  2 of 12"
        await pilot.press("enter")
        assert app.focused is table
        assert len(table.model.rows) == 2
        await pilot.press("escape")
        assert len(table.model.rows) == 12
        await settle(pilot)
        assert not str(app.pane.border_subtitle)
        await pilot.press("slash", "j", "escape")
        assert app.focused is table
        assert len(table.model.rows) == 12


async def test_an_unknown_column_is_told() -> None:
    app = Host()
    async with app.run_test(size=(100, 8)) as pilot:
        app.pane.show(pods(2))
        await pilot.press("slash", *"sise:2")
        await settle(pilot)
        assert "No column is called 'sise'" in str(app.pane.border_subtitle)


async def test_marks_and_copies() -> None:
    app = Host()
    async with app.run_test(size=(60, 8)) as pilot:
        app.pane.show(pods(4))
        await pilot.press("space", "space", "c", "l", "c", "C")
        await settle(pilot)
        assert [told for told in app.told if told[0] != "highlighted"] == [  # type: ignore[index]
            ("marked", "pod-0"),
            ("marked", "pod-1"),
            ("copy", "pod-2"),
            ("copy", "ready"),
            ("copy", "pod-0\tready\t0\t2048\npod-1\tready\t10\t2048"),
        ]
        assert lines(app.pane.table)[1].startswith(" ◆")


async def test_wide_characters_are_cut_whole_and_lines_keep_their_width() -> None:
    app = Host()
    async with app.run_test(size=(30, 6)) as pilot:
        app.pane.show([Row("a", {"pod": "強化学習" * 9, "state": "ready"})])
        await settle(pilot)
        strip: Strip = app.pane.table.render_line(1)
        assert strip.cell_length == 30
        assert "…" in strip.text


async def test_all_columns_in_full_are_reached_by_moving_right() -> None:
    app = Host()
    async with app.run_test(size=(24, 8)) as pilot:
        app.pane.show([Row("a", {"pod": "p" * 30, "state": "ready", "rows": 5, "size": 4096})])
        await settle(pilot)
        assert "Size" not in lines(app.pane.table)[0]
        await pilot.press("w", "l", "l", "l")
        await settle(pilot)
        assert lines(app.pane.table)[0].endswith("Size")
        assert lines(app.pane.table)[1].endswith("4.0K")
        await pilot.press("h", "h", "h")
        await settle(pilot)
        assert lines(app.pane.table)[1].startswith("▌")


async def test_a_frame_asked_for_before_it_was_removed_is_drawn() -> None:
    app = Host()
    async with app.run_test(size=(60, 10)) as pilot:
        app.pane.show(pods(3))
        await settle(pilot)
        await app.pane.remove()
        app.pane.table._rich_style_cache.clear()  # as after a change of its styles
        assert app.pane.table.render_lines(Region(0, 0, 60, 3))


async def test_scroll_bars_cover_no_cell() -> None:
    """The last column and the last row are whole beside and above the bars."""
    app = Host()
    async with app.run_test(size=(40, 8)) as pilot:
        table = app.pane.table
        app.pane.show(pods(3))
        await settle(pilot)
        app.pane.show(pods(50))
        await settle(pilot)
        seen = table.scrollable_content_region.size
        assert seen.width == table.size.width - 1, "there is a bar"
        assert [len(line) for line in lines(table)] == [seen.width] * 8
        await pilot.press("w", "G")
        app.pane.show([Row(f"{i}", {"pod": "x" * 60, "state": "ready"}) for i in range(50)])
        await settle(pilot)
        seen = table.scrollable_content_region.size
        assert seen.height == table.size.height - 1, "there is a second bar"
        assert lines(table)[seen.height - 1].startswith("▌"), "the cursor is above it"
