"""Migrations: every earlier version comes up, backups are made, failures leave nothing behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from spice_engine.errors import IncompatibleVersion, StorageError
from spice_engine.store.migrate import Migration, load_migrations, migrate

ONE = Migration(1, "0001_one.sql", "CREATE TABLE a (x INTEGER NOT NULL) STRICT;")
TWO = Migration(2, "0002_two.sql", "ALTER TABLE a ADD COLUMN y TEXT; UPDATE a SET y = 'old';")
BROKEN = Migration(
    3, "0003_bad.sql", "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        yield connection


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1"
    )
    return rows.fetchall()


@pytest.mark.parametrize("name", ["engine", "metrics"])
def test_every_earlier_version_ends_in_the_same_schema(name: str, tmp_path: Path) -> None:
    steps = load_migrations(name)
    ends = []
    for start in range(len(steps) + 1):
        path = tmp_path / f"{start}.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if start:
                migrate(connection, path, steps[:start])
            done = migrate(connection, path, steps)
            assert (done.old, done.new) == (start, len(steps))
            ends.append(schema(connection))
    assert all(end == ends[0] for end in ends)


@pytest.mark.parametrize("name", ["engine", "metrics"])
def test_migrations_leave_transactions_to_the_runner(name: str) -> None:
    for step in load_migrations(name):
        assert "COMMIT" not in step.sql.upper()


def test_a_backup_is_made_before_a_database_with_content_changes(
    connection: sqlite3.Connection, path: Path
) -> None:
    assert migrate(connection, path, (ONE,)).backup is None
    connection.execute("INSERT INTO a VALUES (7)")
    done = migrate(connection, path, (ONE, TWO))
    assert done.backup == path.with_name("engine.db.v1.bak")
    assert connection.execute("SELECT * FROM a").fetchall() == [(7, "old")]
    with closing(sqlite3.connect(done.backup)) as copy:
        assert copy.execute("SELECT * FROM a").fetchall() == [(7,)]
        assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    names = {entry.name for entry in path.parent.iterdir()}
    assert names == {"engine.db", "engine.db-wal", "engine.db-shm", "engine.db.v1.bak"}


def test_the_newest_three_backups_stay(connection: sqlite3.Connection, path: Path) -> None:
    steps = tuple(
        Migration(n, f"{n:04}_t.sql", f"CREATE TABLE t{n} (x INTEGER);") for n in range(1, 13)
    )
    for count in range(1, 13):
        migrate(connection, path, steps[:count])
    found = {entry.name for entry in path.parent.glob("*.bak")}
    assert found == {"engine.db.v9.bak", "engine.db.v10.bak", "engine.db.v11.bak"}


def test_a_failing_step_leaves_the_version_before_it(
    connection: sqlite3.Connection, path: Path
) -> None:
    migrate(connection, path, (ONE,))
    with pytest.raises(StorageError, match=r"0003_bad\.sql failed: no such table") as caught:
        migrate(connection, path, (ONE, TWO, BROKEN))
    assert "still at version 2" in caught.value.hint
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert [name for name, _ in schema(connection)] == ["a"]
    assert not connection.in_transaction


def test_a_step_that_breaks_a_reference_is_undone(
    connection: sqlite3.Connection, path: Path
) -> None:
    parent = Migration(
        1,
        "0001_p.sql",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p (id));"
        "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);",
    )
    orphan = Migration(2, "0002_o.sql", "DELETE FROM p;")
    with pytest.raises(StorageError, match="points to nothing"):
        migrate(connection, path, (parent, orphan))
    assert connection.execute("SELECT count(*) FROM p").fetchone() == (1,)


def test_a_newer_database_is_refused_with_both_versions(
    connection: sqlite3.Connection, path: Path
) -> None:
    migrate(connection, path, (ONE, TWO))
    with pytest.raises(IncompatibleVersion, match="version 2, and this spice-tui knows up to 1"):
        migrate(connection, path, (ONE,))


def test_another_programs_database_is_refused(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(StorageError, match="not one of spice-tui"):
        migrate(connection, path, (ONE,))


def test_files_must_be_numbered_without_a_gap(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("SELECT 1;")
    (tmp_path / "0003_c.sql").write_text("SELECT 1;")
    with pytest.raises(StorageError, match="without a gap"):
        load_migrations(tmp_path)
