"""The titles of a pane's pages in the room that its frame has."""

from __future__ import annotations

from collections.abc import Sequence

from spice_tui.theme.symbols import symbols


def page_titles(titles: Sequence[str], top: int, room: int) -> str:
    """All titles, the one on top marked; of more than fit, those about it, as far left as can be.

    A sign stands where some are left out.
    """
    signs = symbols()
    shown = [f"{signs.mark}{title}" if i == top else title for i, title in enumerate(titles)]
    first, last = 0, len(shown)
    while len(text := _joined(shown, first, last)) > room and last - first > 1:
        # The one on top keeps its neighbour at the right, so that turning on is no surprise.
        if last - 1 > min(top + 1, len(shown) - 1) or first >= top:
            last -= 1
        else:
            first += 1
    while last < len(shown) and len(more := _joined(shown, first, last + 1)) <= room:
        text, last = more, last + 1
    return text


def _joined(titles: Sequence[str], first: int, last: int) -> str:
    dots = symbols().ellipsis
    before = [dots] if first else []
    after = [dots] if last < len(titles) else []
    return " ".join([*before, *titles[first:last], *after])
