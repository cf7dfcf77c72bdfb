"""Texts folded to a width: what belongs to a name stays beside it."""

from __future__ import annotations

from spice_tui.models.cells import width_of
from spice_tui.models.folding import folded


def test_a_value_goes_on_below_itself() -> None:
    text = "command     python train.py --rate 0.1 --width 64\nstate       complete"
    assert folded(text, 30) == [
        "command     python train.py",
        "            --rate 0.1 --width",
        "            64",
        "state       complete",
    ]


def test_what_has_no_blanks_is_broken_where_the_line_ends() -> None:
    assert folded("path  " + "x" * 20, 18) == ["path  " + "x" * 12, "      " + "x" * 8]
    assert "".join(folded("y" * 25, 10)) == "y" * 25


def test_a_column_too_narrow_for_values_lets_them_go_on_at_its_edge() -> None:
    assert folded("parameters  rate = 0.1", 15) == ["parameters", "rate = 0.1"]


def test_wide_letters_take_two_cells_and_signs_of_control_are_shown() -> None:
    lines = folded("note  " + "日本語" * 8, 20)
    assert all(width_of(line) <= 20 for line in lines)
    assert "".join(line.strip() for line in lines).endswith("日本語")
    assert folded("a\x1b[31mb", 40) == ["a\\x1b[31mb"]


def test_lines_are_kept_as_they_are_where_they_fit() -> None:
    assert folded("a\n\n  indented\n", 20) == ["a", "", "  indented"]
