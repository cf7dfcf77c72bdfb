"""Merging two changed texts with the one they came from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spice_tui.models.merge import difference, merge

TEXTS = st.lists(st.sampled_from("abc"), max_size=8).map("\n".join)


def test_changes_in_different_places_are_both_kept() -> None:
    base = "a\nb\nc\nd\ne"
    merged = merge(base, "a\nB\nc\nd\ne", "a\nb\nc\nd\nE\nf")
    assert merged.text == "a\nB\nc\nd\nE\nf"
    assert merged.conflicts == 0


def test_a_line_added_here_and_one_removed_there() -> None:
    merged = merge("a\nb\nc\nd", "new\na\nb\nc\nd", "a\nb\nd")
    assert (merged.text, merged.conflicts) == ("new\na\nb\nd", 0)


def test_one_place_changed_in_two_ways_is_marked() -> None:
    merged = merge("a\nb\nc", "a\nmine\nc", "a\ntheirs\nc")
    assert merged.conflicts == 1
    assert merged.text.split("\n") == [
        "a",
        "<<<<<<< mine",
        "mine",
        "=======",
        "theirs",
        ">>>>>>> on disk",
        "c",
    ]


@given(TEXTS, TEXTS)
def test_a_side_that_did_not_change_gives_way(base: str, other: str) -> None:
    assert merge(base, base, other).text == other
    assert merge(base, other, base).text == other
    assert merge(base, other, other).text == other


@given(TEXTS, TEXTS, TEXTS)
def test_nothing_that_only_one_side_has_is_lost(base: str, mine: str, theirs: str) -> None:
    merged = merge(base, mine, theirs)
    lines = merged.text.split("\n")
    for text, other in ((mine, theirs), (theirs, mine)):
        added = [line for line in text.split("\n") if line not in f"{base}\n{other}".split("\n")]
        assert all(line in lines for line in added)
    other_way = merge(base, theirs, mine)
    assert merged.conflicts == other_way.conflicts


def test_the_difference_names_both_sides() -> None:
    assert difference("a\nb", "a\nc") == [
        "--- on disk",
        "+++ in the editor",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]
    assert difference("a", "a") == []
