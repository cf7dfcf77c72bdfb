"""The folder of a run whose command is tried again: one log of all attempts, the rest apart.

`logs.txt` goes on from attempt to attempt. All else of attempt K moves to `attempts/K` before the
next one begins; what the failed attempts left is put beside the last one's outputs at the end, as
`attempt-K`. Everything here blocks, and can be done again after a crash at any point.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from spice_engine.runs.logs import LOG_NAME
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.store.disk import storage_error
from spice_engine.store.removal import remove

ATTEMPTS = "attempts"
_KEPT = frozenset({LOG_NAME, f"{LOG_NAME}.idx", ATTEMPTS})


def make_room(folder: Path, attempt: int, tries: int) -> None:
    """Make a run's folder ready for a job, for `attempt` of `tries`.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    try:
        if attempt > 1:
            _turn(folder, attempt, tries)
            clear(folder, attempt)
        elif folder.exists():
            # What is there is of a database that is gone.
            folder.rename(folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.old"))
    except OSError as error:
        raise storage_error(error, "make room for a run", folder) from error


def turn(folder: Path, attempt: int, tries: int) -> None:
    """Put the attempt before `attempt` aside, if that is not done.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    try:
        _turn(folder, attempt, tries)
    except OSError as error:
        raise storage_error(error, "make room for a run", folder) from error


def _turn(folder: Path, attempt: int, tries: int) -> None:
    past = folder / ATTEMPTS / str(attempt - 1)
    if attempt == 1 or past.exists():
        return
    beside = past.with_name(f"{past.name}.part")
    beside.mkdir(parents=True, exist_ok=True)
    for entry in list(folder.iterdir()):
        if entry.name not in _KEPT:
            entry.rename(beside / entry.name)
    with (folder / LOG_NAME).open("ab") as log:
        log.write(f"[attempt {attempt} of {tries}]\n".encode())
    beside.rename(past)


def clear(folder: Path, attempt: int) -> None:
    """Remove a job that never began."""
    if attempt == 1:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for entry in list(folder.iterdir()):
        if entry.name not in _KEPT:
            remove(entry)


def gather(folder: Path, attempt: int, tries: int) -> None:
    """Put what the attempts before `attempt` left beside its outputs.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    try:
        _turn(folder, attempt, tries)
        for left in sorted((folder / ATTEMPTS).glob(f"*/{OUTPUTS}")):
            place = folder / OUTPUTS / f"attempt-{left.parent.name}"
            place.parent.mkdir(exist_ok=True)
            if not place.exists():
                left.rename(place)
    except OSError as error:
        raise storage_error(error, "save a run's outputs", folder) from error
