"""Pods, runs, trainings, data, answers and series as rows, charts and sentences."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spice_engine.protocol.authoring import PreviewInfo
from spice_engine.protocol.engine import QueryResult
from spice_engine.protocol.pods import (
    Episode,
    Interpretation,
    PodInfo,
    ProblemInfo,
    TrainingInfo,
)
from spice_engine.protocol.runs import MetricSeries, RunInfo
from spice_engine.protocol.views import BadRow, Grid, GridColumn
from spice_tui.models import details, grid_rows, metric_series, rows, run_rows, sql_answer, verdict
from spice_tui.models.build import build
from spice_tui.models.columns import Row
from spice_tui.models.moments import ago, moment
from spice_tui.models.world import World
from spice_tui.theme.symbols import symbols

POD = PodInfo("shop", "m.yaml", "ready", ["buy"], ["price"], 30, 2, None, [])
RUN = RunInfo(
    7, "command", "", ["make", "all"], "/srv", "running", None, None, "", 10, 11, None, []
)
EVALUATION = {"in_sample": {"regret_closed": 0.95}, "held_out": {"regret_closed": 0.5}}
TRAINING = TrainingInfo("shop", 3, "tree", "complete", 100.0, 102.5, "", "", 2, EVALUATION, [], 30)


def values(row: Row, *names: str) -> tuple[Any, ...]:
    return tuple(row.values[name] for name in names)


def test_pods_by_name_and_one_with_errors_counts_as_failed() -> None:
    wrong = ProblemInfo("x", "error", "no such field", "m.yaml", 3)
    pods = {
        "shop": replace(POD, evaluation=EVALUATION),
        "b": replace(POD, name="b", problems=[wrong]),
        "a": replace(POD, name="a", state="training", problems=[wrong]),
    }
    found = rows.pod_rows(World(pods=pods))
    assert [values(row, "name", "state", "regret") for row in found] == [
        ("a", "training", None),
        ("b", "failed", None),
        ("shop", "ready", 0.5),
    ]


def run_table(*runs: RunInfo) -> run_rows.RunTable:
    table = run_rows.RunTable()
    table.take(runs)
    return table


def test_rows_of_runs_are_made_anew_only_for_those_that_changed() -> None:
    first, second = replace(RUN, id=2, params={"lr": "1"}), RUN
    table = run_table(first, second)
    before = table.rows
    table.take([first, replace(second, state="complete")])
    assert table.rows[0] is before[0]
    assert table.rows[1].values["state"] == "complete"
    table.take([replace(RUN, id=3, params={"lr": "2", "depth": "3"}), first, second])
    assert [column.key for column in table.columns if column.key in ("depth", "lr")] == [
        "depth",
        "lr",
    ]
    assert table.rows[1].values["depth"] is None
    table.take([])
    assert table.rows == []


def test_runs_newest_first_with_what_became_of_them() -> None:
    done = replace(RUN, id=9, state="complete", outcome="failed", exit_code=2, ended=15.0)
    world = World(runs={7: RUN, 9: done})
    first, second = run_table(*run_rows.shown(world.runs.values())).rows
    assert values(first, "id", "state", "exit", "took", "command") == (
        9,
        "failed",
        2,
        4.0,
        "make all",
    )
    assert values(second, "id", "state", "took") == (7, "running", None)


def test_runs_have_columns_for_what_is_there() -> None:
    plain = run_rows.columns_of([RUN])
    keys = [column.key for column in plain]
    assert "kind" not in keys
    optional = {column.key for column in plain if column.optional}
    assert optional == {"name", "why", "labels", "project"}, "shown where a run has one"
    waiting = replace(RUN, id=8, state="queued", message="waits", kind="trial")
    some = [
        replace(RUN, params={"lr": "0.1", "state": "x", "a b": 1, "flag": True}, project="P"),
        replace(waiting, params={"lr": 2}),
        replace(RUN, id=9, archived=5.0),
    ]
    shown = run_rows.shown(some)
    assert [run.id for run in shown] == [8, 7]
    assert [run.id for run in run_rows.shown(some, "p")] == [7]
    kinds = {column.key: column.kind for column in run_rows.columns_of(shown)}
    assert (kinds["lr"], kinds["param.state"], kinds["kind"]) == ("number", "text", "text")
    assert "a b" not in kinds  # the language of filters could not name it
    first, second = run_table(*shown).rows
    assert values(first, "lr", "kind", "why") == (2, "trial", "waits")
    assert values(second, "lr", "state", "param.state", "why") == (0.1, "running", "x", None)


def test_trainings_newest_first_with_their_best_score() -> None:
    episodes = (Episode(1, 0, 1, 5.0), Episode(2, 1, 2, 9.0), Episode(3, 2, 3, 99.0, error="x"))
    world = World(episodes={"shop/3": episodes})
    older = replace(TRAINING, number=2, started=50.0, ended=None, evaluation=None, state="running")
    first, second = rows.trial_rows([older, TRAINING], world)
    assert values(first, "number", "episodes", "score", "regret", "took") == (3, 3, 9.0, 0.5, 2.5)
    assert values(second, "number", "episodes", "score", "regret", "took") == (
        2,
        None,
        None,
        None,
        None,
    )


def test_interpretations_with_written_times() -> None:
    one = Interpretation(0, 3600, "night", ["buy"], ["calm", "dark"])
    (row,) = rows.interpretation_rows([one], moment)
    assert values(row, "start", "end", "name", "tags") == (
        "1970-01-01 00:00:00",
        "1970-01-01 01:00:00",
        "night",
        "calm dark",
    )


@pytest.mark.parametrize(
    "evaluation",
    [None, {}, {"held_out": None}, {"held_out": {}}, {"held_out": {"regret_closed": "much"}}],
)
def test_no_figure_where_there_is_none(evaluation: dict[str, Any] | None) -> None:
    assert verdict.regret_closed(evaluation) is None
    assert "Regret" not in verdict.of_pod(replace(POD, evaluation=evaluation))


def test_moments() -> None:
    assert moment(1756684800) == "2025-09-01 00:00:00"
    assert moment(1e18) == "1e+18"
    assert [ago(100.0, now) for now in (90.0, 130.0, 400.0, 10_000.0, 900_000.0)] == [
        "0 s ago",
        "30 s ago",
        "5 min ago",
        "3 h ago",
        "10 d ago",
    ]


# -- data


GRID = Grid(
    "shop",
    offset=10,
    rows=1200,
    columns=[
        GridColumn("time", "time"),
        GridColumn("price", "number", missing=3, bad=1),
        GridColumn("event", "category"),
    ],
    cells=[[0, 1.0, "sale"], [7200, None, ""], [1e20, 0.1 + 0.2, 5]],
    gaps=[11],
    bad=[BadRow("data/shop.csv", 4, "price", "abc", "no number")],
    bad_rows=2,
)


def test_rows_of_data_keep_their_numbers_and_mark_gaps() -> None:
    found = list(grid_rows.rows_of(GRID))
    assert [row.key for row in found] == ["10", "11", "12"]
    assert [row.values["gap"] for row in found] == ["", symbols().gap, ""]
    assert values(found[0], "c0", "c1", "c2") == ("1970-01-01 00:00:00", "1", "sale")
    assert values(found[1], "c1", "c2") == (grid_rows.MISSING, grid_rows.MISSING)
    assert values(found[2], "c0", "c1", "c2") == ("1e+20", "0.3", 5)
    titles = [column.title for column in grid_rows.columns_of(GRID)]
    assert titles == ["row", "", "time", "price #", "event abc"]


def test_a_row_shorter_than_the_columns_is_shown_as_far_as_it_goes() -> None:
    (row,) = grid_rows.rows_of(replace(GRID, cells=[[0]], gaps=[]))
    assert row.values["c0"] == "1970-01-01 00:00:00"


def test_what_is_wrong_with_the_data_is_said() -> None:
    said = grid_rows.summary(GRID)
    assert said.startswith("1,200 rows, 3 cells missing (-), 1 gap")
    assert said.endswith("3 bad left out")
    assert "data/shop.csv:4 price: 'abc': no number" in grid_rows.bad_lines(GRID)
    clean = Grid("shop", 0, 1, [], [])
    assert (grid_rows.summary(clean), grid_rows.bad_lines(clean)) == ("1 row", "")


# -- answers in SQL


def test_an_answer_as_table() -> None:
    answer = QueryResult(["a", "a", "b"], [[1, 0.1, None], [2, b"\x01\xff", "x"]])
    assert [column.title for column in sql_answer.columns_of(answer)] == ["a", "a", "b"]
    first, second = sql_answer.rows_of(answer)
    assert values(first, "c0", "c1", "c2") == (1, "0.1", None)
    assert second.values["c1"] == "01ff"


@pytest.mark.parametrize(
    ("columns", "data", "titles", "xs"),
    [
        (["t", "v"], [[1, 5], [3, 4], [9, 3]], ["v"], [1, 3, 9]),
        (["t", "v"], [[1, 5], [1, 4]], ["t", "v"], [0, 1]),  # the first does not rise
        (["v"], [[5], [7]], ["v"], [0, 1]),
        (["name", "t", "v"], [["x", 1, 5], ["y", 2, None]], ["v"], [1, 2]),
    ],
)
def test_an_answer_as_chart(
    columns: list[str], data: list[list[Any]], titles: list[str], xs: list[float]
) -> None:
    series = sql_answer.series_of(QueryResult(columns, data))
    assert [one.title for one in series] == titles
    assert all(list(one.xs) == xs for one in series)


@pytest.mark.parametrize(
    "answer",
    [
        QueryResult([], []),
        QueryResult(["a"], []),
        QueryResult(["a"], [[1]]),
        QueryResult(["a", "b"], [["x", True], ["y", False]]),
        QueryResult(["a"], [[None], [None]]),
    ],
)
def test_an_answer_that_is_no_chart(answer: QueryResult) -> None:
    assert sql_answer.series_of(answer) == ()


# -- series


def test_metrics_of_a_run() -> None:
    (series,) = metric_series.of_run([MetricSeries("loss", [0, 2], [1.0, 2.0], [0.5, None])])
    assert list(series.xs) == [0.0, 2.0]
    assert series.ys[0] == 0.5
    assert math.isnan(series.ys[1])


def test_how_a_pod_went_from_training_to_training() -> None:
    trained = replace(TRAINING, episodes=[Episode(1, 0, 1, 5.0), Episode(2, 1, 2, 9.0)])
    failed = replace(TRAINING, number=4, ended=None, evaluation={"in_sample": None})
    series = {one.key: one for one in metric_series.of_pod([trained, failed])}
    assert list(series["best score"].ys) == [9.0]
    assert list(series["regret closed, held out"].xs) == [3.0]
    assert list(series["seconds"].ys) == [2.5]
    assert metric_series.of_pod([]) == ()


def test_the_newest_losses_go_from_episode_to_episode() -> None:
    def told(number: int, td: float | None) -> Episode:
        return Episode(number, 0, 1, 5.0, detail={} if td is None else {"losses": {"td": td}})

    older = replace(TRAINING, number=2, episodes=[told(1, None), told(2, 9.0)])
    newer = replace(TRAINING, number=3, episodes=[told(1, None), told(2, 4.0), told(3, 1.0)])
    without = replace(TRAINING, number=4, episodes=[told(1, None)])
    (found,) = (
        one for one in metric_series.of_pod([older, newer, without]) if one.key == "loss/td"
    )
    assert found.title == "loss/td, training 3"
    assert (list(found.xs), list(found.ys)) == ([2.0, 3.0], [4.0, 1.0])


# -- words


def test_what_the_figures_mean() -> None:
    assert verdict.of_pod(None) == ""
    good = verdict.of_pod(replace(POD, evaluation=EVALUATION))
    assert good == "Regret closed: 95.0% in sample, 50.0% held out."
    bad = {"held_out": {"regret_closed": -0.25}, "constant_policy": True}
    said = verdict.of_pod(replace(POD, evaluation=bad))
    assert "always takes the same action" in said
    assert "-25.0% held out" in said
    assert "does not beat" in said
    nothing = verdict.of_pod(replace(POD, evaluation={**EVALUATION, "nothing_to_learn": True}))
    assert nothing == "Nothing to learn: every action is as good as another."


def test_training_problems_and_preview_are_told() -> None:
    wrong = ProblemInfo("x", "error", "there is no field 'prize'.", "m.yaml", 3)
    said = verdict.of_pod(replace(POD, training=5, problems=[wrong]))
    assert said.startswith("Training 5 is under way.")
    assert wrong.message in said
    assert "The pod is failed." in verdict.of_pod(replace(POD, state="failed"))
    preview = build(PreviewInfo, {"pod": "shop", "state": "running", "evaluation": EVALUATION})
    assert "Preview: running, 50.0% held out." in verdict.of_pod(POD, preview)


def test_everything_about_one_thing() -> None:
    text = details.of_run(replace(RUN, ended=15.0, outcome="ok", labels=["a", "b"]), now=75.0)
    assert "command  make all" in text
    assert "(1 min ago)" in text
    assert "labels   a b" in text
    assert "exit code" not in text, "what is not known is left out"
    assert "exit code  0" in details.of_run(replace(RUN, exit_code=0), now=75.0)
    stages = {"running": 2.0, "snapshot": 0.5, "saving": 0.25}
    text = details.of_run(replace(RUN, stages=stages, cwd="/app/src"), 75.0, Path("/app"))
    lines = text.split("\n")
    at = next(number for number, line in enumerate(lines) if line.startswith("stages "))
    second = lines[at].index("snapshot")
    assert lines[at].endswith(",")
    assert lines[at + 1].index("saving") == second, "long values go on where they began"
    assert "in       src" in text
    assert "\nin " not in details.of_run(replace(RUN, cwd="/app"), 75.0, Path("/app"))
    assert "in       /other" in details.of_run(replace(RUN, cwd="/other"), 75.0, Path("/app"))
    assert "0 of 30" in details.of_training(TRAINING)
    assert "still at it" in details.of_training(replace(TRAINING, ended=None))
