"""Charts as text: small pictures, and what must hold for every picture."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest

from spice_tui.models import styled
from spice_tui.models.plot import Picture, Plotter, Reference, View
from spice_tui.models.series import Series
from spice_tui.theme import symbols

TEN = View(0, 10)


@pytest.fixture
def ascii_signs() -> Iterator[None]:
    """Signs of ASCII for one test."""
    symbols.use(symbols.ASCII)
    yield
    symbols.use(symbols.UNICODE)


def hill(priority: int = 0) -> Series:
    """Up to five and down again."""
    return Series("hill", "up", range(11), [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0], priority=priority)


def flat(value: float = 2.0) -> Series:
    """A dashed level."""
    return Series("flat", "flat", [0, 10], [value, value], dashed=True, color=1)


def text(picture: Picture) -> str:
    """A picture's characters, without blanks at ends of rows."""
    return "\n".join(row.rstrip() for row in picture.texts)


HILL = """\
Hill  ● up
    5.0┤             ⢀⡠⠊⠒⢄
       │           ⢀⠔⠁    ⠉⠢⡀
       │         ⢀⠔⠁        ⠈⠢⡀
    2.5┤      ⢀⡠⠊⠁            ⠈⠑⢄⡀
       │    ⢀⠔⠁                  ⠈⠢⡀
       │  ⢀⠔⠁                      ⠈⠢⡀
    0.0┤⡠⠒⠁                          ⠈⠑●
       └────────────────────────────────
        0               5             10"""

CROSS = """\
6  ● up 4  ◆ flat 2  best 4
    5.0┤             ⢀⡠⠊⠒⢄ │
       │⠒⠒⠒ ⠒⠒⠒ ⠒⠒⠒⢀⠖⠓⠒ ⠒⠒⠛⠢⡒⠒⠒ ⠒⠒ best
       │         ⢀⠔⠁       │⠈⠢⡀
    2.5┤      ⢀⡠⠊⠁         │  ⠈⠑⢄⡀
       │⠉⠉⠉ ⢀⠝⠉⠉  ⠉⠉⠉  ⠉⠉⠉ │⠉⠉⠉  ⠉⠫⡉  ⠉◆
       │  ⢀⠔⠁              │       ⠈⠢⡀
    0.0┤⡠⠒⠁                │         ⠈⠑●
       └────────────────────────────────
        0               5             10"""

GAPS = """\
● gap
    5.0┤               ⠈⠒⢄
       │                  ⠉⠢⡀
       │                    ⠈⠢⡀
    2.5┤
       │    ⢀⠔⠁
       │  ⢀⠔⠁                       ⠠⡀
    0.0┤⡠⠒⠁                          ⠈⠑●
       └────────────────────────────────
        0               5             10"""

ASCII = """\
Hill  * up  o flat
    5.0|              ****
       |------  ---***  --***-  -- best
       |         **          **
    2.5|       **              **
       |oooooooooooooooooooooooooooooooo
       |  ***                      ***
    0.0|**                            **
       +--------------------------------
        0               5             10"""


def test_a_line_with_axes_and_legend() -> None:
    assert text(Plotter().draw([hill()], [], TEN, (40, 10), title="Hill")) == HILL


def test_a_crosshair_a_dashed_line_and_a_named_level() -> None:
    levels = [Reference("best", 4.0, "oracle")]
    picture = Plotter().draw([hill(), flat()], levels, TEN, (40, 10), cursor=6.0)
    assert text(picture) == CROSS


def test_gaps_stay_open() -> None:
    values = [0, 1, 2, None, None, 5, 4, 3, None, 1, 0]
    assert text(Plotter().draw([Series("g", "gap", range(11), values)], [], TEN, (40, 10))) == GAPS


def test_plain_signs(ascii_signs: None) -> None:
    solid = Series("flat", "flat", [0, 10], [2, 2], color=1)
    levels = [Reference("best", 4.0, "oracle")]
    picture = Plotter().draw([hill(), solid], levels, TEN, (40, 10), title="Hill")
    # The level series lies over the hill: it comes later at the same priority.
    assert text(picture) == ASCII
    assert text(picture).isascii()


