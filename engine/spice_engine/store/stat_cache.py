"""Remembers a file's content hash by its size, times and inode, so that it need not be read again.

Only a cache: a damaged one is thrown away. Blocking; safe from several threads and processes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

from spice_engine.store.sqlite_errors import is_damage

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
        try:
            with self._lock:
                row = self._connection.execute(
                    "SELECT hash FROM files WHERE path = ? AND size = ? AND mtime = ? AND ctime = ?"
                    " AND inode = ? AND device = ?",
                    (_key(path), *_identity(stat)),
                ).fetchone()
        except sqlite3.Error:
            return None  # a cache that cannot be read costs time, never an answer
        return None if row is None else row[0]

    def replace(self, folder: Path | None, found: dict[Path, tuple[os.stat_result, str]]) -> None:
        """Remembers `found`; with `folder`, forgets everything else below it."""
        racy = time.time_ns() - RACY_NANOSECONDS
        rows = [
            (_key(path), *_identity(stat), digest)
            for path, (stat, digest) in found.items()
            if max(stat.st_mtime_ns, stat.st_ctime_ns) < racy
        ]
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                if folder is not None:
                    # '0' follows '/', so this is every path that begins with "folder/".
                    key = _key(folder)
                    self._connection.execute(
                        "DELETE FROM files WHERE path >= ? AND path < ?", (f"{key}/", f"{key}0")
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


def _identity(stat: os.stat_result) -> tuple[int, int, int, int, int]:
    # Inodes may be over SQLite's signed 64 bits on some file systems.
    inode = stat.st_ino & (2**63 - 1)
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, inode, stat.st_dev


def _key(path: Path) -> str:
    """Text SQLite can hold for any path, also one that is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
