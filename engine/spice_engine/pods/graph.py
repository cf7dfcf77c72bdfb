"""Nodes and edges of a lineage while they are found."""

from __future__ import annotations

from spice_engine.protocol.views import Lineage, LineageEdge, LineageNode


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
