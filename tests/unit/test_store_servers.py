"""Servers, versions, replicas and decisions in the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, NotFound
from spice_engine.serving import server_records
from spice_engine.store import references, replicas, servers
from spice_engine.store.migrate import load_migrations, migrate
from spice_engine.store.replicas import DecisionRow


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "engine.db", isolation_level=None)
    migrate(connection, tmp_path / "engine.db", load_migrations("engine"))
    connection.execute("PRAGMA foreign_keys=ON")
    yield connection
    connection.close()


def add(db: sqlite3.Connection, code: str = "c0de", name: str = "demo") -> int:
    return servers.add_version(
        db,
        server=name,
        definition={"name": name, "n": code},
        code=code,
        models=[("cifar", 1, "", "m0del")],
        mounts=[("words", "m0unt")],
        created=1.0,
    ).number


@pytest.fixture
def demo(db: sqlite3.Connection) -> str:
    servers.create(db, name="demo", pods=1, token="t", created=1.0)
    servers.change(db, "demo", version=add(db))
    return "demo"


def test_a_server_comes_back_as_it_was_made(db: sqlite3.Connection, demo: str) -> None:
    row = servers.get(db, demo)
    assert (row.wish, row.state, row.version, row.good, row.pods) == (
        "running",
        "requested",
        1,
        None,
        1,
    )
    version = servers.get_version(db, demo, 1)
    assert version.models == (("cifar", 1, "", "m0del"),)
    assert version.mounts == (("words", "m0unt"),)
    assert version.definition == {"name": "demo", "n": "c0de"}
    with pytest.raises(Conflict):
        servers.create(db, name=demo, pods=1, token="t", created=1.0)
    with pytest.raises(NotFound):
        servers.get(db, "nobody")
    with pytest.raises(ValueError, match="token"):
        servers.change(db, demo, token="other")


def test_objects_are_needed_as_long_as_a_version_is(db: sqlite3.Connection, demo: str) -> None:
    assert references.referenced(db) == {"c0de", "m0del", "m0unt"}
    for number in range(servers.KEPT_VERSIONS + 5):
        add(db, f"code{number}")
    kept = [row.number for row in servers.list_versions(db, demo)]
    assert kept[0] == servers.KEPT_VERSIONS + 6
    assert kept[-1] == 1  # the wanted one
    assert 2 not in kept
    assert "code0" not in references.referenced(db)
    servers.remove(db, demo)
    assert references.referenced(db) == frozenset()


def test_the_good_one_before_is_the_newest_that_was_not_given_up(
    db: sqlite3.Connection, demo: str
) -> None:
    for state in ("good", "rolled back", "good", "new"):
        servers.set_version_state(db, demo, add(db), state)
    found = servers.good_before(db, demo, 5)
    assert found is not None
    assert found.number == 4
    before = servers.good_before(db, demo, 4)
    assert before is not None
    assert before.number == 2
    servers.set_version_state(db, demo, 1, "failed")
    only = servers.good_before(db, demo, 2)
    assert only is not None
    assert only.number == 4  # rather a later one than none


def test_giving_up_goes_back_or_fails_and_never_against_a_newer_wish(
    db: sqlite3.Connection, demo: str
) -> None:
    row, other = server_records.gave_up(db, demo, 1, "why")
    assert other is None
    assert row.message == "why"
    assert servers.get_version(db, demo, 1).state == "failed"
    servers.set_version_state(db, demo, 1, "good")
    servers.change(db, demo, version=add(db))
    row, other = server_records.gave_up(db, demo, 1, "late news of the old one")
    assert (row.version, other) == (2, None)
    trace = 'Traceback:\n  File "x.py", line 1\nValueError: the end'
    row, other = server_records.gave_up(db, demo, 2, trace)
    assert other is not None
    assert (row.version, row.good) == (1, 1)
    assert row.message == "version 2 was rolled back to version 1: ValueError: the end"
    assert servers.get_version(db, demo, 2).message == trace


def test_numbers_of_replicas_never_come_again(db: sqlite3.Connection, demo: str) -> None:
    one = server_records.new_replica(db, demo, 1, 0, 1.0)
    replicas.set_state(db, demo, one, "ready", ready=2.0)
    assert [row.state for row in replicas.living(db, demo)] == ["ready"]
    replicas.set_state(db, demo, one, "failed", message="why", ended=3.0)
    (row,) = replicas.newest(db, demo, 9)
    assert (row.state, row.message, row.ready, row.ended) == ("failed", "why", 2.0, 3.0)
    assert replicas.living(db, demo) == ()
    others = [server_records.new_replica(db, demo, 1, 0, 1.0) for _ in range(30)]
    assert others[0] == one + 1
    for number in others[:25]:
        replicas.set_state(db, demo, number, "stopped", ended=4.0)
    gone = replicas.prune(db, demo)
    assert len(gone) == 26 - replicas.KEPT_ENDED
    assert server_records.new_replica(db, demo, 1, 0, 1.0) == others[-1] + 1


def test_decisions_come_newest_first_and_old_ones_go(
    db: sqlite3.Connection, demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "KEPT_DECISIONS", 20)
    for number in range(replicas.KEPT_DECISIONS + 10):
        replicas.add_decision(db, demo, DecisionRow(number, 1, 2, "why", {"rate": 1.5}))
    found = replicas.decisions(db, demo, 3)
    assert [row.time for row in found] == [29.0, 28.0, 27.0]
    assert found[0].inputs == {"rate": 1.5}
    (count,) = db.execute("SELECT count(*) FROM scale_decisions").fetchone()
    assert count == replicas.KEPT_DECISIONS
