"""The database: group commit, works that fail alone, consistent reads, and errors in words."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from spice_engine.errors import IncompatibleVersion, Overloaded, StorageError
from spice_engine.store import database as database_module
from spice_engine.store import values
from spice_engine.store.database import Database


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "engine.db", "engine")
    yield database
    await database.close()


def put(key: str, value: object = 1) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: values.put(connection, key, value)


def keys(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT key FROM settings_kv")}


class Gate:
    """Holds the writer inside a work, so that a test decides what the next group is."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()

    def work(self, connection: sqlite3.Connection) -> None:
        self._entered.set()
        assert self._open.wait(30)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 30)

    def open(self) -> None:
        self._open.set()


async def test_a_result_comes_back_and_a_read_sees_the_write(db: Database) -> None:
    assert await db.write(lambda connection: connection.execute("SELECT 41 + 1").fetchone()) == (
        42,
    )
    await db.write(put("a", {"deep": [1]}))
    assert await db.read(lambda connection: values.get(connection, "a")) == {"deep": [1]}


async def test_what_waits_together_is_committed_together(db: Database) -> None:
    gate = Gate()
    first = db.write(gate.work)
    await gate.entered()
    before = db.stats()
    waiting = [db.write(put(f"k{n}")) for n in range(100)]
    assert db.stats().queued_writes == 100
    gate.open()
    await asyncio.gather(first, *waiting)
    after = db.stats()
    assert after.commits - before.commits == 2  # the gate's, and one for the hundred
    assert after.largest_group == 100
    assert len(await db.read(keys)) == 100


