"""The lineage view on a screen."""

from __future__ import annotations

from textual.app import App, ComposeResult

from spice_engine.protocol.views import Lineage, LineageEdge, LineageNode
from spice_tui.widgets.lineage import LineageGraph

LINEAGE = Lineage(
    [LineageNode("d", "data", "prices"), LineageNode("p", "pod", "trader", "ready", "2 actions")],
    [LineageEdge("d", "p")],
)


class Host(App[None]):
    """An app with the view and what was chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[str] = []

    def compose(self) -> ComposeResult:
        yield LineageGraph()

    def on_lineage_graph_chosen(self, event: LineageGraph.Chosen) -> None:
        self.chosen.append(event.node.id)


async def test_walk_and_open() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        graph = app.query_one(LineageGraph)
        graph.focus()
        await pilot.press("l", "enter")
        await pilot.pause()
        assert app.chosen == []
        graph.show(LINEAGE)
        await pilot.press("l", "enter")
        await pilot.pause()
        assert app.chosen == ["p"]
        text = "\n".join(graph.page.render_line(y).text for y in range(graph.page.size.height))
        assert "prices" in text
        assert "2 actions" in text
        graph.show(LINEAGE)
        assert graph.chosen is not None
        assert graph.chosen.id == "p"
