"""A report of a defect, for the state directory: what happened, without anybody's secrets.

No values of local variables; and whatever looks like a token, a password or the value of such an
environment variable is replaced, since messages of exceptions may quote them.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from spice_engine.protocol.location import state_home

HIDDEN = "***"
_KEPT = 10
"""Reports kept; the oldest go."""

_TELLING = ("TERM", "COLORTERM", "TERM_PROGRAM", "LANG", "LC_ALL", "NO_COLOR", "TMUX", "STY")
_SECRET_NAMES = "token|secret|passw(?:or)?d|api[_-]?key|access[_-]?key|private[_-]?key|credential"
_SECRET_NAME = re.compile(_SECRET_NAMES + "|auth|cookie|_key$|dsn|_url$", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"""((?:{_SECRET_NAMES}|authorization|cookie)\w*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;)}}]+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]+", re.IGNORECASE)
_IN_URL = re.compile(r"(\w://)[^/\s@]+@")
_LONG = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[a-zA-Z])[A-Za-z0-9_-]{32,}\b")


def scrub(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """`text` without what looks like a secret, and with `~` for the home directory."""
    for name, value in environ.items():
        if len(value) >= 6 and _SECRET_NAME.search(name):
            text = text.replace(value, HIDDEN)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    text = _IN_URL.sub(rf"\1{HIDDEN}@", text)
    text = _LONG.sub(HIDDEN, text)
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def describe(error: BaseException) -> str:
    """The report's text."""
    from importlib.metadata import version  # it takes longer to import than all the rest here

    told = ", ".join(f"{name}={os.environ[name]}" for name in _TELLING if name in os.environ)
    trace = "".join(traceback.TracebackException.from_exception(error).format())
    now = datetime.now(UTC)
    head = (
        f"spice-tui {version('spice-tui')}, textual {version('textual')}, "
        f"Python {platform.python_version()}, {platform.platform()}\n"
        f"{now:%Y-%m-%d %H:%M:%S} UTC\n"
        f"terminal: {told or 'nothing is set'}\n"
    )
    return f"{head}\n{scrub(trace)}"


def write_report(error: BaseException) -> str:
    """Write a report; gives the line for the user: where it is, or all of it if it has no place."""
    text = describe(error)
    folder = state_home() / "crashes"
    name = f"crash-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(folder.glob("crash-*.txt"))[: 1 - _KEPT]:
            old.unlink(missing_ok=True)
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as reason:
        return f"{text}\n(This report could not be written: {reason}.)"
    program = Path(sys.argv[0]).name or "spice-tui"
    return f"{program}: a defect stopped the screen; a report without secrets is in {folder / name}"