def test_lines_keep_their_colour_where_they_cross_and_priority_decides() -> None:
    def colours(front: int) -> set[int]:
        one, other = hill(priority=front), Series("x", "x", range(11), range(11), color=3)
        picture = Plotter().draw([one, other], [], TEN, (80, 20))
        rows = picture.styles[picture.top : picture.top + picture.grid.height]
        # Both climb the same way in the left half.
        return {row[x] for row in rows for x in range(picture.left, picture.left + 30)} - {0}

    assert colours(1) == {styled.SERIES}
    assert colours(-1) == {styled.SERIES + 3}


def test_names_of_levels_in_one_row_do_not_cover_each_other() -> None:
    levels = [Reference("one", 5.0, "oracle"), Reference("two", 5.0, "constant")]
    picture = Plotter().draw([flat(0.0)], levels, TEN, (60, 12))
    row = next(row for row in picture.texts if " one " in row)
    assert row.index(" two ") < 10 < row.index(" one ")


def test_a_chosen_series_lies_over_all_and_a_hidden_one_is_gone() -> None:
    both = [hill(), Series("x", "x", range(11), range(11), color=3, priority=5)]
    picture = Plotter().draw(both, [], TEN, (80, 20), chosen="hill")
    assert styled.SERIES in picture.styles[-5]
    picture = Plotter().draw(both, [], TEN, (80, 20), hidden=frozenset({"x"}))
    assert all(styled.SERIES + 3 not in row for row in picture.styles)
    assert "╌ x" in picture.texts[0]


def test_a_spike_is_drawn_however_many_points_there_are() -> None:
    series = Series("s", "s", range(100_000), [0.0] * 70_000 + [9.0] + [0.0] * 29_999)
    picture = Plotter().draw([series], [], View(0, 99_999), (50, 12))
    assert all(row[8 + 29].strip() for row in picture.texts[2:9])


def test_log_scale_drops_what_is_not_positive() -> None:
    series = Series("s", "s", range(11), [-5, 0, *(10.0**power for power in range(9))])
    picture = Plotter().draw([series], [], View(0, 10, log=True), (60, 24))
    names = [row[:7].strip() for row in picture.texts]
    assert [name for name in names if name][-1] == "1"
    assert "100M" in names
    assert not any(row[8:16].strip() for row in picture.texts[1:22])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 2), (29, 5), (30, 6), (200, 60)])
@pytest.mark.parametrize("log", [False, True])
def test_every_size_is_filled_exactly(size: tuple[int, int], log: bool) -> None:
    chance = random.Random(1)
    levels = [Reference("a level with a long name", 1.0), Reference("endless", math.inf)]
    for values in (
        [],
        [3.0],
        [math.nan] * 3,
        [chance.gauss(0, 1e9) for _ in range(500)],
        [1e308, -1e308],
    ):
        series = Series("s", "s", range(len(values)), values)
        view = View(0, max(1, len(values) - 1), log=log, x_kind="time")
        picture = Plotter().draw([series], levels, view, size, cursor=1.0, title="T")
        assert [len(row) for row in picture.texts] == [size[0]] * size[1]
        assert [len(row) for row in picture.styles] == [size[0]] * size[1]


def test_another_series_of_the_same_key_is_drawn_anew() -> None:
    plotter = Plotter()
    for height in (1, 5, 3, 4):
        values = [0.0, float(height), 5.0]
        kept = plotter.draw([Series("s", "s", range(3), values)], [], View(0, 2), (60, 15))
        fresh = Plotter().draw([Series("s", "s", range(3), values)], [], View(0, 2), (60, 15))
        assert kept == fresh


def test_growing_pictures_equal_new_ones() -> None:
    chance = random.Random(2)
    plotter, grown = Plotter(), Series("s", "s")
    for x in range(300):
        grown.append(x, chance.gauss(0, 1))
        fresh = Series("s", "s", grown.xs, grown.ys)
        kept = plotter.draw([grown], [], View(0, 400), (60, 15))
        assert kept == Plotter().draw([fresh], [], View(0, 400), (60, 15))
