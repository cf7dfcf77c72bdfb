"""What the cell diff writes shows what a repaint of everything would, in fewer bytes."""

from __future__ import annotations

import random

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_terminal import Terminal, cells, differences, running
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import App
from textual.containers import Vertical
from textual.geometry import Offset
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import DataTable, Label, Log, Static

from spice_tui.terminal.cells import CellDiff
from spice_tui.terminal.grid import Grid
from spice_tui.terminal.pens import Pens
from tests.examples import examples

WIDTH, HEIGHT = 30, 4
CONSOLE = Console(color_system="truecolor", force_terminal=True, _environ={})
STYLES = [
    Style(),
    Style(bold=True, color="red"),
    Style(dim=True, bold=True),
    Style(color="#102030", bgcolor="#a0b0c0"),
    Style(bgcolor="#a0b0c0"),
    Style(color="#ffffff", bgcolor="#a0b0c0"),
    Style(reverse=True, italic=True),
    Style(underline=True, color="blue"),
    Style(strike=True, bgcolor="green"),
    Style(link="https://example.org/", color="cyan"),
]

texts = st.one_of(
    st.text("ab 漢é─⣿👍", min_size=1, max_size=8),
    st.integers(1, 20).map(lambda n: " " * n),
)
strips = st.lists(st.tuples(texts, st.sampled_from(STYLES)), max_size=6).map(
    lambda parts: Strip([Segment(text, style) for text, style in parts]).adjust_cell_length(WIDTH)
)
frames = st.lists(
    st.dictionaries(
        st.integers(0, HEIGHT - 1),
        st.tuples(strips, st.integers(0, WIDTH - 1), st.integers(1, WIDTH)),
        min_size=1,
    ),
    min_size=1,
    max_size=8,
)


def test_a_style_is_encoded_for_the_colours_there_are() -> None:
    style = Style(bold=True, color="#ff0000", bgcolor="#000000")

    def sgr(system: ColorSystem | None) -> list[str]:
        return Pens(system).of(style).sgr

    assert sgr(ColorSystem.TRUECOLOR) == ["1", "38;2;255;0;0", "48;2;0;0;0"]
    assert sgr(ColorSystem.EIGHT_BIT) == ["1", "38;5;196", "48;5;16"]
    assert sgr(ColorSystem.STANDARD) == ["1", "31", "40"]
    assert sgr(None) == ["1"]


def test_styles_change_by_what_differs() -> None:
    pens = Pens(ColorSystem.TRUECOLOR)
    red, bold_red = pens.of(Style(color="red")), pens.of(Style(color="red", bold=True))
    assert pens.change(red, bold_red) == "\x1b[1m"
    assert pens.change(bold_red, red) == "\x1b[22m"
    assert pens.change(red, pens.plain) == "\x1b[m"


@settings(max_examples=examples(150), deadline=None)
@given(frames, st.booleans())
def test_any_sequence_of_pieces_shows_what_whole_rows_show(frames, erases_colour: bool) -> None:
    grid = Grid(WIDTH, HEIGHT, Pens(ColorSystem.TRUECOLOR), erases_colour=erases_colour)
    screen, expected = pyte.Screen(WIDTH, HEIGHT), pyte.Screen(WIDTH, HEIGHT)
    rows = [Strip.blank(WIDTH) for _ in range(HEIGHT)]
    drawn = grid.draw((y, [(0, WIDTH, strip)]) for y, strip in enumerate(rows))
    pyte.Stream(screen).feed(drawn)
    for frame in frames:
        pieces = {}
        for y, (strip, x, count) in frame.items():
            end = min(WIDTH, x + count)
            part = strip.crop(x, end)
            rows[y] = Strip.join([rows[y].crop(0, x), part, rows[y].crop(end)])
            # A cut through a wide character leaves a blank beside the part: as the compositor
            # does, the whole row comes then.
            pieces[y] = [
                (0, x, rows[y].crop(0, x)),
                (x, end, part),
                (end, WIDTH, rows[y].crop(end)),
            ]
        pyte.Stream(screen).feed(grid.draw(pieces.items()))
        expected.reset()
        plain = "".join(f"\x1b[{y + 1}H{strip.render(CONSOLE)}" for y, strip in enumerate(rows))
        pyte.Stream(expected).feed(plain)
        assert cells(screen) == cells(expected)
        assert grid.draw((y, [(0, WIDTH, strip)]) for y, strip in enumerate(rows)) == ""