async def test_a_work_fails_alone_and_leaves_nothing(db: Database) -> None:
    def change_then_fail(connection: sqlite3.Connection) -> None:
        values.put(connection, "half", 1)
        raise ValueError("my own")

    def fail_at_once(connection: sqlite3.Connection) -> None:
        raise KeyError("nothing was changed")

    def violate(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO settings_kv VALUES ('good0', '1')")

    gate = Gate()
    held = db.write(gate.work)
    await gate.entered()
    works = [put("good0"), fail_at_once, put("good1"), change_then_fail, violate, put("good2")]
    futures = [db.write(work) for work in works]
    gate.open()
    await held
    results = await asyncio.gather(*futures, return_exceptions=True)
    kinds = [type(result) for result in results]
    nothing = type(None)
    assert kinds == [nothing, KeyError, nothing, ValueError, sqlite3.IntegrityError, nothing]
    assert await db.read(keys) == {"good0", "good1", "good2"}
    assert db.stats().failed_writes == 3


async def test_a_single_failing_work_is_undone(db: Database) -> None:
    def change_then_fail(connection: sqlite3.Connection) -> None:
        values.put(connection, "half", 1)
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await db.write(change_then_fail)
    assert await db.read(keys) == set()


async def test_a_work_that_ends_the_transaction_does_not_kill_the_writer(db: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no transaction"):
        await db.write(lambda connection: connection.execute("COMMIT"))
    with pytest.raises(SystemExit):
        await db.write(lambda connection: sys.exit(3))
    await db.write(put("after"))
    assert await db.read(keys) == {"after"}


async def test_a_cancelled_caller_harms_nobody(db: Database) -> None:
    gate = Gate()
    held = db.write(gate.work)
    await gate.entered()

    async def write(key: str) -> None:
        await db.write(put(key))

    tasks = [asyncio.create_task(write(f"k{n}")) for n in range(10)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    gate.open()
    await held
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False] * 5
    found = await db.read(keys)
    assert {f"k{n}" for n in range(1, 10, 2)} <= found


async def test_a_full_line_refuses(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    held = db.write(gate.work)
    await gate.entered()
    waiting = [db.write(put(f"k{n}")) for n in range(database_module.QUEUED_WRITES)]
    with pytest.raises(Overloaded, match="writes already wait"):
        db.write(put("one too many"))
    gate.open()
    await asyncio.gather(held, *waiting)
    await db.write(put("room again"))


async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    db = await Database.open(path, "engine")
    waiting = [db.write(put(f"k{n}")) for n in range(1500)]
    await asyncio.gather(db.close(), db.close())
    assert all(future.done() for future in waiting)
    await db.close()
    with pytest.raises(StorageError, match="closed"):
        db.write(put("late"))
    with pytest.raises(StorageError, match="closed"):
        await db.read(keys)
    assert [entry.name for entry in tmp_path.iterdir()] == ["engine.db"]
    again = await Database.open(path, "engine")
    assert len(await again.read(keys)) == 1500
    await again.close()


async def test_a_read_sees_one_state_and_cannot_write(db: Database) -> None:
    await db.write(put("a"))
    seen, go_on = threading.Event(), threading.Event()

    def twice(connection: sqlite3.Connection) -> tuple[set[str], set[str]]:
        first = keys(connection)
        seen.set()
        assert go_on.wait(30)
        return first, keys(connection)

    reading = asyncio.create_task(db.read(twice))
    await asyncio.to_thread(seen.wait, 30)
    await db.write(put("b"))
    go_on.set()
    assert await reading == ({"a"}, {"a"})
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await db.read(put("c"))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await db.read(lambda connection: connection.execute("SELECT * FROM missing"))
    assert await db.read(keys) == {"a", "b"}


async def test_full_synchronous_is_what_full_means(tmp_path: Path) -> None:
    for mode, number in (("FULL", 2), ("NORMAL", 1)):
        db = await Database.open(tmp_path / f"{mode}.db", "metrics", mode)  # type: ignore[arg-type]
        found = await db.write(lambda c: c.execute("PRAGMA synchronous").fetchone())
        assert found == (number,)
        await db.close()


class TestDamage:
    async def filled(self, path: Path, rows: int = 3000) -> None:
        db = await Database.open(path, "engine")
        await asyncio.gather(*(db.write(put(f"key {n}", "x" * 200)) for n in range(rows)))
        await db.close()

    async def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        path = tmp_path / "engine.db"
        path.write_text("my shopping list\n" * 100)
        with pytest.raises(StorageError, match="not a database") as caught:
            await Database.open(path, "engine")
        assert str(path) in str(caught.value)
        assert path.read_text().startswith("my shopping list")

    async def test_a_truncated_file_names_the_newest_backup(self, tmp_path: Path) -> None:
        path = tmp_path / "engine.db"
        await self.filled(path)
        for version in (2, 10, 9):
            path.with_name(f"engine.db.v{version}.bak").touch()
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        with pytest.raises(StorageError, match="damaged") as caught:
            await Database.open(path, "engine")
        assert "engine.db.v10.bak" in caught.value.hint

    async def test_a_damaged_page_is_an_error_not_an_answer(self, tmp_path: Path) -> None:
        path = tmp_path / "engine.db"
        await self.filled(path)
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(size // 2 // 4096 * 4096)
            file.write(b"\xa5" * 4096 * 8)
        db = await Database.open(path, "engine")
        assert await db.check()
        with pytest.raises(StorageError, match="damaged"):
            await db.read(keys)
        await db.close()

    async def test_an_emptied_file_is_not_taken_for_a_new_one(self, tmp_path: Path) -> None:
        path = tmp_path / "engine.db"
        path.touch()
        path.with_name("engine.db.v1.bak").touch()
        with pytest.raises(StorageError, match="the file is empty"):
            await Database.open(path, "engine")

    async def test_a_newer_database_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "engine.db"
        await self.filled(path, rows=1)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version=99")
        before = path.read_bytes()
        with pytest.raises(IncompatibleVersion, match="version 99"):
            await Database.open(path, "engine")
        assert path.read_bytes() == before

    async def test_a_lock_held_by_another_program_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database_module, "BUSY_MILLISECONDS", 50)
        path = tmp_path / "engine.db"
        db = await Database.open(path, "engine")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="another process"):
                await db.write(put("a"))
            other.execute("ROLLBACK")
        await db.write(put("a"))
        await db.close()
