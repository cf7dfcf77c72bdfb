"""A replica that is started ahead: all of ours is loaded, and it waits to be told what it hosts.

`<python> -s replica.py --ahead <folder>/replica.json`. Beside that file lies a FIFO. The engine
writes the file, then a byte into the FIFO, and removes it; until then the process sleeps in one
system call. `variables` in the file are set before the predictor is imported.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

DOOR = "ahead"
"""The FIFO's name, in the folder of the replica."""


def make_door(folder: Path) -> None:
    """Makes the FIFO.

    Raises:
        OSError: the file system has none.
    """
    os.mkfifo(folder / DOOR, 0o600)


def waits(folder: Path) -> bool:
    """Whether the replica of that folder was started ahead, and was not told yet."""
    return (folder / DOOR).exists()


def tell(folder: Path) -> None:
    """Lets the process go on, now that its `replica.json` is written. Once more is no error."""
    door = folder / DOOR
    try:
        fifo = os.open(door, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fifo, b"\n")
        finally:
            os.close(fifo)
    except OSError as error:
        # It has not opened it yet, and will find the file; or it is gone.
        if error.errno not in (errno.ENXIO, errno.ENOENT, errno.EPIPE):
            raise
    door.unlink(missing_ok=True)


def wait_told(note: Path) -> None:
    """Returns once `replica.json` is there.

    Raises:
        OSError: the FIFO cannot be read.
    """
    gc.collect()
    door = note.parent / DOOR
    try:
        # For writing, too: so that opening does not wait, nor reading end, without a writer.
        fifo = os.open(door, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        if not note.exists():
            os.read(fifo, 1)
    finally:
        os.close(fifo)
        with suppress(FileNotFoundError):
            door.unlink()


def prepare(note: Path) -> None:
    """Makes this process what it would be, had it been started with the file.

    Raises:
        OSError, ValueError, TypeError: the file is not usable.
    """
    variables: Any = json.loads(note.read_bytes()).get("variables") or {}
    os.environ.update(variables)
    # Folders of modules may have changed since they were looked at.
    importlib.invalidate_caches()
