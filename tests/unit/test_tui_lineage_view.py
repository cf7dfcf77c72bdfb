"""What came from what, as columns."""

from __future__ import annotations

from spice_engine.protocol.views import Lineage, LineageEdge, LineageNode
from spice_tui.models.lineage_view import LineageView
from spice_tui.theme import symbols


def lineage(*edges: str, alone: str = "") -> Lineage:
    """A lineage of edges such as `data/a pod/b`."""
    names = dict.fromkeys([end for edge in edges for end in edge.split()] + alone.split())
    nodes = [LineageNode(name, *name.split("/")) for name in names]
    return Lineage(nodes, [LineageEdge(*edge.split()) for edge in edges])


def shown(view: LineageView, width: int = 80, cursor: str = "") -> list[str]:
    """Its rows."""
    return [line.text.rstrip() for line in view.lines(width, cursor)]


def test_links_join_columns() -> None:
    view = LineageView(lineage("data/a pod/x", "data/b pod/x", "data/b pod/y"))
    assert shown(view, 29) == [
        "data             pod",
        "· a ──────────┬──· x",
        "· b ──────────┴──· y",
    ]


def test_links_of_different_sources_keep_apart() -> None:
    view = LineageView(lineage("data/a pod/x", "data/b pod/y", "data/b pod/z", "data/c pod/x"))
    assert shown(view, 40) == [
        "data                   pod",
        "· a ────────────────┬──· x",
        "· b ───────────────┬┼──· y",
        "· c ───────────────┴┴──· z",
    ]


def test_a_long_link_passes_columns_without_touching_nodes() -> None:
    view = LineageView(lineage("data/a pod/x", "pod/x policy/p", "data/a policy/p"))
    rows = shown(view, 60)
    assert rows[0].split() == ["data", "pod", "policy"]
    assert "x" in rows[1]
    # The link from data to policy goes below the pod.
    assert set(rows[2].split()[0]) <= set("└─┘")


def test_the_cursor_goes_along_links_and_up_and_down() -> None:
    view = LineageView(lineage("data/a pod/x", "pod/x training/1", "pod/x training/2"))
    at = view.first()
    assert at == "data/a"
    at = view.move(at, 1, 0)
    assert at == "pod/x"
    at = view.move(view.move(at, 1, 0), 0, 1)
    assert at == "training/2"
    assert view.move(at, 1, 0) == at
    assert view.move(at, -1, 0) == "pod/x"


def test_circles_dangling_links_and_nothing() -> None:
    circle = LineageView(lineage("pod/a pod/b", "pod/b pod/a"))
    assert {"pod/a", "pod/b"} <= set(circle.places)
    assert shown(circle)
    dangling = lineage(alone="pod/a")
    dangling.edges.append(LineageEdge("pod/a", "pod/gone"))
    assert "pod/gone" not in LineageView(dangling).places
    assert "Nothing" in shown(LineageView(Lineage([], [])))[0]
    assert LineageView(Lineage([], [])).move("", 1, 0) == ""


def test_a_narrow_place_shows_the_columns_around_the_cursor() -> None:
    chain = LineageView(
        lineage("data/a pod/b", "pod/b training/c", "training/c policy/d", "policy/d server/e")
    )
    assert "server" in shown(chain, 40, "server/e")[0]
    assert "data" in shown(chain, 40, "data/a")[0]


def test_plain_signs() -> None:
    symbols.use(symbols.ASCII)
    try:
        view = LineageView(lineage("data/a pod/x", "data/b pod/x"))
        assert all(row.isascii() for row in shown(view, cursor="data/a"))
    finally:
        symbols.use(symbols.UNICODE)
