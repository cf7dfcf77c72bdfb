"""Merging two changed texts with the one they were made from, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher, unified_diff

from spice_engine.records import record

MINE, BETWEEN, THEIRS = "<<<<<<< mine", "=======", ">>>>>>> on disk"


@record
class Merged:
    """The text, and how many places both sides changed in different ways; those are marked."""

    text: str
    conflicts: int = 0


def merge(base: str, mine: str, theirs: str) -> Merged:
    """`mine` and `theirs`, both made from `base`, as one text (diff3 of lines)."""
    if theirs in (mine, base):
        return Merged(mine)
    if mine == base:
        return Merged(theirs)
    lines: list[str] = []
    conflicts = 0
    for old, left, right in _chunks(base.split("\n"), mine.split("\n"), theirs.split("\n")):
        if left in (right, old):
            lines += right
        elif right == old:
            lines += left
        else:
            conflicts += 1
            lines += [MINE, *left, BETWEEN, *right, THEIRS]
    return Merged("\n".join(lines), conflicts)


def _chunks(
    base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]
) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """The three texts in pieces: those that all have, and those between them."""
    to_mine, to_theirs = _matches(base, mine), _matches(base, theirs)
    at = (0, 0, 0)
    row = 0
    while row < len(base):
        if row not in to_mine or row not in to_theirs:
            row += 1
            continue
        here = (row, to_mine[row], to_theirs[row])
        if here != at:
            yield _part(base, mine, theirs, at, here)
        line = [base[row]]
        yield line, line, line
        at = (here[0] + 1, here[1] + 1, here[2] + 1)
        row += 1
    end = (len(base), len(mine), len(theirs))
    if at != end:
        yield _part(base, mine, theirs, at, end)


def _part(
    base: Sequence[str],
    mine: Sequence[str],
    theirs: Sequence[str],
    start: tuple[int, int, int],
    end: tuple[int, int, int],
) -> tuple[list[str], list[str], list[str]]:
    return (
        list(base[start[0] : end[0]]),
        list(mine[start[1] : end[1]]),
        list(theirs[start[2] : end[2]]),
    )


def _matches(base: Sequence[str], other: Sequence[str]) -> dict[int, int]:
    """Rows of `base` to the rows of `other` that are the same line."""
    matcher = SequenceMatcher(None, base, other, autojunk=False)
    return {
        block.a + i: block.b + i
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    }


def difference(theirs: str, mine: str) -> list[str]:
    """What makes `mine` of `theirs`, as lines of a unified diff; empty when they are the same."""
    return list(
        unified_diff(
            theirs.split("\n"), mine.split("\n"), "on disk", "in the editor", lineterm="", n=2
        )
    )
