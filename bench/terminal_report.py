"""Writes what `terminal.py` measured: JSON, and a page with bars and peers beside."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

BARS: tuple[tuple[str, str, tuple[str, ...], float, float, str], ...] = (
    # what, unit, path in the figures, bar, factor, format
    (
        "first usable screen, engine running",
        "s",
        ("start", "engine running", "usable_s"),
        0.5,
        1,
        ".2f",
    ),
    (
        "first usable screen, engine not running",
        "s",
        ("start", "engine not running", "usable_s"),
        0.8,
        1,
        ".2f",
    ),
    (
        "of that the engine, when it starts alone",
        "s",
        ("start", "engine alone", "usable_s"),
        math.inf,
        1,
        ".2f",
    ),
    (
        "key → first byte, p50, a pod trains and a 1 kHz log follows",
        "ms",
        ("busy", "first_p50_ms"),
        15,
        1,
        ".1f",
    ),
    ("the same, p95", "ms", ("busy", "first_p95_ms"), 40, 1, ".1f"),
    ("key → its effect on the screen, the same, p50", "ms", ("busy", "seen_p50_ms"), 15, 1, ".1f"),
    ("the same, p95", "ms", ("busy", "seen_p95_ms"), 40, 1, ".1f"),
    ("idle: bytes", "B/s", ("idle", "bytes_s"), 0, 1, ".1f"),
    ("idle: CPU", "%", ("idle", "cpu_pct"), 0.5, 1, ".2f"),
    ("live dashboard, SSH, 2 Hz", "KB/s", ("dashboard", "SSH, 2 Hz", "bytes_s"), 8, 1e-3, ".2f"),
    (
        "live dashboard, SSH, 2 Hz, under `ssh -C`",
        "KB/s",
        ("dashboard", "SSH, 2 Hz", "packed_s"),
        1,
        1e-3,
        ".2f",
    ),
    (
        "live dashboard, local, 4 Hz",
        "KB/s",
        ("dashboard", "local, 4 Hz", "bytes_s"),
        16,
        1e-3,
        ".2f",
    ),
    (
        "chart of 10,000 points, one more, CPU a frame",
        "ms",
        ("chart", "app, one point more"),
        3,
        1,
        ".2f",
    ),
    (
        "chart of 10,000 points, all new, CPU a frame",
        "ms",
        ("chart", "app, all points new"),
        3,
        1,
        ".2f",
    ),
    ("save → first point of the new curve", "s", ("save", "first_point_s"), 0.4, 1, ".2f"),
    ("log of 1 M lines (100 MB): open to paint", "s", ("log", "open_s"), 0.6, 1, ".2f"),
    ("the same: regex search to first hit", "s", ("log", "search_s"), 0.5, 1, ".2f"),
    ("the same: memory (PSS)", "MiB", ("log", "pss_mib"), 90, 1, ".0f"),
    ("memory of the screen (RSS)", "MiB", ("idle", "rss_mib"), 90, 1, ".0f"),
    ("memory of the screen (PSS)", "MiB", ("idle", "pss_mib"), 90, 1, ".0f"),
)

COMPARED = (
    ("first usable screen, s", "usable_s", ".2f"),
    ("key → first byte, p50, ms", "first_p50_ms", ".1f"),
    ("key → first byte, p95, ms", "first_p95_ms", ".1f"),
    ("idle, B/s", "bytes_s", ".0f"),
    ("idle, CPU %", "cpu_pct", ".2f"),
    ("RSS, MiB", "rss_mib", ".0f"),
    ("PSS, MiB", "pss_mib", ".0f"),
    ("quit, s", "quit_s", ".2f"),
)


def write(folder: Path, figures: Figures) -> None:
    """`terminal.json` and `terminal.md` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "terminal.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / "terminal.md").write_text(page(figures))


def page(figures: Figures) -> str:
    """The page."""
    lines = [
        "# The terminal app, measured",
        "",
        "<!-- Made by `python bench/terminal.py --peers DIR --out docs/benchmarks`. -->",
        "",
        "The program runs in a pseudo-terminal that answers as a plain modern one. Screens are",
        "built from its bytes afterwards, so that the emulator costs the figures nothing. Times",
        "are from the start of the process, or from the key, to the byte after which the screen",
        "shows what is waited for; medians unless said otherwise.",
        "",
        "; ".join(f"{name}: {told(value)}" for name, value in figures["conditions"].items()) + ".",
        "",
        "| | measured | bar | |",
        "|---|---|---|---|",
    ]
    for what, unit, path, bar, factor, form in BARS:
        value = at(figures, path)
        if value is not None:
            found = value * factor
            if bar == math.inf:  # for comparison only
                lines.append(f"| {what} | {found:{form}} {unit} | | |")
                continue
            kept = "kept" if float(format(found, form)) <= bar else "**missed**"
            lines.append(f"| {what} | {found:{form}} {unit} | ≤ {bar:g} {unit} | {kept} |")
    return "\n".join([*lines, "", *compared(figures)]).rstrip() + "\n"


def compared(figures: Figures) -> list[str]:
    """Peers beside ours; in brackets how many times ours."""
    others = figures.get("peers") or {}
    if not others or "idle" not in figures:
        return []
    mine = {**at(figures, ("start", "engine running")), **figures["idle"]}
    lines = [
        "## Beside others, in the same run",
        "",
        "Nothing is done in the programs; htop and btop show a machine that is measured, so that",
        "they always have something new. In brackets: how many times ours.",
        "",
        f"| | spice-tui | {' | '.join(others)} |",
        "|---|" + "---|" * (len(others) + 1),
    ]
    for what, key, form in COMPARED:
        own = mine.get(key)
        cells = [number(own, form)]
        for found in others.values():
            value = found.get(key)
            ratio = f" ({value / own:.1f}x)" if value is not None and own else ""
            cells.append(number(value, form) + ratio)
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return lines


def number(value: float | None, form: str) -> str:
    """A number, or that there is none."""
    return "-" if value is None else format(value, form)


def told(value: object) -> str:
    """A condition in words."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def at(figures: Figures, path: tuple[str, ...]) -> Any:
    """What is found there, None for nothing."""
    found: Any = figures
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
