"""Times as people read them: UTC for moments in data, relative for what just happened."""

from __future__ import annotations

from datetime import UTC, datetime

STEPS = ((60.0, 1.0, "s"), (3600.0, 60.0, "min"), (86400.0, 3600.0, "h"))


def moment(seconds: float) -> str:
    """Unix seconds as `2026-01-02 03:04:05` in UTC; a time no calendar has as it is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g}"


def ago(seconds: float, now: float) -> str:
    """How long ago that was."""
    passed = max(0.0, now - seconds)
    for limit, unit, name in STEPS:
        if passed < limit:
            return f"{passed / unit:.0f} {name} ago"
    return f"{passed / 86400:.0f} d ago"
