"""Sizes, dates and lines of `ls` as the original printed them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from spice_tui.cli import output

YEAR = 364 * 86400


def size(count: int) -> str:
    """`0B`, `1000B`, `4.9K`, `29M`: 1024-based, one decimal below 10."""
    if count < 1024:
        return f"{count}B"
    value = float(count)
    for unit in "KMGT":
        value /= 1024
        if value < 9.95:
            return f"{value:.1f}{unit}"
        if value < 1023.5:
            return f"{value:.0f}{unit}"
    return f"{value / 1024:.1f}P"


def date(moment: float, now: float | None = None) -> str:
    """`Mar 04 17:05` in local time; `Mar 04 2024` when more than 364 days away."""
    at = time.localtime(moment)
    away = abs((time.time() if now is None else now) - moment)
    return time.strftime("%b %d %Y" if away > YEAR else "%b %d %H:%M", at)


def arrow() -> str:
    """The sign between a link and what it leads to."""
    return "→" if output.has_unicode() else "->"


def line(entry: Mapping[str, Any], *, human: bool) -> str:
    """`SIZE DATE NAME` with what is known besides; folders end in a slash."""
    name = str(entry["path"]).rpartition("/")[2]
    if entry["kind"] == "folder":
        shown, when, name = "-", "-", f"{name}/"
    else:
        count, moment = entry.get("size"), entry.get("modified")
        shown = "-" if count is None else size(count) if human else str(count)
        when = "-" if moment is None else date(moment)
    text = f"{shown:<8} {when:<14} {output.safe(name)}"
    if entry.get("link_target"):
        return f"{text} {arrow()} {output.safe(entry['link_target'])}"
    return f"{text} ({output.safe(entry['info'])})" if entry.get("info") else text
