"""The terminal as it was, whatever ends the process: the last net under the driver."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import termios
from typing import Any

RESETS = (
    "\x1b[?2026l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"
    "\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[0m\x1b[<u\x1b[?7h\x1b[?1049l\x1b[?25h"
)
"""Ends every mode that the program may have begun."""

_armed: tuple[int, list[Any] | None] | None = None


def arm(fd: int) -> None:
    """From now on the terminal behind `fd` has to be restored."""
    global _armed
    attributes: list[Any] | None = None
    with contextlib.suppress(termios.error):
        attributes = termios.tcgetattr(fd)
    _armed = (fd, attributes)


def disarm() -> None:
    """The driver did it."""
    global _armed
    _armed = None


@atexit.register
def now() -> None:
    """Restore the terminal, if that is still to be done."""
    global _armed
    if _armed is None:
        return
    (fd, attributes), _armed = _armed, None
    # A reader that stopped reading must not hold the process: nothing here waits.
    with contextlib.suppress(termios.error):
        termios.tcflush(fd, termios.TCOFLUSH)
    with contextlib.suppress(OSError):
        if select.select([], [fd], [], 0)[1]:
            os.write(fd, RESETS.encode())
    if attributes is not None:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
