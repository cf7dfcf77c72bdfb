"""Which runs got files of which others.

Every function runs inside `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from spice_engine.store.runs import MountRow


def pairs(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Each run that mounted something of a run, with that, oldest first."""
    rows = connection.execute(
        "SELECT runs.id, json_extract(mount.value, '$[0]'), json_extract(mount.value, '$[3]')"
        " FROM runs, json_each(runs.mounts) AS mount WHERE runs.mounts <> '[]' ORDER BY runs.id"
    )
    found = ((row[0], MountRow(row[1], "", "", row[2] or "").run) for row in rows)
    return [(number, source) for number, source in found if source is not None]


def related(edges: Iterable[tuple[int, int]], number: int) -> set[int]:
    """A run, all that it came from, and all that came of it."""
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for run, source in edges:
        before.setdefault(run, []).append(source)
        after.setdefault(source, []).append(run)
    return _reached(before, number) | _reached(after, number)


def _reached(next_to: Mapping[int, list[int]], start: int) -> set[int]:
    found, left = {start}, [start]
    while left:
        for one in next_to.get(left.pop(), ()):
            if one not in found:
                found.add(one)
                left.append(one)
    return found
