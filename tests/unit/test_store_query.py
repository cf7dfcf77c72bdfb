"""Queries over the store: what they answer, how much of it, and what they may not do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.frames import encode
from spice_engine.workers.child import LocalReport
from spice_engine.workers.query import MAX_ANSWER, MAX_CELL, query


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for name, value in (("engine", "first"), ("metrics", "second")):
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as connection, connection:
            connection.execute(f"CREATE TABLE of_{name} (n INTEGER, text TEXT)")
            connection.execute(f"INSERT INTO of_{name} VALUES (1, ?)", (value,))
    return tmp_path


def ask(state: Path, sql: str, limit: int = 1000) -> dict[str, Any]:
    return query({"state": str(state), "sql": sql, "limit": limit}, LocalReport())


def counting(columns: str, rows: int) -> str:
    numbers = f"SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {rows}"
    return f"WITH RECURSIVE c(n) AS ({numbers}) SELECT {columns} FROM c"


def test_both_databases_are_asked_at_once(state: Path) -> None:
    answer = ask(
        state, "SELECT e.text, m.text FROM of_engine e JOIN metrics.of_metrics m USING (n)"
    )
    assert answer["rows"] == [["first", "second"]]
    assert not answer["truncated"]


def test_the_limit_cuts_and_says_so(state: Path) -> None:
    assert not ask(state, counting("n", 5), limit=5)["truncated"]
    answer = ask(state, counting("n", 6), limit=5)
    assert answer["rows"] == [[1], [2], [3], [4], [5]]
    assert answer["truncated"]


@pytest.mark.parametrize("columns", [1, 3, 60])
@pytest.mark.parametrize("character", [120, 0x1F336], ids=["one byte", "four bytes"])
def test_a_large_answer_is_cut_to_what_a_frame_holds(
    state: Path, columns: int, character: int
) -> None:
    cell = f"replace(hex(zeroblob({MAX_CELL})), '0', char({character}))"
    answer = ask(state, counting(", ".join([cell] * columns), 400))
    assert answer["truncated"]
    assert len(encode(["result", 1, answer])) < MAX_ANSWER + 2**20


def test_no_value_takes_the_memory_of_the_machine(state: Path) -> None:
    with pytest.raises(InvalidRequest, match="too big"):
        ask(state, "SELECT length(hex(zeroblob(400000000)))")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM of_engine",
        "CREATE TABLE more (n)",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "PRAGMA journal_mode = DELETE",
        "SELECT 1; SELECT 2",
        "SELECT load_extension('x')",
        "SELECT nothing FROM nowhere",
    ],
)
def test_what_is_not_one_reading_statement_is_refused(
    state: Path, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(state)
    with pytest.raises(InvalidRequest) as refusal:
        ask(state, sql)
    assert ".." not in refusal.value.message
    assert sorted(path.name for path in state.iterdir()) == ["engine.db", "metrics.db"]
    assert ask(state, "SELECT n FROM of_engine")["rows"] == [[1]]


def test_the_tokens_of_servers_are_not_told(state: Path) -> None:
    with closing(sqlite3.connect(state / "engine.db")) as connection, connection:
        connection.execute("CREATE TABLE servers (name TEXT, token TEXT)")
        connection.execute("INSERT INTO servers VALUES ('echo', 'a secret')")
    assert ask(state, "SELECT * FROM servers")["rows"] == [["echo", None]]
    assert ask(state, "SELECT name FROM servers WHERE token > 'a'")["rows"] == []
