"""The one thread that writes to a database: all that arrived meanwhile goes in one commit."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from spice_engine.errors import Overloaded, Place, StorageError
from spice_engine.store.sqlite_errors import is_storage_failure, storage_failure

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
_Job = tuple[Work, "asyncio.Future[Any]"]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]

LARGEST_GROUP = 512
"""Works in one commit at most, so that a long line does not keep its first caller waiting."""


class _Undo(Exception):
    """A work failed after it had changed something: the group is repeated with savepoints."""


class GroupCommitWriter:
    """Owns the writing connection and its thread; made and used from one event loop.

    Works of a group run in one transaction, first without savepoints: most failures (a row that
    does not exist, a constraint) happen before anything was changed and need no undoing. Only if
    a work fails after a change is the group rolled back and repeated, each work in a savepoint of
    its own. A work may therefore run twice: it must have no effect but on the connection, begin
    and end no transaction, and change no schema.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, queue_limit: int) -> None:
        self._connection = connection
        self._path = path
        self._limit = queue_limit
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._last_group = False
        self.commits = 0
        self.writes = 0
        self.failures = 0
        self.largest_group = 0
        self.last_commit_seconds = 0.0
        self._thread = threading.Thread(
            target=self._run, name=f"writer of {path.name}", daemon=True
        )
        self._thread.start()

    @property
    def queued(self) -> int:
        """Works that no commit has taken up yet."""
        return self._jobs.qsize()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Queues `work`; the future holds its result once it is committed.

        Raises:
            Overloaded: the line is full.
            StorageError: the database is closed, or its writer died.
        """
        if self._closing:
            raise StorageError("the database is closed.", place=Place(str(self._path)))
        if self._jobs.qsize() >= self._limit:
            raise Overloaded(
                f"{self._limit} writes already wait for the disk.", hint="Try again in a moment."
            )
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((work, future))
        return future

    async def close(self) -> None:
        """Commits what is queued, ends the thread and closes the connection. May be repeated."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        await asyncio.shield(self._ended)

    # -- everything below runs in the writer's thread -----------------------------------------

    def _run(self) -> None:
        jobs: list[_Job] = []
        try:
            while jobs := self._next_group():
                self._answer(self._commit(jobs))
        except BaseException as error:
            self._closing = True
            self._answer([(future, None, self._died(error)) for _, future in jobs])
            raise  # a defect: the thread's hook puts its traceback into the log
        finally:
            try:
                self._finish()
            finally:
                self._call_loop(self._mark_ended)  # or `close` would wait for ever

    def _finish(self) -> None:
        try:
            self._connection.execute("PRAGMA optimize")
        except sqlite3.Error as error:
            if not is_storage_failure(error):  # on a full disk it is left out; nothing is lost
                raise
        finally:
            self._connection.close()

    def _next_group(self) -> list[_Job]:
        """Waits for a work and takes all others that are there; empty at the end."""
        if self._last_group:
            return []
        job = self._jobs.get()
        group: list[_Job] = []
        while job is not None:
            group.append(job)
            if len(group) == LARGEST_GROUP:
                return group
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group
        self._last_group = True
        return group

    def _commit(self, jobs: list[_Job]) -> list[_Outcome]:
        """Runs the works and commits; afterwards no transaction is open, whatever happened."""
        started = time.perf_counter()
        outcomes: list[_Outcome]
        try:
            try:
                outcomes = self._attempt(jobs, savepoints=False)
            except _Undo:
                self._connection.execute("ROLLBACK")
                outcomes = self._attempt(jobs, savepoints=True)
        except Exception as error:  # noqa: BLE001 - every caller of the group gets it
            outcomes = [(future, None, self._as_ours(error)) for _, future in jobs]
            self._roll_back()
        self.last_commit_seconds = time.perf_counter() - started
        self.commits += 1
        self.writes += len(jobs)
        self.failures += sum(error is not None for _, _, error in outcomes)
        self.largest_group = max(self.largest_group, len(jobs))
        return outcomes

    def _attempt(self, jobs: list[_Job], *, savepoints: bool) -> list[_Outcome]:
        connection = self._connection
        outcomes: list[_Outcome] = []
        connection.execute("BEGIN IMMEDIATE")
        for work, future in jobs:
            if savepoints:
                connection.execute("SAVEPOINT work")
            before = connection.total_changes
            try:
                outcomes.append((future, work(connection), None))
            except BaseException as error:  # it goes to this work's caller
                if is_storage_failure(error) or not connection.in_transaction:
                    raise
                if savepoints:
                    connection.execute("ROLLBACK TO work")
                elif connection.total_changes != before:
                    raise _Undo from error
                outcomes.append((future, None, error))
            if savepoints:
                connection.execute("RELEASE work")
        connection.execute("COMMIT")
        return outcomes

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                # SQLite may have rolled back by itself after a disk error; then this has no work.
                if self._connection.in_transaction:
                    raise StorageError(
                        f"a failed write could not be undone: {error}.",
                        hint="Restart the engine.",
                        place=Place(str(self._path)),
                    ) from error

    def _as_ours(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error) and is_storage_failure(error):
            ours = storage_failure(error, self._path)
            ours.__cause__ = error
            return ours
        return error

    def _died(self, error: BaseException) -> StorageError:
        return StorageError(
            f"the database's writer ended: {type(error).__name__}: {error}.",
            hint="Restart the engine; what was confirmed is on disk.",
            place=Place(str(self._path)),
        )

    def _answer(self, outcomes: list[_Outcome]) -> None:
        if outcomes:
            self._call_loop(_resolve, outcomes)

    def _call_loop(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            # The loop is closed: nobody waits any more. The rows are on disk all the same.
            if not self._loop.is_closed():
                raise

    def _mark_ended(self) -> None:
        """Runs in the loop. Only a writer that died leaves works behind."""
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is not None and not job[1].done():
                job[1].set_exception(self._died(RuntimeError("its thread is gone")))
        if not self._ended.done():
            self._ended.set_result(None)


def _resolve(outcomes: list[_Outcome]) -> None:
    """Runs in the loop: one call for a whole group."""
    for future, value, error in outcomes:
        if future.done():  # its caller was cancelled meanwhile
            continue
        if error is None:
            future.set_result(value)
        elif isinstance(error, StopIteration):  # a future refuses to carry one
            future.set_exception(RuntimeError("a write raised StopIteration"))
        else:
            future.set_exception(error)
