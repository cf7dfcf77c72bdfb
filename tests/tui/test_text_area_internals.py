"""The private names of Textual's text area that one module uses: they are there, and are used so.

When Textual is brought up to date and this fails, `widgets/text_area_internals.py` is to be
looked at, and nothing else.
"""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import TextArea

from spice_tui.widgets.manifest_area import ManifestArea
from spice_tui.widgets.text_area_internals import CHUNK


class Host(App[None]):
    """An app with a manifest's text."""

    def __init__(self) -> None:
        super().__init__()
        self.area = ManifestArea()

    def compose(self) -> ComposeResult:
        yield self.area

    def on_mount(self) -> None:
        self.area.focus()


def test_textual_still_has_the_names() -> None:
    names = {"_build_highlight_map", "_replace_via_keyboard", "_render_line"}
    assert names <= set(dir(TextArea))
    fields = {"_line_cache", "_highlights", "_highlight_query", "_matching_bracket_location"}
    assert fields | {"_theme"} <= set(vars(TextArea()))


async def test_only_lines_that_are_drawn_are_coloured() -> None:
    app = Host()
    async with app.run_test(size=(60, 20)) as pilot:
        app.area.show("\n".join(f"key{i}: 'text'" for i in range(2000)))
        await pilot.pause()
        assert set(app.area._highlights) == set(range(CHUNK))
        app.area.go((1500, 0))
        await pilot.press("x")
        await pilot.pause()
        assert len(app.area._highlights) <= 2 * CHUNK
        assert [name for *_, name in app.area._highlights[1500]] == ["string", "key", "punctuation"]


async def test_a_line_that_is_drawn_from_memory_looks_as_if_drawn_anew() -> None:
    app = Host()
    async with app.run_test(size=(60, 20)) as pilot:
        app.area.show("\n".join(f"key{i}: [{i}, 'text {i}']" for i in range(200)))
        for keys in (
            ["down", "down", "x", "enter"],
            ["shift+down", "shift+down"],
            ["left", "pagedown", "y"],
            ["end", "left"],
            ["backspace", "ctrl+z"],
        ):
            await pilot.press(*keys)
            await pilot.pause()
            for y in range(20):
                shown = app.area.render_line(y)
                assert shown == TextArea._render_line(app.area, y), (keys, y)
        app.theme = "textual-light"
        await pilot.pause()
        assert [app.area.render_line(y) for y in range(20)] == [
            TextArea._render_line(app.area, y) for y in range(20)
        ]


async def test_marks_lie_over_the_colours_and_move_with_them() -> None:
    app = Host()
    async with app.run_test(size=(60, 20)) as pilot:
        app.area.show("é: 'text'\nb: 1")
        app.area.marks = {0: [(4, 10, "error")]}
        app.area.redraw_marks()
        await pilot.pause()
        assert app.area._highlights[0][-1] == (4, 10, "error")
        strip = app.area.render_line(0)
        under = [segment.text for segment in strip if segment.style and segment.style.underline]
        assert "".join(under) == "'text'"


async def test_code_in_a_block_is_coloured_where_it_stands() -> None:
    app = Host()
    async with app.run_test(size=(60, 20)) as pilot:
        app.area.show("with: |\n    é = 1\n\n    if é:\n      f('x')\nnext: 2\n")
        await pilot.pause()
        marks = {row: dict.fromkeys(app.area._highlights[row]) for row in range(6)}
        assert (4, 6, "keyword") in marks[3]
        assert (6, 7, "function") in marks[4]
        assert (8, 11, "string") in marks[4]
        assert (0, 4, "key") in marks[5]
