"""Values as people write and read them: durations, sizes, times ago, run numbers."""

from __future__ import annotations

import math
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

from spice_engine.protocol.run_states import UNDER_WAY

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(_NUMBER + r"(ms|s|m|h|d)?")
_SIZE = re.compile(_NUMBER + r"([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DAY = 86400


def duration(text: str, *, bare: str = "s") -> float:
    """Seconds of `90s`, `5m`, `1.5h`, `2d`; a bare number counts in the unit `bare`.

    Raises:
        ValueError: it is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not math.isfinite(float(match[1])):
        raise ValueError(f"{text!r} is not a duration such as 90s, 5m or 2h.")
    return float(match[1]) * _SECONDS[match[2] or bare]


def minutes(text: str) -> float:
    """Seconds of a duration whose bare number counts minutes.

    Raises:
        ValueError: it is none.
    """
    return duration(text, bare="m")


def size(text: str) -> int:
    """Bytes of `512M`, `2G`, `1.5GiB` (1024-based) or a bare number of bytes.

    Raises:
        ValueError: it is none of these.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 512M or 2G.")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))


def size_text(count: int) -> str:
    """Bytes as `0B`, `1000B`, `4.9K`, `29M`: 1024-based, one decimal below ten."""
    if count < 1024:
        return f"{count}B"
    amount, unit = float(count), 0
    while amount >= 1023.5 and unit < 5:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f}{'BKMGTP'[unit]}" if amount < 9.95 else f"{amount:.0f}{'BKMGTP'[unit]}"


def elapsed(seconds: float) -> str:
    """`41 seconds`, `1 minute`, `2 hours`, `3 days`."""
    count = max(0, int(seconds))
    if count <= 60:
        return "1 second" if count == 1 else f"{count} seconds"
    for unit, length, limit in (("minute", 60, 3600), ("hour", 3600, DAY), ("day", DAY, 0)):
        if count <= limit or not limit:
            number = count // length
            return f"1 {unit}" if number == 1 else f"{number} {unit}s"
    raise AssertionError


def ago(moment: float, now: float | None = None) -> str:
    """`3 minutes ago`; a date when older than 14 days."""
    seconds = (time.time() if now is None else now) - moment
    if seconds > 14 * DAY:
        return time.strftime("%Y-%m-%d", time.localtime(moment))
    return f"{elapsed(seconds)} ago"


def clock(moment: float | None) -> str:
    """Local time as `YYYY-MM-DD HH:MM:SS`; nothing for nothing."""
    return "" if moment is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def moment(text: str) -> int:
    """Unix seconds of a number, or of `YYYY-MM-DD[ HH:MM[:SS]]`, local time unless it ends in Z.

    Raises:
        ValueError: it is none of these.
    """
    if re.fullmatch(r"-?\d{1,12}", text.strip()):
        return int(text)
    from datetime import datetime

    try:
        return int(datetime.fromisoformat(text.strip()).timestamp())
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time; give Unix seconds or YYYY-MM-DD HH:MM:SS."
        ) from None


def number(value: Any, digits: int = 4) -> str:
    """A figure to read: at most `digits` significant digits, `-` for nothing."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def run_number(text: str) -> int:
    """The run that `12` or `runs/12` names.

    Raises:
        ValueError: it names none.
    """
    digits = text.strip().removeprefix("runs/")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 18 or int(digits) == 0:
        raise ValueError(f"{text!r} is not the number of a run, such as 12 or runs/12.")
    return int(digits)


def command_text(command: Sequence[str]) -> str:
    """A run's command as one types it."""
    match list(command):
        case ["sh" | "/bin/sh" | "bash" | "/bin/bash", "-c" | "-lc", line]:
            return line
        case [line]:
            return line
        case parts:
            return shlex.join(parts)


def status_text(run: Mapping[str, Any]) -> str:
    """`*Running`, `Queued`, `Complete (0)`, `Failed (3)`: the exit code when it is known."""
    state = str(run.get("state", ""))
    text = state.replace("_", " ").title()
    if run.get("exit_code") is not None:
        text += f" ({run['exit_code']})"
    return f"*{text}" if state in UNDER_WAY - {"queued"} else text


def status_color(run: Mapping[str, Any]) -> str:
    """Green: under way; red: ended badly; yellow: waits, or ended by a person; none otherwise."""
    state = str(run.get("state", ""))
    if state in UNDER_WAY - {"queued"}:
        return "green"
    if state in {"queued", "stopped", "killed"}:
        return "yellow"
    return "" if state == "complete" and not run.get("exit_code") else "red"


def run_exit_code(run: Mapping[str, Any]) -> int:
    """The code a command that followed this run ends with."""
    code = run.get("exit_code")
    # A command that ended well while it was killed has left nothing all the same.
    if isinstance(code, int) and (code or run.get("state") != "killed"):
        return 128 - code if -128 < code < 0 else code & 0xFF
    return {"complete": 0, "stopped": 143, "killed": 137}.get(str(run.get("state")), 1)


def counted(count: int, one: str, more: str = "") -> str:
    """So many of something: `1 run`, `2 runs`; `more` is a plural that takes no s."""
    return f"{count} {one if count == 1 else more or one + 's'}"
