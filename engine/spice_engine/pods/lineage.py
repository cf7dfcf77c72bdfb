"""What came from what: data, pods, trainings, policies, and runs.

Models and servers are added by `spice_engine.serving.lineage`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from spice_engine.errors import NotFound
from spice_engine.pods.live import Pod
from spice_engine.pods.service import Pods
from spice_engine.protocol.views import GetLineage, Lineage, LineageEdge, LineageNode
from spice_engine.runs.states import info_of
from spice_engine.store import policies, training
from spice_engine.store import runs as run_table
from spice_engine.store.database import Database
from spice_engine.store.policies import PolicyRow
from spice_engine.store.training import TrainingRow

TRAININGS = 5
"""Of each pod the newest ones are shown, and those that policies with a name came from."""

VERSIONS = 5
RUNS = 50


class Graph:
    """Nodes and edges as they are found; each once."""

    def __init__(self) -> None:
        self._nodes: dict[str, LineageNode] = {}
        self._edges: dict[tuple[str, str], LineageEdge] = {}

    def __contains__(self, ident: object) -> bool:
        return ident in self._nodes

    def node(self, ident: str, kind: str, title: str, state: str = "", detail: str = "") -> str:
        """Add a thing, if it is not there; gives its id."""
        self._nodes.setdefault(ident, LineageNode(ident, kind, title, state, detail))
        return ident

    def edge(self, source: str, target: str) -> None:
        """Say that `target` came from `source`."""
        self._edges[source, target] = LineageEdge(source, target)

    def lineage(self) -> Lineage:
        """All of it."""
        return Lineage(list(self._nodes.values()), list(self._edges.values()))


class Ancestry:
    """The service behind lineages. `more` adds what parts of the engine above this one know."""

    def __init__(self, pods: Pods, database: Database) -> None:
        self.more: list[Callable[[Graph, GetLineage], Awaitable[None]]] = []
        self._pods = pods
        self._database = database

    async def lineage(self, request: GetLineage) -> Lineage:
        """All that is known, or that of one pod or run.

        Raises:
            NotFound: no such pod or run.
        """
        graph = Graph()
        if request.run is None or request.pod:
            names = [self._pods.get(request.pod).name] if request.pod else self._pods.names()
            for name in names:
                await self._add_pod(graph, self._pods.get(name))
        if request.run is not None or not request.pod:
            await self._add_runs(graph, request.run)
        for add in self.more:
            await add(graph, request)
        return graph.lineage()

    async def _add_pod(self, graph: Graph, pod: Pod) -> None:
        root = self._pods.location.root
        there = graph.node(f"pod/{pod.name}", "pod", pod.name, pod.state, pod.info(root).manifest)
        if pod.manifest is not None:
            for file in self._pods.upkeep.files(pod.manifest):
                title = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
                state, detail = await asyncio.to_thread(_file, file)
                graph.edge(graph.node(f"data/{title}", "data", title, state, detail), there)
        for feed in self._pods.feeds.status(pod.name):
            ident = f"data/{pod.name}/{feed.dataspace}/{feed.role}"
            title = f"{feed.connector} → {feed.dataspace}"
            detail = feed.last_error or f"{feed.rows} rows"
            graph.edge(graph.node(ident, "data", title, feed.state, detail), there)

        def read(
            connection: sqlite3.Connection,
        ) -> tuple[list[TrainingRow], list[PolicyRow], dict[str, int]]:
            versions = list(policies.list_versions(connection, pod.name))
            shown = [one for at, one in enumerate(versions) if at < VERSIONS or one.aliases]
            runs = list(training.list_runs(connection, pod.name))
            sources = {one.training_number for one in shown}
            newest = {one.number for one in sorted(runs, key=lambda row: row.number)[-TRAININGS:]}
            kept = [one for one in runs if one.number in newest | sources]
            return kept, shown, policies.aliases(connection, pod.name)

        trainings, versions, aliases = await self._database.read(read)
        for row in trainings:
            detail = f"{row.algorithm}; {row.message}" if row.message else row.algorithm
            title = f"training {row.number}"
            ident = graph.node(
                f"training/{pod.name}/{row.number}", "training", title, row.state, detail
            )
            graph.edge(there, ident)
        numbers = {row.number for row in trainings}
        for version in versions:
            names = sorted(name for name, of in aliases.items() if of == version.version)
            state = "serving" if version.version == pod.policy_version else ""
            ident = graph.node(
                f"policy/{pod.name}/{version.version}",
                "policy",
                f"version {version.version}",
                state,
                ", ".join(names),
            )
            known = version.training_number in numbers
            graph.edge(f"training/{pod.name}/{version.training_number}" if known else there, ident)

    async def _add_runs(self, graph: Graph, number: int | None) -> None:
        def read(connection: sqlite3.Connection) -> list[run_table.RunRow]:
            if number is None:
                return list(run_table.list_newest(connection, RUNS))
            if not 0 < number < 2**63:
                raise NotFound(f"there is no run {number}.")
            return [run_table.get(connection, number)]

        for row in await self._database.read(read):
            info = info_of(row)
            title = info.name or " ".join(info.command)
            ident = graph.node(
                f"run/{row.id}", "run", f"run {row.id}: {title}", row.state, row.message
            )
            outputs = f"runs/{row.id}"
            folder = self._pods.location.state / "runs" / str(row.id)
            size = await asyncio.to_thread(_size, folder)
            if size:
                made = graph.node(f"data/{outputs}", "data", outputs, "", f"{size} bytes")
                graph.edge(ident, made)


def _file(path: Path) -> tuple[str, str]:
    try:
        return "", f"{path.stat().st_size} bytes"
    except OSError:
        return "missing", ""


def _size(folder: Path) -> int:
    """Bytes of the files a run left, without those of its folders."""
    try:
        return sum(one.stat().st_size for one in folder.iterdir() if one.is_file())
    except OSError:
        return 0
