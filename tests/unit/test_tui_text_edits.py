"""Edits of texts: positions, the enter key, comments, moved lines, findings, find and replace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.pods import ProblemFix, ProblemInfo
from spice_tui.models import authoring_words, text_edits, text_search
from spice_tui.models.text_edits import TextEdit, apply_edit, apply_edits

TEXTS = st.text(st.sampled_from("ab #:-\n é"), max_size=60)
LINES = st.lists(st.text(st.sampled_from("a #:- "), max_size=8), min_size=1, max_size=8)


@given(TEXTS, st.integers(0, 80))
def test_an_offset_and_its_position_are_the_same_place(text: str, offset: int) -> None:
    offset = min(offset, len(text))
    assert text_edits.offset_of(text, text_edits.position_at(text, offset)) == offset


@given(TEXTS, TEXTS)
def test_the_edit_between_two_texts_makes_the_second_of_the_first(old: str, new: str) -> None:
    edit = text_edits.between(old, new)
    assert (edit is None) == (old == new)
    if edit is not None:
        assert apply_edit(old, edit) == new


def test_edits_are_made_from_the_end_so_that_their_places_hold() -> None:
    edits = [TextEdit((0, 0), (0, 1), "xyz"), TextEdit((1, 0), (1, 1), "")]
    assert apply_edits("abc\ndef", edits) == "xyzbc\nef"


def after_enter(text: str) -> str:
    """The text after enter at the `|`."""
    offset = text.index("|")
    text = text[:offset] + text[offset + 1 :]
    row, column = text_edits.position_at(text, offset)
    return apply_edit(text, text_edits.new_line(text.split("\n")[row], row, column))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: a|", "name: a\n"),
        ("params:|", "params:\n  "),
        ("params:  # why|", "params:  # why\n  "),
        ("  period: 1h|", "  period: 1h\n  "),
        ("  - name: buy|", "  - name: buy\n    "),
        ("  - name:|", "  - name:\n      "),
        ("  - usd >= 0|", "  - usd >= 0\n  - "),
        ("  - |", "  "),
        ("  -|", "  "),
        ("      if x:|", "      if x:\n        "),
        ("# a comment:|", "# a comment:\n"),
        ("  a: b| c", "  a: b\n   c"),
        ('  - "a: b"|', '  - "a: b"\n    '),
        ("    url: http://x|", "    url: http://x\n    "),
        ("  - http://x|", "  - http://x\n  - "),
    ],
)
def test_enter_goes_on_as_the_line_says(before: str, after: str) -> None:
    assert after_enter(before) == after


def test_enter_below_a_blocks_head_is_one_level_deeper() -> None:
    line = "  with: |"
    assert text_edits.new_line(line, 0, len(line)).text == "\n    "
    line = "- with: >-"
    assert text_edits.new_line(line, 0, len(line)).text == "\n    "


@given(LINES)
def test_a_comment_that_is_toggled_twice_is_as_before(lines: list[str]) -> None:
    full = [line for line in lines if line.strip()]
    if all(line.lstrip().startswith("#") for line in full):
        return  # these are comments already: taking the sign away is not the same way back
    commented = text_edits.toggle_comment(lines)
    assert all(line.lstrip().startswith("#") for line in commented if line.strip())
    assert text_edits.toggle_comment(commented) == lines


@given(LINES)
def test_dedenting_takes_back_indenting(lines: list[str]) -> None:
    assert text_edits.dedent_lines(text_edits.indent_lines(lines)) == [
        line if line.strip() else text_edits.dedent_lines([line])[0] for line in lines
    ]


@given(LINES, st.data())
def test_moved_lines_come_back(lines: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(lines) - 1))
    last = data.draw(st.integers(first, len(lines) - 1))
    text = "\n".join(lines)
    down = text_edits.move_lines(lines, first, last, 1)
    if last == len(lines) - 1:
        assert down is None
        return
    assert down is not None
    moved = apply_edit(text, down)
    assert moved.split("\n")[first + 1 : last + 2] == lines[first : last + 1]
    up = text_edits.move_lines(moved.split("\n"), first + 1, last + 1, -1)
    assert up is not None
    assert apply_edit(moved, up) == text


def test_lines_are_duplicated_below_themselves() -> None:
    lines = ["a", "b", "c"]
    assert apply_edit("a\nb\nc", text_edits.duplicate_lines(lines, 0, 1)) == "a\nb\na\nb\nc"


def problem(**places: int) -> ProblemInfo:
    return ProblemInfo("code", "error", "Wrong.", "a.yaml", **places)


def test_a_finding_is_marked_from_its_start_to_its_end() -> None:
    lines = ["name: shop", "  period: soon  # why", ""]
    whole = problem(line=2, column=11, end_line=2, end_column=15)
    assert text_edits.range_of(whole, lines) == ((1, 10), (1, 14))
    assert text_edits.range_of(problem(line=2, column=11), lines) == ((1, 10), (1, 14))
    assert text_edits.range_of(problem(line=2), lines) == ((1, 2), (1, 8))
    assert text_edits.range_of(problem(), lines) is None
    assert text_edits.range_of(problem(line=9), lines) is None
    assert text_edits.range_of(problem(line=3, column=1), lines) == ((2, 0), (2, 1))


@given(LINES, *[st.integers(0, 12) for _ in range(4)])
def test_a_mark_is_never_empty_nor_backwards(
    lines: list[str], line: int, column: int, end_line: int, end_column: int
) -> None:
    one = problem(line=line, column=column, end_line=end_line, end_column=end_column)
    found = text_edits.range_of(one, lines)
    if found is not None:
        assert found[0] < found[1]
        assert found[1][0] < len(lines)


def test_a_fix_becomes_an_edit() -> None:
    fix = ProblemFix("Write 'reward'", 1, 1, 1, 6, "reward")
    one = ProblemInfo("code", "error", "Wrong.", "a.yaml", 1, 1, fix=fix)
    edit = text_edits.fix_edit(one)
    assert edit is not None
    assert apply_edit("rewrd: buy", edit) == "reward: buy"
    assert text_edits.fix_edit(problem(line=1)) is None


def test_small_letters_find_capitals_too() -> None:
    text = "Buy buy BUY"
    assert len(text_search.spans(text, text_search.pattern_of("buy"))) == 3
    assert text_search.spans(text, text_search.pattern_of("Buy")) == [(0, 3)]
    assert text_search.spans("a.c abc", text_search.pattern_of("a.c")) == [(0, 3)]
    assert len(text_search.spans("a.c abc", text_search.pattern_of("a.c", regex=True))) == 2


def test_hits_are_gone_through_in_a_ring() -> None:
    hits = [(0, 1), (4, 5), (8, 9)]
    assert text_search.nearest(hits, 5) == 2
    assert text_search.nearest(hits, 9) == 0
    assert text_search.nearest(hits, 4, backwards=True) == 0
    assert text_search.nearest(hits, 0, backwards=True) == 2
    assert text_search.nearest([], 0) is None


def test_all_hits_are_replaced_with_groups_in_regular_expressions_only() -> None:
    pattern = text_search.pattern_of(r"(\w+): buy", regex=True)
    assert text_search.replace_all("a: buy b: buy", pattern, r"\1: sell", regex=True) == (
        "a: sell b: sell",
        2,
    )
    plain = text_search.pattern_of("buy")
    assert text_search.replace_all("buy", plain, r"\1") == (r"\1", 1)
    with pytest.raises(InvalidRequest):
        text_search.replace_all("a: buy", pattern, r"\2", regex=True)
    with pytest.raises(InvalidRequest, match="regular expression"):
        text_search.pattern_of("(", regex=True)


def test_words_of_a_line_become_requests() -> None:
    found = authoring_words.dataspace_of(
        ["exchange/candles", "close", "spread:gap", "connector=file", "path=a.csv"]
    )
    assert found.measurements == {"close": "", "spread": "gap"}
    assert (found.connector, found.params) == ("file", {"path": "a.csv"})
    assert authoring_words.dataspace_of(["a/b", "local", "x"]).local
    action = authoring_words.action_of(["buy", "local.purse.buy", "reward=reward = 1"])
    assert (action.name, action.do, action.reward) == ("buy", "local.purse.buy", "reward = 1")
    for words in (["noslash"], ["/b"], []):
        with pytest.raises(InvalidRequest):
            authoring_words.dataspace_of(words)
    with pytest.raises(InvalidRequest):
        authoring_words.action_of([])
