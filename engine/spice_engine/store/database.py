"""One SQLite database in WAL mode: a writer with group commit, and read-only connections beside."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, TypeVar

from spice_engine.errors import Overloaded, Place, StorageError
from spice_engine.records import record
from spice_engine.store.disk import storage_error
from spice_engine.store.migrate import Migrated, load_migrations, migrate
from spice_engine.store.sqlite_errors import (
    broken_database,
    is_storage_failure,
    newest_backup,
    storage_failure,
)
from spice_engine.store.writer import GroupCommitWriter

T = TypeVar("T")
Synchronous = Literal["FULL", "NORMAL"]

READERS = 2
QUEUED_READS = 1024
QUEUED_WRITES = 16_384
BUSY_MILLISECONDS = 5000
CHECK_AFTER_CRASH_BYTES = 128 * 2**20
"""Databases up to this size are checked through when the last owner did not close them."""


@record
class DatabaseStats:
    """Counters since `open`, for the metrics door. Times in seconds."""

    commits: int
    writes: int
    failed_writes: int
    queued_writes: int
    largest_group: int
    last_commit_seconds: float
    reads: int
    reads_in_flight: int


class Database:
    """Made by `Database.open`, used from that event loop only; `close` it at the end."""

    def __init__(self, connection: sqlite3.Connection, path: Path, migrated: Migrated) -> None:
        self.path = path
        self.migrated = migrated
        self._loop = asyncio.get_running_loop()
        self._writer = GroupCommitWriter(connection, path, queue_limit=QUEUED_WRITES)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix=f"reader of {path.name}")
        self._per_thread = threading.local()
        self._read_connections: list[sqlite3.Connection] = []
        self._reads = 0
        self._reads_in_flight = 0
        self._closing = False

    @classmethod
    async def open(
        cls,
        path: Path,
        migrations: str | Traversable,
        synchronous: Synchronous = "FULL",
    ) -> Database:
        """Opens or creates the database and brings it up to date.

        `migrations` is `"engine"`, `"metrics"`, or a folder of numbered SQL files. With `FULL` an
        acknowledged write survives a power loss; with `NORMAL` it survives any crash of ours.

        Raises:
            IncompatibleVersion: the database is newer than this code.
            StorageError: it is damaged, not a database, locked, or cannot be written.
        """
        connection, migrated = await asyncio.to_thread(_open, path, migrations, synchronous)
        return cls(connection, path, migrated)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Queues `work` for the writer's thread; await the future for its result.

        The result comes once the row is committed. `work` runs in a transaction of its own as
        far as it can tell: it fails alone, and then leaves nothing behind. It may run twice, so
        it must have no effect but on the connection; it begins and ends no transaction itself.
        Cancelling the caller leaves the work either fully written or not at all.

        Raises (at the call): Overloaded: too many writes wait. StorageError: it is closed.
        Raises (at the await): what `work` raised; StorageError: the disk is full, read-only or
            broken. The writer goes on, and writes succeed again when the disk does.
        """
        return self._writer.submit(work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a reader's thread, on one consistent state, and gives its result.

        Raises:
            Overloaded: too many reads wait.
            StorageError: the database is closed or damaged.
        """
        if self._closing:
            raise StorageError("the database is closed.", place=Place(str(self.path)))
        if self._reads_in_flight >= QUEUED_READS:
            raise Overloaded(f"{QUEUED_READS} reads already wait.", hint="Try again in a moment.")
        self._reads += 1
        self._reads_in_flight += 1
        try:
            return await self._loop.run_in_executor(self._pool, self._read_now, work)
        finally:
            self._reads_in_flight -= 1

    async def check(self) -> tuple[str, ...]:
        """Damage found by reading every page, as SQLite words it; empty if there is none."""
        return await self.read(_check)

    def stats(self) -> DatabaseStats:
        """The counters as they are now."""
        writer = self._writer
        return DatabaseStats(
            commits=writer.commits,
            writes=writer.writes,
            failed_writes=writer.failures,
            queued_writes=writer.queued,
            largest_group=writer.largest_group,
            last_commit_seconds=writer.last_commit_seconds,
            reads=self._reads,
            reads_in_flight=self._reads_in_flight,
        )

    async def close(self) -> None:
        """Finishes queued reads, commits queued writes, and closes. May be repeated."""
        self._closing = True
        await asyncio.to_thread(self._pool.shutdown)
        while self._read_connections:
            self._read_connections.pop().close()
        await self._writer.close()  # last, so that SQLite folds the -wal into the file

    def _read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection: sqlite3.Connection | None = getattr(self._per_thread, "connection", None)
            if connection is None:
                connection = _connect(self.path, read_only=True)
                self._per_thread.connection = connection
                self._read_connections.append(connection)
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            # A read that tries to write is a defect of ours, not a folder without permission.
            wrote = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY
            if is_storage_failure(error) and not wrote:
                raise storage_failure(error, self.path) from error
            raise


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode, usable from any one thread at a time."""
    address = path.absolute().as_uri() + ("?mode=ro" if read_only else "")
    connection = sqlite3.connect(
        address, uri=True, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    try:
        connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")  # damage is an error, not a wrong answer
        if read_only:
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _open(
    path: Path, migrations: str | Traversable, synchronous: Synchronous
) -> tuple[sqlite3.Connection, Migrated]:
    steps = load_migrations(migrations)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        crashed, size = _left_behind(path)
    except OSError as error:
        raise storage_error(error, "open the database", path) from error
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(path)
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise StorageError(
                "this file system does not carry SQLite's write-ahead log.",
                hint="Move the state to a local disk.",
                place=Place(str(path)),
            )
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA journal_size_limit=67108864")
        if crashed and size <= CHECK_AFTER_CRASH_BYTES and (found := _check(connection)):
            raise broken_database(path, found[0])
        migrated = migrate(connection, path, steps)
        connection.execute("PRAGMA foreign_keys=ON")
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error) and is_storage_failure(error):
            raise storage_failure(error, path) from error
        raise
    return connection, migrated


def _left_behind(path: Path) -> tuple[bool, int]:
    """Whether the last owner did not close the database, and its size in bytes.

    Raises:
        StorageError: the file was emptied; SQLite would take it for a new one and hide the loss.
    """
    if not path.exists():
        return False, 0
    size = path.stat().st_size
    log = path.with_name(f"{path.name}-wal")
    crashed = log.exists() and log.stat().st_size > 0
    if not size and not crashed and newest_backup(path):
        raise broken_database(path, "the file is empty")
    return crashed, size


def _check(connection: sqlite3.Connection) -> tuple[str, ...]:
    try:
        rows = connection.execute("PRAGMA quick_check(20)").fetchall()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return (str(error),)  # damaged so that not even the check can go on
    return tuple(text for (text,) in rows if text != "ok")
