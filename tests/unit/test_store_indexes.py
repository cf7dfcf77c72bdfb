"""The indexes of the store are of use to who looks something up by what they are on."""

from __future__ import annotations

import sqlite3

import pytest

from spice_engine.store.migrate import load_migrations


@pytest.mark.parametrize("name", ["engine", "metrics"])
def test_what_has_an_index_is_found_by_it(name: str) -> None:
    connection = sqlite3.connect(":memory:")
    for step in load_migrations(name):
        connection.executescript(step.sql)
    found = connection.execute(
        "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    assert found
    for index, table in found:
        columns = [row[2] for row in connection.execute(f"PRAGMA index_info({index})")]
        terms = " AND ".join(f"{column} = ?" for column in columns)
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {terms}", ["x"] * len(columns)
        ).fetchall()
        if index != "model_versions_name":  # one that keeps names apart; few are without
            assert f"INDEX {index} " in plan[0][3], (index, plan)
    connection.close()
