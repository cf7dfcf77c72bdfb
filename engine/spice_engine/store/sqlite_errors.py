"""What SQLite's error codes mean to a user: which are the disk's, and what to do about them."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from spice_engine.errors import Place, StorageError

_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL = {sqlite3.SQLITE_FULL}
_DENIED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}
_DEVICE = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_ROOM_BYTES = 64 * 1024
_STORAGE = _BROKEN | _FULL | _DENIED | _DEVICE | _LOCKED


def _primary_code(error: BaseException) -> int | None:
    """The primary result code; the extended one holds it in its low byte."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def is_storage_failure(error: BaseException) -> bool:
    """Whether the disk or the file is at fault, and not the statement."""
    return isinstance(error, sqlite3.Error) and _primary_code(error) in _STORAGE


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file's content is at fault."""
    return _primary_code(error) in _BROKEN


def newest_backup(path: Path) -> Path | None:
    """The backup that a migration of the database at `path` made last, if there is one."""
    found = sorted(
        (version, backup)
        for backup in path.parent.glob(f"{path.name}.v*.bak")
        if (version := backup.name[len(path.name) + 2 : -4]).isdecimal()
    )
    return max(found, key=lambda item: int(item[0]))[1] if found else None


def broken_database(path: Path, detail: str) -> StorageError:
    """The error for a database that cannot be read any more."""
    backup = newest_backup(path)
    hint = (
        f"Stop the engine, move the file (and its -wal and -shm) away, and put the newest backup, "
        f"{backup.name}, in its place."
        if backup
        else "There is no backup beside it. Stop the engine, move the file (and its -wal and -shm) "
        "away, and start again; keep it, since `sqlite3 FILE .recover` may save much of it."
    )
    return StorageError(f"the database is damaged: {detail}.", hint=hint, place=Place(str(path)))


def _has_no_room(path: Path) -> bool:
    """Whether the disk is full; SQLite calls that an I/O error where it is about its index."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _ROOM_BYTES or (disk.f_files > 0 and disk.f_favail == 0)


def storage_failure(error: sqlite3.Error, path: Path) -> StorageError:
    """`error`, for which `is_storage_failure` holds, as one of ours. A new object at each call."""
    code = _primary_code(error)
    if code in _BROKEN:
        return broken_database(path, str(error))
    if code in _FULL or (code in _DEVICE and _has_no_room(path)):
        what, hint = "the disk is full", "Free some space and try again; nothing stored is lost."
    elif code in _DENIED:
        what = f"the database cannot be opened for writing ({error})"
        hint = "Make the file and its folder writable for this user; nothing stored is lost."
    elif code in _LOCKED:
        what = "another process holds the database locked"
        hint = "Close the other program (an open sqlite3 shell?) and try again."
    else:
        what = f"the disk answered with an error ({error})"
        hint = "Check the disk's space, quota and health; nothing stored is lost."
    return StorageError(f"cannot use the database: {what}.", hint=hint, place=Place(str(path)))
