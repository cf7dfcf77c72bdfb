"""Nice ticks of linear, logarithmic and time axes, and numbers and times as axes write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
# From which size on, what one of them is, and its sign: thousands begin at ten thousand.
_SUFFIXES = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
_DAY = 86400
_TIME_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY),
)
_NARROW = 1e-12


def nice_step(span: float, count: int) -> float:
    """The least of 1, 2, 2.5 or 5 times a power of ten that cuts `span` into `count` or fewer."""
    raw = span / max(1, count)
    if not math.isfinite(raw) or raw <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    for step in _STEPS:
        if step * power >= raw * (1 - 1e-9):
            return step * power
    return 10.0 * power


def nice_range(lo: float, hi: float, count: int) -> tuple[float, float, float]:
    """A range around [lo, hi] that begins and ends on ticks, and the step between them."""
    if hi - lo <= _NARROW * max(abs(lo), abs(hi)):
        room = abs(lo) * 0.1 or 1.0
        lo, hi = lo - room, hi + room
    step = nice_step(hi - lo, count)
    least = math.floor(lo / step + 1e-9) * step
    most = math.ceil(hi / step - 1e-9) * step
    return least, most, step


def linear_ticks(lo: float, hi: float, count: int) -> list[float]:
    """Multiples of a nice step in [lo, hi], about `count` of them."""
    return _multiples(lo, hi, nice_step(hi - lo, count))


def log_ticks(lo: float, hi: float, count: int) -> list[float]:
    """Powers of ten in [lo, hi] (lo > 0), thinned to `count`; of a short range 1, 2, 5 too."""
    first, last = math.floor(math.log10(lo)), math.ceil(math.log10(hi))
    every = max(1, math.ceil((last - first + 1) / max(1, count)))
    powers = [10.0**power for power in range(first, last + 1) if power % every == 0]
    ticks = powers if len(powers) > 3 else [m * p for p in powers for m in (1.0, 2.0, 5.0)]
    inside = [tick for tick in ticks if lo * (1 - 1e-9) <= tick <= hi * (1 + 1e-9)]
    return inside if len(inside) <= max(2, count) else inside[:: -(-len(inside) // max(2, count))]


def log_range(lo: float, hi: float) -> tuple[float, float]:
    """A range around [lo, hi] (lo > 0) that begins and ends on 1, 2 or 5 times a power of ten."""
    least, most = _log_edge(lo, up=False), _log_edge(hi, up=True)
    return least, most if most > least else _log_edge(lo * 2, up=True)


def _log_edge(value: float, *, up: bool) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    edges = [step * power for step in (1.0, 2.0, 5.0, 10.0)]
    if up:
        return next((edge for edge in edges if edge >= value * (1 - 1e-9)), edges[-1])
    return next(edge for edge in reversed(edges) if edge <= value * (1 + 1e-9))


def time_step(span: float, count: int) -> int:
    """The least usual length of time, in seconds, that cuts `span` into `count` or fewer."""
    raw = span / max(1, count)
    for step in _TIME_STEPS:
        if step >= raw:
            return step
    return math.ceil(raw / (365 * _DAY)) * 365 * _DAY


def time_ticks(lo: float, hi: float, count: int) -> list[float]:
    """Unix seconds in [lo, hi] on round times (UTC), about `count` of them."""
    return _multiples(lo, hi, float(time_step(hi - lo, count)))


def whole_ticks(lo: float, hi: float, count: int) -> list[float]:
    """As `linear_ticks`, for things that are counted: whole numbers only."""
    return _multiples(lo, hi, float(max(1, math.ceil(nice_step(hi - lo, count)))))


def _multiples(lo: float, hi: float, step: float) -> list[float]:
    first, last = math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def growing_end(lo: float, hi: float) -> float:
    """Where an axis from `lo` ends that holds `hi` and has room to grow.

    It stays the same while `hi` grows by about a quarter, so that a live picture stands still.
    """
    if hi <= lo:
        return lo + 1.0
    step = nice_step(hi - lo, 4)
    return lo + math.ceil((hi - lo) / step - 1e-9) * step


def number(value: float | None, step: float = 0.0) -> str:
    """A number in few characters; with `step` as exact as ticks so far apart need."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    for least, unit, suffix in _SUFFIXES:
        if size >= least:
            return _plain(value / unit, step / unit) + suffix
    if size < 1e-4 and value and not (step and step >= 1e-4):
        return f"{value:.2g}"
    return _plain(value, step)


def _plain(value: float, step: float) -> str:
    if step > 0:
        decimals = 0
        while decimals < 6 and abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
            decimals += 1
        text = f"{value:.{decimals}f}"
        # Rounding may leave a zero that is negative.
        return text.removeprefix("-") if not float(text) else text
    text = f"{value:.4g}"
    return text if "e" not in text else f"{value:.0f}"


def clock(seconds: float, step: float = 1.0) -> str:
    """A time (UTC) as exact as ticks so far apart need: a date, hours and minutes, or seconds."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return number(seconds)
    if step >= _DAY:
        return f"{moment:%Y-%m-%d}" if step >= 30 * _DAY else f"{moment:%b %d}"
    if step >= 60:
        return f"{moment:%b %d}" if not seconds % _DAY else f"{moment:%H:%M}"
    return f"{moment:%H:%M:%S}"


def moment(seconds: float) -> str:
    """A time (UTC) in full, to the minute, or to the second where it has any."""
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return number(seconds)
    return f"{found:%Y-%m-%d %H:%M:%S}" if found.second else f"{found:%Y-%m-%d %H:%M}"
