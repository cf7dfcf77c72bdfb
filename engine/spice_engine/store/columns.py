"""JSON in text columns: written compactly, with NaN and infinities kept as Python reads them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sized
from typing import Any


def to_json(value: object) -> str:
    """`value` as text for a column.

    Raises:
        TypeError: it holds something JSON has no form for.
    """
    return json.dumps(value, separators=(",", ":"))


def from_json(text: str | None) -> Any:
    """The value in a column; None for NULL."""
    return None if text is None else json.loads(text)


def placeholders(values: Sized) -> str:
    """As many question marks as there are values, for an IN (...) list."""
    return ",".join("?" * len(values))


def insert(connection: sqlite3.Connection, table: str, columns: Mapping[str, object]) -> int:
    """Adds a row; gives its number."""
    values = tuple(columns.values())
    number = connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({placeholders(values)})", values
    ).lastrowid
    assert number is not None
    return number
