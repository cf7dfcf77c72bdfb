"""Remembers a file's content hash by its size, times and inode, so that it need not be read again.

Only a cache: a damaged one is thrown away. Blocking; safe from several threads and processes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from spice_engine.store.sqlite_errors import is_damage

Identity = tuple[int, int, int, int, int]
Known = tuple[Identity, str]
"""A file as it was when it was hashed, and its hash."""

RACY_NANOSECONDS = 2 * 10**9
"""A file changed this recently may change again within one tick of its clock: not remembered."""


class StatCache:
    """One small SQLite file. Entries are dropped with their folder's next snapshot."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file.

        Raises:
            sqlite3.Error: the disk is full, or the file cannot be written.
        """
        self._path = path
        self._lock = threading.Lock()  # one connection, one transaction at a time
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            for name in (path.name, f"{path.name}-journal"):
                path.with_name(name).unlink(missing_ok=True)
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA busy_timeout=2000")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER,"
                " mtime INTEGER, ctime INTEGER, inode INTEGER, device INTEGER, hash TEXT)"
                " WITHOUT ROWID"
            )
            connection.execute("SELECT hash FROM files LIMIT 1").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def get(self, path: Path, stat: os.stat_result) -> str | None:
        """The hash of the file that `stat` was taken of, if it was the same at its last hashing."""
        known = self._read("WHERE path = ?", (key_of(str(path)),)).get(key_of(str(path)))
        return known[1] if known is not None and known[0] == identity_of(stat) else None

    def below(self, folder: Path) -> dict[str, Known]:
        """All that is remembered of what lies below a folder."""
        return self._read("WHERE path >= ? AND path < ?", _below(folder))

    def _read(self, where: str, values: tuple[str, ...]) -> dict[str, Known]:
        try:
            with self._lock:
                rows = self._connection.execute(
                    f"SELECT path, size, mtime, ctime, inode, device, hash FROM files {where}",
                    values,
                ).fetchall()
        except sqlite3.Error:
            return {}  # a cache that cannot be read costs time, never an answer
        return {path: (tuple(identity), digest) for path, *identity, digest in rows}

    def add(self, path: Path, stat: os.stat_result, digest: str) -> None:
        """Remembers one file."""
        self._change([(key_of(str(path)), *identity_of(stat), digest)], ())

    def replace(self, found: Mapping[str, Known], before: Mapping[str, Known]) -> None:
        """Remembers `found` in the place of `before`; both are by `key_of`."""
        racy = time.time_ns() - RACY_NANOSECONDS
        rows = [
            (key, *identity, digest)
            for key, (identity, digest) in found.items()
            if max(identity[1], identity[2]) < racy and before.get(key) != (identity, digest)
        ]
        self._change(rows, [key for key in before if key not in found])

    def _change(self, rows: Sequence[tuple[object, ...]], gone: Sequence[str]) -> None:
        if not rows and not gone:
            return
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "DELETE FROM files WHERE path = ?", [(key,) for key in gone]
                )
                self._connection.executemany(
                    "INSERT OR REPLACE INTO files VALUES (?,?,?,?,?,?,?)", rows
                )
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                # Full disk, or another process holds it: the next snapshot reads the files again.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Closes the file. May be repeated."""
        with self._lock:
            self._connection.close()


def identity_of(stat: os.stat_result) -> Identity:
    """What tells a file from another, and from itself after a change."""
    # Inodes may be over SQLite's signed 64 bits on some file systems.
    inode = stat.st_ino & (2**63 - 1)
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, inode, stat.st_dev


def key_of(path: str) -> str:
    """Text SQLite can hold for any path, also one that is not UTF-8."""
    if path.isascii():
        return path
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _below(folder: Path) -> tuple[str, str]:
    # '0' follows '/', so between the two is every path that begins with "folder/".
    key = key_of(str(folder)).rstrip("/")
    return f"{key}/", f"{key}0"
