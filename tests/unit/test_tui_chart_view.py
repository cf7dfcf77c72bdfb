"""Crosshair, zoom and following over an axis."""

from __future__ import annotations

from spice_tui.models.chart_view import ChartInput, ChartView, Walk
from spice_tui.models.series import Series


def walk(**more: object) -> Walk:
    """Over 0 to 100 with data up to 80."""
    found = Walk()
    found.extend(0.0, 100.0, 80.0)
    for name, value in more.items():
        setattr(found, name, value)
    return found


def test_the_crosshair_begins_at_the_tail_and_stays_among_points() -> None:
    xs = [float(x) for x in range(0, 81, 10)]
    one = walk()
    one.move(-1, 100, xs)
    assert one.cursor == 80.0
    one.move(1, 100, xs)
    assert one.cursor == 80.0
    one.move(-1, 100, xs)
    assert one.cursor == 70.0
    one.move(-50, 100, xs)
    assert one.cursor == 20.0
    one.move(-50, 100, xs)
    assert one.cursor == 0.0


def test_with_more_points_than_cells_it_goes_cell_by_cell() -> None:
    one = walk(cursor=40.0)
    one.move(1, 100, [x / 10 for x in range(801)])
    assert one.cursor == 41.0


def test_a_zoomed_view_follows_in_steps() -> None:
    one = walk()
    one.zoom_by(0.25)
    assert one.zoom == (55.0, 80.0)
    left, right = one.seen
    one.extend(0.0, 100.0, right)
    assert one.seen == (left, right)
    one.extend(0.0, 200.0, right + 1)
    assert one.seen == (left + 12.5, right + 12.5)
    one.follow_tail()
    one.extend(0.0, 300.0, 290.0)
    assert one.seen == (left + 12.5, right + 12.5)
    one.follow_tail()
    assert one.seen[0] < 290 < one.seen[1]


def test_zooming_out_ends_at_all() -> None:
    one = walk(cursor=50.0)
    one.zoom_by(0.5)
    assert one.zoom == (25.0, 75.0)
    one.zoom_by(2.0)
    assert one.zoom is None
    one.zoom_by(1e-30)
    assert one.zoom is None


def test_a_view_goes_where_the_crosshair_goes() -> None:
    one = walk(zoom=(10.0, 20.0), cursor=20.0)
    one.move(1, 10, [float(x) for x in range(81)])
    assert one.cursor == 21.0
    assert one.seen == (16.0, 26.0)


def test_what_is_gone_is_neither_chosen_nor_hidden() -> None:
    series = Series("a", "a", [1, 2], [1, 2])
    view = ChartView(chosen="b", hidden=frozenset({"b", "a"}))
    view.extend(ChartInput((series,)))
    assert view.chosen == ""
    assert view.hidden == {"a"}
    assert view.leading(ChartInput((series,))) is None


def test_the_axis_holds_data_beyond_what_was_asked_for() -> None:
    series = Series("a", "a", [1, 50], [1, 2])
    assert ChartInput((series,), x_until=100.0).axis() == (1.0, 100.0)
    lo, hi = ChartInput((series,), x_until=20.0).axis()
    assert lo == 1.0
    assert hi >= 50.0
    assert ChartInput().extent() is None
