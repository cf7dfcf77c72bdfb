"""Which runs came from which, and from what else: the graph that their mounts make."""

from __future__ import annotations

import sqlite3

from spice_engine.errors import NotFound
from spice_engine.pods.graph import Graph
from spice_engine.runs.states import info_of
from spice_engine.store import run_sources
from spice_engine.store import runs as table
from spice_engine.store.database import Database
from spice_engine.store.runs import MountRow, RunRow

NEWEST = 50
"""Runs that are drawn with all the rest, and those they came from."""
MOST = 200


async def add_runs(graph: Graph, database: Database, number: int | None) -> None:
    """Add the newest runs, or one with all that it came from and all that came of it.

    Raises:
        NotFound: there is no such run.
    """
    rows = await database.read(lambda connection: _rows(connection, number))
    for row in rows:
        _add(graph, row)
    for row in rows:
        for mount in row.mounts:
            graph.edge(_source(graph, mount), f"run/{row.id}")


def _rows(connection: sqlite3.Connection, number: int | None) -> list[RunRow]:
    edges = run_sources.pairs(connection)
    if number is None:
        newest = table.list_newest(connection, NEWEST)
        shown = {row.id for row in newest}
        wanted = shown | {source for run, source in edges if run in shown}
    else:
        if not 0 < number < 2**63:
            raise NotFound(f"there is no run {number}.")
        table.get(connection, number)
        wanted = run_sources.related(edges, number)
    return [table.get(connection, run) for run in sorted(wanted)[-MOST:]]


def _add(graph: Graph, row: RunRow) -> None:
    info = info_of(row)
    title = info.name or " ".join(info.command)
    ident = graph.node(f"run/{row.id}", "run", f"run {row.id}: {title}", row.state, row.message)
    if row.outputs is not None:
        left = f"{row.outputs.files} files, {row.outputs.size} bytes"
        graph.edge(ident, graph.node(f"data/runs/{row.id}", "data", f"runs/{row.id}", "", left))


def _source(graph: Graph, mount: MountRow) -> str:
    """The node of what was mounted: what a run left stands between it and those that got it."""
    if (run := mount.run) is not None:
        left = f"data/runs/{run}"
        return left if left in graph else graph.node(f"run/{run}", "run", f"run {run}")
    path = mount.source or mount.resource
    kind, *names = path.split("/")
    if kind == "models" and len(names) > 1:
        name, number = names[0], names[1].removeprefix("v")
        return graph.node(f"model/{name}/{number}", "model", f"{name} {names[1]}")
    whole = "/".join([kind, *names[:1]]) if kind == "uploads" else path
    return graph.node(f"data/{whole}", "data", whole)