def test_text_cannot_give_orders_to_the_terminal() -> None:
    grid = Grid(10, 1, Pens(None))
    drawn = grid.draw([(0, [(0, 10, Strip([Segment("a\x1b[2Jb\x07\x9b")]))])])
    assert drawn == "\x1b[1Ha[2Jb"


class Dialog(ModalScreen[None]):
    CSS = "Dialog { align: center middle; } #box { width: 21; height: 5; border: round red; }"

    def compose(self):
        yield Static("漢字 in a dialog", id="box")


class Busy(CellDiff):
    """Many kinds of updates over each other."""

    CSS = """
    DataTable { height: 9; }
    Log { height: 6; }
    #over { layer: above; offset: 7 3; width: 12; height: 4; background: blue; }
    Screen { layers: default above; }
    """

    def compose(self):
        yield DataTable()
        yield Log(max_lines=200)
        yield Vertical(Label("", id="a"), Label("", id="b"))
        yield Static("over\n漢字漢字漢\nall", id="over")

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_columns(*"abcdef")
        for row in range(30):
            table.add_row(*[str(row * column) for column in range(6)])


async def one_change(terminal: Terminal, chance: random.Random) -> int:
    app = terminal.app
    way = chance.randrange(10)
    base = app.screen_stack[0]
    table, log = base.query_one(DataTable), base.query_one(Log)
    if way == 0:
        table.update_cell_at((chance.randrange(30), chance.randrange(6)), chance.choice("x漢é👍"))
    elif way == 1:
        log.write_line(chance.choice(["plain", "漢字 and more", "é" * 90, "⣿⣀ ─"]))
    elif way == 2:
        table.move_cursor(row=chance.randrange(30), column=chance.randrange(6))
    elif way == 3:
        text = Text(chance.choice(["abc漢字", "👍 ok", "    ", "─" * 50]))
        text.stylize(chance.choice(["bold red", "on blue", "reverse", "underline"]), 1, 3)
        base.query_one(chance.choice(["#a", "#b"]), Label).update(text)
    elif way == 4:
        over = base.query_one("#over")
        over.styles.offset = (chance.randrange(60), chance.randrange(18))
    elif way == 5:
        over = base.query_one("#over")
        over.display = not over.display
    elif way == 6:
        log.scroll_to(y=chance.randrange(20), animate=False)
    elif way == 7:
        if len(app.screen_stack) == 1:
            await app.push_screen(Dialog())
        else:
            await app.pop_screen()
    elif way == 8:
        await terminal.resize(chance.choice([80, 50, 33]), chance.choice([24, 13]))
    else:
        app.theme = chance.choice(["textual-dark", "textual-light", "ansi-dark"])
    return way


async def test_any_sequence_of_updates_shows_what_a_repaint_shows() -> None:
    for seed in range(2):
        chance = random.Random(seed)
        async with running(Busy()) as terminal:
            for step in range(60):
                ways = [await one_change(terminal, chance) for _ in range(chance.randrange(1, 3))]
                await terminal.settle()
                assert differences(terminal) == [], (seed, step, ways)


async def test_one_cell_costs_its_own_bytes() -> None:
    async with running(Busy()) as terminal:
        await terminal.settle()
        terminal.app.query_one(DataTable).update_cell_at((1, 0), "7")
        assert 0 < len(await terminal.settle()) < 40


async def test_what_is_there_is_not_written_again_until_asked() -> None:
    app = Busy()
    async with running(app) as terminal:
        await terminal.settle()
        app.screen.refresh()
        assert await terminal.settle() == ""
        terminal.screen.reset()  # another program wrote over it
        app.action_redraw()
        await terminal.settle()
        assert differences(terminal) == []


async def test_the_cursor_stays_where_input_methods_look_for_it() -> None:
    app = Busy()
    async with running(app) as terminal:
        await terminal.settle()
        app.cursor_position = Offset(9, 4)
        app.query_one("#a", Label).update("text")
        await terminal.settle()
        assert (terminal.screen.cursor.x, terminal.screen.cursor.y) == (9, 4)


async def test_textual_still_draws_through_the_seam() -> None:
    """Fails when a new Textual draws in another way; `CellDiff` has to follow then."""

    class Plain(App[int]):
        def compose(self):
            yield Label("seen")

    class Differing(CellDiff):
        def compose(self):
            yield Label("seen")

    async with running(Plain()) as terminal:
        await terminal.settle()
        terminal.app.screen.refresh()
        assert "seen" in await terminal.settle()
        plain = cells(terminal.screen)
    async with running(Differing()) as terminal:
        await terminal.settle()
        assert cells(terminal.screen) == plain
        terminal.app.screen.refresh()
        assert await terminal.settle() == ""
