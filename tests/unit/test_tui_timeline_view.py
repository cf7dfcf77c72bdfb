"""The decision timeline as rows."""

from __future__ import annotations

import math

from spice_engine.protocol.views import Timeline
from spice_tui.models.scale import number
from spice_tui.models.timeline_view import TimelineView, letters

HOUR = 3600
START = 1_700_006_400


def timeline(hours: int = 48, fields: tuple[str, ...] = ("price", "load")) -> Timeline:
    """Hourly data whose price swings; buys when it is low, one decision in ten is wrong."""
    times = [START + i * HOUR for i in range(hours)]
    values = {name: [math.sin(i / 6) * 10 for i in range(hours)] for name in fields}
    best = [0 if math.sin(i / 6) < 0 else 1 for i in range(hours)]
    return Timeline(
        pod="trader",
        granularity=HOUR,
        first=START,
        last=times[-1],
        holdout=times[hours * 3 // 4],
        actions=["buy", "sell", "boost"],
        times=times,
        values={name: [*found] for name, found in values.items()},
        lows={name: [v - 1 for v in found] for name, found in values.items()},
        highs={name: [v + 1 for v in found] for name, found in values.items()},
        chosen=[(action + 1) % 2 if i % 10 == 0 else action for i, action in enumerate(best)],
        best=best,
        rewards=[float(i % 3) for i in range(hours)],
    )


def whole(data: Timeline) -> tuple[float, float]:
    """All of its time."""
    return float(data.first), float(data.last + data.granularity)


def drawn(data: Timeline, cursor: float | None, width: int = 80, height: int = 24) -> list[str]:
    """The rows as text."""
    texts, styles = TimelineView(data).draw(whole(data), cursor, 0, width, height)
    assert [len(text) for text in texts] == [width] * height
    assert [len(style) for style in styles] == [width] * height
    return list(texts)


def test_letters_differ() -> None:
    assert letters(["buy", "sell", "boost", "b", "Über"]) == ["b", "s", "o", "a", "e"]
    assert len(set(letters([f"action {i}" for i in range(30)]))) == 30


def test_strips_show_actions_and_the_held_out_part() -> None:
    rows = drawn(timeline(), None, width=56)
    chosen = next(row for row in rows if row.lstrip().startswith("chosen"))
    best = next(row for row in rows if row.lstrip().startswith("best"))
    # 48 cells for 48 hours.
    assert best[8:27] == "s" * 19
    wrong = [i for i, (a, b) in enumerate(zip(chosen[8:], best[8:], strict=True)) if a != b]
    assert wrong == [0, 10, 20, 30, 40]
    parts = next(row for row in rows if "held out" in row)
    assert parts[8:].index("█") == 36
    assert "b buy" in rows[0]


def test_the_crosshair_reads_out_its_stretch() -> None:
    data = timeline()
    rows = drawn(data, float(data.times[40]))
    assert "2023-11-16 16:00" in rows[0]
    assert "reward 1" in rows[0]
    assert "held out" in rows[0]
    assert any("price" in row and number(math.sin(40 / 6) * 10) in row for row in rows)


def test_a_wrong_choice_is_told_with_what_was_best() -> None:
    data = timeline()
    read = TimelineView(data).read(data.times[10] + 20)
    assert read is not None
    assert read.chosen != read.best
    assert f"best {read.best}" in drawn(data, float(data.times[10]))[0]


def test_many_fields_share_the_room_and_small_places_keep_the_strips() -> None:
    data = timeline(fields=tuple(f"field {i}" for i in range(30)))
    view = TimelineView(data)
    shown = view.stacked(0, 24)
    assert [rows for _, rows in shown] == [3] * 6
    assert view.stacked(30, 24)[0][0] == "reward"
    assert any("chosen" in row for row in drawn(data, None, width=40, height=7))
    for size in ((1, 1), (12, 3), (200, 60)):
        drawn(data, float(START), *size)


def test_extremes_are_drawn_and_gaps_are_not() -> None:
    data = timeline(8)
    data.values["price"][3] = data.lows["price"][3] = data.highs["price"][3] = None
    data.highs["price"][5] = 500.0
    series = TimelineView(data).series["price"]
    columns = series.columns(*whole(data), 160)
    assert max(column.high for column in columns) == 500.0
    assert sum(not column.joined for column in columns) == 2
