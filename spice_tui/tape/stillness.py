"""Makes everything around a tape the same each time: environment, time zone, clock."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping

from spice_tui.models import clock

_CLEARED = ("NO_COLOR", "COLORTERM", "COLUMNS", "LINES", "TMUX", "STY", "LC_ALL", "LANG")
_CLEARED_STARTS = ("TEXTUAL", "SSH_", "LC_", "SPICE_")
_SET = {
    "TZ": "UTC",
    "TERM": "xterm-256color",
    "LANG": "C.UTF-8",
    "TEXTUAL_ANIMATIONS": "none",
    "EDITOR": "",
}


@contextlib.contextmanager
def still(*, moment: float | None = None, extra: Mapping[str, str] | None = None) -> Iterator[None]:
    """While this lasts the surroundings are the same; all is put back at the end."""
    before = dict(os.environ)
    was_frozen = clock.now() if clock.is_frozen() else None
    for name in before:
        if name in _CLEARED or name.startswith(_CLEARED_STARTS):
            del os.environ[name]
    os.environ.update(_SET)
    os.environ.update(extra or {})
    time.tzset()
    clock.freeze(moment)
    try:
        yield
    finally:
        clock.freeze(was_frozen)
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
        time.tzset()
