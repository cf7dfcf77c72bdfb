"""The frame of the HTML pages, and a curve as inline SVG. No script, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

MOST_POINTS = 240
WIDTH, HEIGHT, MARGIN = 280.0, 90.0, 4.0

STYLE = """
:root{color-scheme:light dark;--line:#0a7d5a;--faint:#8886}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:68rem;padding:1.5rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem;border-bottom:1px solid var(--faint)}
h3{font-size:1rem;margin:.2rem 0}code,pre,.path{font-family:ui-monospace,monospace;font-size:.9em}
pre{overflow-x:auto;padding:.6rem;border:1px solid var(--faint);border-radius:4px}
.cards{display:flex;flex-wrap:wrap;gap:1rem}.cards p{margin:.2rem 0}
article{border:1px solid var(--faint);border-radius:6px;padding:.7rem 1rem;min-width:17rem}
svg polyline{fill:none;stroke:var(--line);stroke-width:1.5}
details{border:1px solid var(--faint);border-radius:4px;margin:.4rem 0;padding:.3rem .7rem}
summary{cursor:pointer}summary b{display:inline-block;min-width:4.5rem}
table{border-collapse:collapse;margin:.4rem 0}td,th{text-align:left;padding:.15rem .8rem .15rem 0;
vertical-align:top}th{font-weight:600}footer,small,.state{opacity:.75}nav a{margin-right:.8rem}
"""


def page(title: str, body: str) -> str:
    """A whole page; `title` is text, `body` is HTML."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
        f'content="width=device-width"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<body>{body}</body></html>"
    )


def prose(text: object) -> str:
    """Text of ours as HTML: what stands between backquotes is code."""
    parts = escape(str(text)).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(f"<code>{part}</code>" if k % 2 else part for k, part in enumerate(parts))


def curve(values: Sequence[float], label: str) -> str:
    """The values as a line, from left to right; empty text where there is nothing to draw.

    Values that are no finite number are gaps; long series are thinned to their extremes.
    """
    points = [(index, value) for index, value in enumerate(values) if math.isfinite(value)]
    if not points:
        return ""
    if len(points) > MOST_POINTS:
        points = _thin(points)
    low = min(value for _, value in points)
    high = max(value for _, value in points)
    last = max(len(values) - 1, 1)
    # Halved before they are subtracted: the span of two huge values must not overflow.
    span = high / 2 - low / 2
    drawn = " ".join(
        f"{MARGIN + (WIDTH - 2 * MARGIN) * index / last:.1f},"
        f"{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * _share(value, low, span):.1f}"
        for index, value in points
    )
    if len(points) == 1:
        drawn = f"{drawn} {WIDTH - MARGIN:.1f},{drawn.partition(',')[2]}"
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" width={WIDTH:.0f} height={HEIGHT:.0f} '
        f'role=img aria-label="{escape(label)}"><title>{escape(label)}</title>'
        f'<polyline points="{drawn}"/></svg>'
    )


def _share(value: float, low: float, span: float) -> float:
    return (value / 2 - low / 2) / span if span else 0.5


def _thin(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """The lowest and the highest point of each stretch, so that no spike is lost."""
    step = math.ceil(len(points) / (MOST_POINTS / 2))
    kept: list[tuple[int, float]] = []
    for start in range(0, len(points), step):
        stretch = points[start : start + step]
        ends = {min(stretch, key=_height), max(stretch, key=_height)}
        kept.extend(sorted(ends))
    return kept


def _height(point: tuple[int, float]) -> float:
    return point[1]
