"""Whether somebody's command still works in a terminal that a notebook server keeps. Blocks."""

from __future__ import annotations

import os
from contextlib import suppress

from spice_engine.workers.descendants import descendants


def has_jobs(pid: int) -> bool:
    """Whether a process below this one works in a terminal and is not the terminal's own shell,
    which leads its session. What it prints, or that it prints nothing, does not matter."""
    import psutil  # not before it is asked: the engine's start would wait for it

    for one in descendants(pid):
        with suppress(psutil.Error, OSError):
            if psutil.Process(one).terminal() and os.getsid(one) != one:
                return True
    return False
