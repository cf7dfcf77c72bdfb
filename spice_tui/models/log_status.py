"""Where one is in a log, in words for the line below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_tui.models.log_view import LogPage


def status(page: LogPage, left: int = 0, said: str = "") -> str:
    """Line, share of the log, what is searched; `left`: cells left out, `said`: the last word."""
    where = f"{page.number:,}" if page.number else "?"
    total = f" of {page.lines_known:,}" if page.lines_known else ""
    parts = [f"line {where}{total}" if page.lines else "no lines"]
    if page.current is not None and page.size:
        parts.append(f"{100 * page.current.end // page.size}%")
    if page.filter:
        parts.append(f"only /{page.filter}/")
    if page.search:
        parts.append(f"/{page.search}")
    if left:
        parts.append(f"from column {left + 1}")
    if said:
        parts.append(said)
    return "  ".join(parts)


def badge(page: LogPage) -> str:
    """That the log is followed, or how many lines came since it was; else empty."""
    if page.new:
        return f"{symbols().down} {page.new:,} new"
    return f"{symbols().running} following" if page.following else ""
