"""Uploads, links and models in the store, and what keeps their objects."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, NotFound
from spice_engine.store import links, models, references, uploads
from spice_engine.store.links import LinkRow
from spice_engine.store.migrate import load_migrations, migrate
from spice_engine.store.models import NewVersion, VersionRow
from spice_engine.store.uploads import UploadRow

A, B = "a" * 64, "b" * 64


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, Path("engine.db"), load_migrations("engine"))
        connection.execute("PRAGMA foreign_keys=ON")
        yield connection


def add(
    db: sqlite3.Connection, version: str = "", *, number: int | None = None, tree: str = A
) -> VersionRow:
    new = NewVersion("cifar", version, tree, "runs/3", ("w:x",), 10, "text", 5.0, "ada", 3)
    return models.add_version(db, new, number=number)


def test_an_upload_keeps_its_object_until_it_goes(db: sqlite3.Connection) -> None:
    row = uploads.put(db, UploadRow("x", A, 1, 2, 3.0))
    assert uploads.get(db, "x") == row
    with pytest.raises(Conflict):
        uploads.put(db, UploadRow("x", B, 1, 2, 3.0))
    assert references.referenced(db) == {A}
    uploads.put(db, UploadRow("x", B, 1, 2, 3.0), replace=True)
    assert references.referenced(db) == {B}
    uploads.remove(db, "x")
    assert references.referenced(db) == frozenset()
    with pytest.raises(NotFound):
        uploads.remove(db, "x")


def test_links(db: sqlite3.Connection) -> None:
    row = links.add(db, LinkRow("d", "uploads/x", 1.0))
    assert (links.find(db, "d"), links.list_all(db)) == (row, (row,))
    with pytest.raises(Conflict, match="uploads/x"):
        links.add(db, LinkRow("d", "runs/1", 1.0))
    assert links.remove(db, "d") == row
    with pytest.raises(NotFound):
        links.remove(db, "d")


def test_versions_count_up_beside_their_own_names(db: sqlite3.Connection) -> None:
    first, second = add(db), add(db, "demo")
    assert [first.number, second.number] == [1, 2]
    assert models.by_name(db, "cifar", "demo") == second == models.latest(db, "cifar")
    assert second.files == ("w:x",)
    with pytest.raises(Conflict, match="demo"):
        add(db, "demo")
    assert add(db, number=3).number == 3
    with pytest.raises(Conflict, match="the next one is v4"):
        add(db, number=9)


def test_a_number_does_not_come_again(db: sqlite3.Connection) -> None:
    for _ in range(2):
        add(db)
    models.remove_version(db, "cifar", 2)
    assert add(db).number == 3
    models.remove_version(db, "cifar", 1)
    models.remove_version(db, "cifar", 3)
    assert models.list_all(db) == ()
    with pytest.raises(NotFound):
        models.get(db, "cifar")
    assert add(db).number == 4


def test_a_removed_model_leaves_nothing(db: sqlite3.Connection) -> None:
    add(db, tree=A)
    add(db, "demo", tree=B)
    models.set_alias(db, "cifar", "prod", 2)
    assert references.referenced(db) == {A, B}
    models.remove_version(db, "cifar", 2)
    assert references.referenced(db) == {A}
    assert models.by_alias(db, "cifar", "prod") is None
    assert models.remove(db, "cifar") == 1
    assert references.referenced(db) == frozenset()
    assert add(db).number == 1


def test_aliases_move(db: sqlite3.Connection) -> None:
    add(db)
    add(db)
    models.set_alias(db, "cifar", "prod", 1)
    moved = models.set_alias(db, "cifar", "prod", 2)
    assert moved.aliases == ("prod",)
    assert models.get_version(db, "cifar", 1).aliases == ()
    with pytest.raises(NotFound):
        models.set_alias(db, "cifar", "prod", 9)
    assert models.remove_alias(db, "cifar", "prod")
    assert not models.remove_alias(db, "cifar", "prod")


def test_a_description_is_replaced(db: sqlite3.Connection) -> None:
    add(db)
    assert models.describe(db, "cifar", 1, "new").description == "new"
    with pytest.raises(NotFound):
        models.describe(db, "cifar", 2, "new")
