"""What came from what, laid out in columns with links between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spice_engine.records import record
from spice_tui.models.cells import state_symbol
from spice_tui.models.styled import AXIS, BAD, CHOSEN, GOOD, LABEL, NONE, TITLE, Line
from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_engine.protocol.views import Lineage, LineageNode

_LINK, _LANES = 5, 4
_LEAST, _MOST = 12, 28
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_BOXES = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"
_ORDER = ("data", "pod", "training", "policy", "workflow", "step", "run", "model", "server")
_WITH_STATES = ("workflow", "step", "run")
"""Kinds whose state has a sign, for colour is never the only one."""
_STATES = {
    **dict.fromkeys(("ready", "done", "running", "complete", "cached"), GOOD),
    **dict.fromkeys(("failed", "invalid", "build_failed", "mount_failed", "killed"), BAD),
    **dict.fromkeys(("waiting", "queued", "skipped", "stopped"), LABEL),
}


@record
class Place:
    """A node, or a link that passes a column (no node), in a row of a column."""

    node: LineageNode | None
    column: int
    row: int


@dataclass(slots=True)
class _Graph:
    """Nodes by layer, with places for links that pass."""

    layers: list[list[str]] = field(default_factory=list[list[str]])
    links: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


class LineageView:
    """A lineage laid out. Columns are kinds in order of becoming, as far as links allow."""

    def __init__(self, lineage: Lineage) -> None:
        self.nodes = {node.id: node for node in lineage.nodes}
        edges = [
            (edge.source, edge.target)
            for edge in lineage.edges
            if edge.source in self.nodes and edge.target in self.nodes
        ]
        self._before: dict[str, list[str]] = {name: [] for name in self.nodes}
        self._after: dict[str, list[str]] = {name: [] for name in self.nodes}
        for source, target in edges:
            self._before[target].append(source)
            self._after[source].append(target)
        self._graph = _layered(self.nodes, edges, self._before)
        self.places = {
            name: Place(self.nodes.get(name), column, row)
            for column, layer in enumerate(self._graph.layers)
            for row, name in enumerate(layer)
        }

    def move(self, at: str, columns: int, rows: int) -> str:
        """The node beside one: along a link to the side, or up and down in its column."""
        place = self.places.get(at)
        if place is None:
            return self.first()
        if columns:
            linked = self._after[at] if columns > 0 else self._before[at]
            near = sorted(linked, key=lambda name: abs(self.places[name].row - place.row))
            return near[0] if near else at
        column = [name for name in self._graph.layers[place.column] if name in self.nodes]
        index = column.index(at) + rows
        return column[min(max(index, 0), len(column) - 1)]

    def first(self) -> str:
        """The uppermost node of the first column; empty without nodes."""
        return next((name for layer in self._graph.layers for name in layer), "")

    def lines(self, width: int, cursor: str) -> list[Line]:
        """All rows, and details of the node at the cursor below."""
        layers = self._graph.layers
        if not layers:
            return [Line().add("Nothing came from anything yet.", LABEL)]
        height = max(len(layer) for layer in layers)
        gaps = [self._gap(column, height) for column in range(len(layers) - 1)]
        room = (width - sum(len(gap[0]) for gap in gaps)) // len(layers)
        room = max(_LEAST, min(_MOST, room))
        # A person with a narrow terminal sees the columns around the cursor.
        shown = max(1, (width + _LINK) // (room + _LINK))
        here = self.places[cursor].column if cursor in self.places else 0
        start = min(max(0, here - shown + 1), len(layers) - 1)
        page = [self._titles(room, start, [len(gap[0]) for gap in gaps])]
        for row in range(height):
            line = Line()
            for column in range(start, len(layers)):
                name = layers[column][row] if row < len(layers[column]) else None
                self._cell(line, name, cursor, room)
                if column < len(gaps):
                    line.add(gaps[column][row], AXIS)
            page.append(line)
        return [*page, *self._details(cursor)]

    def _titles(self, room: int, start: int, gaps: Sequence[int]) -> Line:
        line = Line()
        for layer, gap in zip(self._graph.layers[start:], [*gaps[start:], 0], strict=True):
            kinds = dict.fromkeys(self.nodes[name].kind for name in layer if name in self.nodes)
            line.add(f"{', '.join(kinds)[: room - 1]:<{room + gap}}", TITLE)
        return line

    def _cell(self, line: Line, name: str | None, cursor: str, room: int) -> None:
        if name is None:
            line.add(" " * room)
            return
        node = self.nodes.get(name)
        if node is None:
            line.add(symbols().horizontal * room, AXIS)
            return
        signs = symbols()
        plain = state_symbol(node.state) if node.kind in _WITH_STATES else signs.dot
        sign = signs.cursor if name == cursor else plain
        style = _STATES.get(node.state, NONE)
        title = (
            node.title if len(node.title) <= room - 3 else node.title[: room - 4] + signs.ellipsis
        )
        line.add(f"{sign} ", CHOSEN if name == cursor else style)
        line.add(title, CHOSEN if name == cursor else style)
        tail = room - 2 - len(title)
        fill = signs.horizontal if self._after[name] else " "
        line.add(" " + fill * (tail - 1), AXIS)

    def _details(self, cursor: str) -> list[Line]:
        node = self.nodes.get(cursor)
        if node is None:
            return []
        head = Line().add(node.title, TITLE).add(f"  {node.kind}  {node.state}", LABEL)
        page = [Line(), head]
        if node.detail:
            page += [Line().add(text) for text in node.detail.splitlines()]
        return page

    def _gap(self, column: int, height: int) -> list[str]:
        """The links between a column and the next, as rows of characters.

        Links of one source that go up or down share a lane, those of others have their own.
        """
        here = set(self._graph.layers[column])
        links = [link for link in self._graph.links if link[0] in here]
        rows = self.places
        bent = dict.fromkeys(one for one, other in links if rows[one].row != rows[other].row)
        lanes = {source: index % _LANES for index, source in enumerate(bent)}
        width = _LINK + max(lanes.values(), default=0)
        bits = [[0] * width for _ in range(height)]
        for source, target in links:
            top, bottom = rows[source].row, rows[target].row
            middle = _LINK // 2 + lanes.get(source, 0)
            for x in range(middle):
                bits[top][x] |= _LEFT | _RIGHT
            for x in range(middle + 1, width):
                bits[bottom][x] |= _LEFT | _RIGHT
            bits[top][middle] |= _LEFT
            bits[bottom][middle] |= _RIGHT
            step = 1 if bottom > top else -1
            for row in range(top, bottom, step):
                bits[row][middle] |= _DOWN if step > 0 else _UP
                bits[row + step][middle] |= _UP if step > 0 else _DOWN
        plain = not symbols().braille
        return ["".join(_sign(cell, plain) for cell in row) for row in bits]


def _sign(bits: int, plain: bool) -> str:
    if not plain or not bits:
        return _BOXES[bits]
    if not bits & (_UP | _DOWN):
        return symbols().horizontal
    return symbols().corner if bits & (_LEFT | _RIGHT) else symbols().vertical


def _layered(
    nodes: dict[str, LineageNode],
    edges: Sequence[tuple[str, str]],
    before: dict[str, list[str]],
) -> _Graph:
    """Nodes in layers so that links go to the right; long links get a place in each layer."""
    depths: dict[str, int] = {}

    def depth(name: str, path: frozenset[str]) -> int:
        if name not in depths:
            # What goes round in a circle is cut where it closes.
            sources = [one for one in before[name] if one not in path]
            deepest = max((depth(one, path | {name}) for one in sources), default=-1)
            depths[name] = deepest + 1
        return depths[name]

    for name in nodes:
        depth(name, frozenset())
    graph = _Graph([[] for _ in range(max(depths.values(), default=-1) + 1)])
    ranked = sorted(nodes, key=lambda name: _rank(nodes[name].kind))
    for name in ranked:
        graph.layers[depths[name]].append(name)
    for source, target in edges:
        last = source
        for layer in range(depths[source] + 1, depths[target]):
            passing = f"{source}\0{target}\0{layer}"
            graph.layers[layer].append(passing)
            graph.links.append((last, passing))
            last = passing
        if depths[target] > depths[source]:
            graph.links.append((last, target))
    _untangle(graph)
    return graph


def _rank(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _untangle(graph: _Graph) -> None:
    """Put each node near the mean of those it came from, so that few links cross."""
    sources: dict[str, list[str]] = {}
    for source, target in graph.links:
        sources.setdefault(target, []).append(source)
    for above, layer in zip(graph.layers, graph.layers[1:], strict=False):
        rows = {name: row for row, name in enumerate(above)}
        places = {
            name: sum(rows[one] for one in found) / len(found) if found else float(index)
            for index, name in enumerate(layer)
            for found in [[one for one in sources.get(name, ()) if one in rows]]
        }
        layer.sort(key=places.__getitem__)
