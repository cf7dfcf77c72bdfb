"""Why a replica's process ended, in words, with what it said last."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from spice_engine.protocol.servers import Limits
from spice_engine.workers.jobs import Exit
from spice_runtime import process

_TAIL_BYTES = 8192
_TAIL_LINES = 6


def why(exit_: Exit, folder: Path, limits: Limits) -> str:
    """One sentence, and the last lines of the log where they may tell more. Reads a few KiB."""
    limit = limits.memory_limit
    if exit_.reason == "out of memory" or exit_.oom_kills:
        of = f" of {limit / 2**20:.0f} MiB" if limit else ""
        return f"out of memory: it used more than its limit{of} and was ended by the kernel"
    if exit_.reason == "not started":
        return exit_.message
    words = last_words(folder)
    if exit_.signal == signal.SIGKILL:
        return "it was ended by SIGKILL: from outside, or because the machine ran out of memory"
    if exit_.signal is not None:
        return f"it was ended by {_name(exit_.signal)}{words}"
    if limit and "MemoryError" in words:
        return f"out of memory: its limit is {limit / 2**20:.0f} MiB{words}"
    return f"it ended with exit code {exit_.exit_code}{words}"


def last_words(folder: Path) -> str:
    """The last lines of a replica's log, to be put behind a sentence; or empty."""
    try:
        with (folder / process.LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
    return "; its last words:\n" + "\n".join(lines) if lines else ""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
