"""Brings a database up to the version this code knows: numbered SQL files, one transaction each.

A database's version is its `PRAGMA user_version`. Before one that holds anything is touched, a
whole copy is put beside it (`engine.db.v3.bak`); the newest three are kept. Everything blocks.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from spice_engine.errors import IncompatibleVersion, Place, StorageError
from spice_engine.records import record
from spice_engine.store.disk import storage_error, sync_folder
from spice_engine.store.sqlite_errors import is_storage_failure, newest_backup, storage_failure

BACKUPS_KEPT = 3
_PACKAGE = "spice_engine.store"
_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")


@record
class Migration:
    """One step: the version it leads to, its file's name and its SQL."""

    version: int
    name: str
    sql: str


@record
class Migrated:
    """What `migrate` did: the versions before and after, and the backup it made, if any."""

    old: int
    new: int
    backup: Path | None


def load_migrations(source: str | Traversable) -> tuple[Migration, ...]:
    """The steps in order. `source` is the name of a set in the package, or a folder of SQL files.

    Raises:
        StorageError: the files are not numbered 0001, 0002 ... without a gap.
    """
    folder = files(_PACKAGE).joinpath("migrations", source) if isinstance(source, str) else source
    steps = sorted(
        (
            Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8"))
            for entry in folder.iterdir()
            if (match := _FILE_NAME.fullmatch(entry.name))
        ),
        key=lambda step: step.version,
    )
    if [step.version for step in steps] != list(range(1, len(steps) + 1)) or not steps:
        raise StorageError(
            "the database's migrations are not numbered from 0001 without a gap.",
            hint="The installation is damaged; install spice-tui again.",
            place=Place(str(folder)),
        )
    return tuple(steps)


def migrate(connection: sqlite3.Connection, path: Path, steps: tuple[Migration, ...]) -> Migrated:
    """Applies the steps the database at `path` has not seen. `connection` must be in autocommit.

    Raises:
        IncompatibleVersion: it is newer than the last step.
        StorageError: it is not one of ours, cannot be backed up, or a step failed; the database
            is then as it was before that step.
    """
    (old,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    latest = steps[-1].version
    if old > latest:
        backup = newest_backup(path)
        raise IncompatibleVersion(
            f"the database has version {old}, and this spice-tui knows up to {latest}.",
            hint="Update spice-tui, or "
            + (f"go back to the backup {backup.name}." if backup else "use another folder."),
            place=Place(str(path)),
        )
    if old == 0 and tables:
        raise StorageError(
            "the file is a SQLite database, but not one of spice-tui.",
            hint="Move it away, or use another folder.",
            place=Place(str(path)),
        )
    if old == latest:
        return Migrated(old, old, None)
    backup = back_up(connection, path, old) if old else None
    for step in steps[old:]:
        _apply(connection, path, step)
    return Migrated(old, latest, backup)


def _apply(connection: sqlite3.Connection, path: Path, step: Migration) -> None:
    """Runs one step in a transaction of its own, with its new version number inside."""
    connection.execute("PRAGMA foreign_keys=OFF")  # a step may rebuild a table others point to
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{step.sql}\n;PRAGMA user_version={step.version};"
        )
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken:
            raise sqlite3.IntegrityError(f"a row of table {broken[0]} points to nothing")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if is_storage_failure(error):
            raise storage_failure(error, path) from error
        raise StorageError(
            f"migration {step.name} failed: {error}.",
            hint=f"The database is still at version {step.version - 1}; use the version of "
            "spice-tui that wrote it, and report this.",
            place=Place(str(path)),
        ) from error
    finally:
        connection.execute("PRAGMA foreign_keys=ON")


def back_up(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copies the whole database to `NAME.v{version}.bak` beside it; older ones but three go.

    Raises:
        StorageError: the copy could not be written; nothing else was done.
    """
    target = path.with_name(f"{path.name}.v{version}.bak")
    beside = target.with_name(f".{target.name}.tmp")
    try:
        beside.unlink(missing_ok=True)
        with closing(sqlite3.connect(beside)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, with no -wal to lose
        descriptor = os.open(beside, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.replace(target)
        sync_folder(path.parent)
    except sqlite3.Error as error:
        beside.unlink(missing_ok=True)
        raise storage_failure(error, target) from error
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise storage_error(error, "back up the database", target) from error
    _drop_old_backups(path)
    return target


def _drop_old_backups(path: Path) -> None:
    numbered = [
        (int(text), backup)
        for backup in path.parent.glob(f"{path.name}.v*.bak")
        if (text := backup.name[len(path.name) + 2 : -4]).isdecimal()
    ]
    for _, backup in sorted(numbered, reverse=True)[BACKUPS_KEPT:]:
        backup.unlink(missing_ok=True)
