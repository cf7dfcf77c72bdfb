"""What models and servers came from: data, runs, uploads and policies → model → server."""

from __future__ import annotations

from spice_engine.pods.graph import Graph
from spice_engine.protocol.views import GetLineage
from spice_engine.serving.model_lookup import ModelLookup, info_of
from spice_engine.serving.model_names import label
from spice_engine.store import models as table
from spice_engine.store.database import Database
from spice_engine.store.models import VersionRow

VERSIONS = 5
"""Of each model the newest ones are shown, and those that servers use or an alias names."""


class ModelLineage:
    """Adds models and servers to a lineage."""

    def __init__(self, database: Database, models: ModelLookup) -> None:
        self._database = database
        self._models = models

    async def add(self, graph: Graph, request: GetLineage) -> None:
        """Add what came of the things in the graph; without narrowing, all models and servers."""
        rows = await self._database.read(table.versions)
        used = {model for use in self._models.uses() for model in use.models}
        whole = not request.pod and request.run is None
        place: dict[str, int] = {}
        for row in rows:
            place[row.model] = place.get(row.model, 0) + 1
            kept = row.aliases or (row.model, row.number) in used
            if (whole and (place[row.model] <= VERSIONS or kept)) or (
                request.run is not None and row.run_id == request.run
            ):
                self._add_version(graph, row)
        for use in self._models.uses():
            sources = [_node_of(graph, name, number) for name, number in use.models]
            known = [source for source in sources if source]
            if not known and not whole:
                continue
            server = graph.node(f"server/{use.server}", "server", use.server, use.state)
            for source in known:
                graph.edge(source, server)

    def _add_version(self, graph: Graph, row: VersionRow) -> None:
        info = info_of(row)
        names = ", ".join(info.aliases)
        there = graph.node(
            f"model/{row.model}/{row.number}",
            "model",
            f"{row.model} {label(row.number, row.version)}",
            "",
            names or f"{row.size} bytes",
        )
        root = "/".join(row.resource.split("/")[:2])
        if row.resource.startswith("models/"):
            name, number = row.resource.split("/")[1:3]
            source = f"model/{name}/{number.removeprefix('v')}"
            if source not in graph:
                graph.node(source, "model", f"{name} {number}")
        elif row.run_id is not None:
            outputs, run = f"data/runs/{row.run_id}", f"run/{row.run_id}"
            source = outputs if outputs in graph else run
            if source not in graph:
                graph.node(run, "run", f"run {row.run_id}")
        elif row.resource.startswith("uploads/"):
            source = graph.node(f"data/{root}", "data", root)
        else:
            source = graph.node(f"data/{row.resource}", "data", row.resource)
        graph.edge(source, there)


def _node_of(graph: Graph, name: str, number: int) -> str:
    """The node of a version that a server uses; empty where the graph does not have it."""
    for ident in (f"model/{name}/{number}", f"policy/{name}/{number}"):
        if ident in graph:
            return ident
    return ""
