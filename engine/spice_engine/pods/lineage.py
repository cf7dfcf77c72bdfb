"""What came from what: data, pods, trainings, policies, and runs.

Models and servers are added by `spice_engine.serving.lineage`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from spice_engine.pods.graph import Graph
from spice_engine.pods.live import Pod
from spice_engine.pods.run_lineage import add_runs
from spice_engine.pods.service import Pods
from spice_engine.protocol.views import GetLineage, Lineage
from spice_engine.store import policies, training
from spice_engine.store.database import Database
from spice_engine.store.policies import PolicyRow
from spice_engine.store.training import TrainingRow

TRAININGS = 5
"""Of each pod the newest ones are shown, and those that policies with a name came from."""

VERSIONS = 5


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
            await add_runs(graph, self._database, request.run)
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


def _file(path: Path) -> tuple[str, str]:
    try:
        return "", f"{path.stat().st_size} bytes"
    except OSError:
        return "missing", ""
