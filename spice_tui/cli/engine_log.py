"""Read the engine's own log file: its last lines, and what is added."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import BinaryIO

from spice_engine.errors import NotFound, StorageError
from spice_tui.cli import output

BLOCK = 64 * 1024
PAUSE = 0.2


def show(path: Path, lines: int, *, follow: bool) -> None:
    """Print the last `lines` lines (0: all), then with `follow` what is added until Control-C.

    Raises:
        NotFound: there is no log yet.
        StorageError: it cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(
            f"there is no log at {path}.", hint="No engine has run on this folder yet."
        ) from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    with contextlib.ExitStack() as opened:
        opened.enter_context(file)
        file.seek(start_of_last(file, lines) if lines else 0)
        _copy(file)
        while follow:
            time.sleep(PAUSE)
            newer = _replacement(path, file)
            _copy(file)  # also what was written just before the log was put aside
            if newer is not None:
                file = opened.enter_context(newer)


def start_of_last(file: BinaryIO, lines: int) -> int:
    """The offset at which the last `lines` lines begin."""
    end = position = file.seek(0, 2)
    wanted = lines
    while position > 0:
        size = min(BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        if position + size == end and block.endswith(b"\n"):
            wanted += 1  # the newline at the very end begins no line
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            wanted -= 1
            if wanted == 0:
                return position + at + 1
    return 0


def _copy(file: BinaryIO) -> None:
    while block := file.read(BLOCK):
        output.write(block.decode("utf-8", "backslashreplace"))
    output.flush()


def _replacement(path: Path, file: BinaryIO) -> BinaryIO | None:
    """The log anew, when `file` was put aside or cut."""
    try:
        state, mine = path.stat(), os.fstat(file.fileno())
        if (state.st_dev, state.st_ino) != (mine.st_dev, mine.st_ino):
            return path.open("rb")
        if state.st_size < file.tell():
            file.seek(0)
    except FileNotFoundError:
        pass  # between the old and the new file
    return None
