"""What the views into a pod's data ask a real engine: timelines, steps, grids, lineage, exports."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from spice_engine.errors import Conflict, InvalidManifest, InvalidRequest, NotFound, SpiceError
from spice_engine.pods.upkeep import NeedsTrust
from tests.conftest import EngineFixture, wait_for

POD, WORLD, FILED = "serverops", "trader", "filed"
ROWS = 2880
CODE = """\
name: filed
params: {epoch_time: 1767225600, period: 1h, interval: 2m, granularity: 30s}
dataspaces:
  - from: hostmetrics
    name: service
    data:
      connector: {name: file, params: {path: data/odd.csv}}
      processor: {name: csv}
    measurements: [{name: cpu}, {name: memory}]
    categories: [{name: kind, values: [big, small]}]
    identifiers: [{name: host}]
    tags: {selectors: [labels], values: [hot, cold]}
actions: [{name: one}, {name: two}]
training:
  reward_funcs: rewards.py
  rewards:
    - {reward: one, with: first}
    - {reward: two, with: second}
"""
REWARDS = """\
def first(current, next):
    if next["hostmetrics_service_cpu"] > 10:
        return 2.0
    return 1.0


def second(current, next):
    raise ValueError("never")
"""


def ready(engine: EngineFixture, pod: str, *states: str) -> None:
    wait_for(
        lambda: engine.call("pods.get", pod=pod)["state"] in (states or ("ready",)),
        f"{pod} to be ready",
        60.0,
    )


@pytest.fixture(scope="module")
def world(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with a pod that learns from data, a simulated one, and one with a reward file."""
    root = shared_engine.location.root
    for sample in (POD, WORLD):
        shared_engine.call("samples.add", name=f"samples/{sample}")
    lines = ["time,cpu,memory,kind,host,labels"]
    for row in range(100):
        if row in {40, 41}:
            continue
        cpu = "broken" if row == 7 else "" if row == 8 else str(row)
        lines.append(f"{1767225600 + 30 * row},{cpu},5,{'big' if row % 2 else 'odd'},h{row},hot")
    lines.insert(3, "not a time,1,1,big,h,hot")
    (root / "data" / "odd.csv").write_text("\n".join(lines) + "\n")
    (root / "rewards.py").write_text(REWARDS)
    (root / "spicepods" / "filed.yaml").write_text(CODE)
    for pod in (POD, WORLD):
        wait_for(lambda pod=pod: pod in names(shared_engine), pod)
        ready(shared_engine, pod)
    wait_for(lambda: FILED in names(shared_engine), FILED)
    ready(shared_engine, FILED, "needs trust")
    return shared_engine


def names(engine: EngineFixture) -> list[str]:
    return [pod["name"] for pod in engine.call("pods.list")["pods"]]


def rows_of_csv(engine: EngineFixture) -> list[dict[str, str]]:
    with (engine.location.root / "data" / "metrics.csv").open() as source:
        return list(csv.DictReader(source))


# -- timelines


def test_a_timeline_thins_the_data_and_tells_the_choices(world: EngineFixture):
    found = world.call("pods.timeline", pod=POD, points=288)
    assert len(found["times"]) == 288
    assert (found["first"], found["times"][0]) == (1767225600, 1767225600)
    assert found["granularity"] == 30
    cpu = [float(row["cpu"]) for row in rows_of_csv(world)]
    name = "hostmetrics_service_cpu"
    for part in (0, 100, 287):
        own = cpu[10 * part : 10 * part + 10]
        assert found["values"][name][part] == pytest.approx(sum(own) / 10)
        assert found["lows"][name][part] == min(own)
        assert found["highs"][name][part] == max(own)
    held_out = world.call("pods.get", pod=POD)["evaluation"]["held_out_from"]
    assert found["holdout"] == held_out
    assert len(found["chosen"]) == len(found["best"]) == len(found["rewards"]) == 288
    assert found["chosen"][0] == -1  # the window of 20 rows is not full yet
    assert set(found["chosen"][2:]) <= {0, 1, 2}
    assert found["policy_version"] == 1


def test_single_rows_say_what_was_recommended_and_what_a_step_gave(world: EngineFixture):
    start = 1767225600 + 500 * 30
    found = world.call("pods.timeline", pod=POD, start=start, end=start + 20 * 30)
    assert found["times"] == [start + 30 * row for row in range(20)]
    for row in range(0, 20, 5):
        told = world.call("pods.recommend", pod=POD, time=start + 30 * (row + 1))
        step = world.call("pods.step", pod=POD, row=500 + row)
        action = found["actions"][found["chosen"][row]]
        assert action == told["action"] == step["chosen"]
        assert found["actions"][found["best"][row]] == step["best"]
        given = {one["action"]: one["value"] for one in step["rewards"]}
        assert found["rewards"][row] == pytest.approx(given[action])


def test_the_timeline_of_a_simulated_pod_is_its_policys_own_episode(world: EngineFixture):
    found = world.call("pods.timeline", pod=WORLD, points=5000)
    coins = found["values"]["local_portfolio_coins"]
    assert set(found["best"]) == {-1}
    bought = [
        i for i, one in enumerate(found["chosen"]) if one >= 0 and "buy" in found["actions"][one]
    ]
    assert bought
    for step in bought:
        assert coins[step + 1] > coins[step]
    step = world.call("pods.step", pod=WORLD, row=bought[-1])
    assert step["chosen"] == found["actions"][found["chosen"][bought[-1]]]
    assert step["current"]["local_portfolio_coins"] == coins[bought[-1]]
    assert step["following"]["local_portfolio_coins"] == coins[bought[-1] + 1]
    score = sum(one for one in found["rewards"] if one is not None)
    evaluation = world.call("pods.get", pod=WORLD)["evaluation"]
    assert score == pytest.approx(evaluation["refit"]["score"])


def test_some_fields_of_a_stretch_without_rows(world: EngineFixture):
    found = world.call("pods.timeline", pod=POD, start=1, end=2, fields=["hostmetrics.service.cpu"])
    assert found["times"] == []
    assert found["values"] == {"hostmetrics_service_cpu": []}


@pytest.mark.parametrize("params", [{"points": 0}, {"points": 10**9}, {"fields": ["nothing"]}])
def test_a_timeline_of_nothing_is_refused(world: EngineFixture, params: dict[str, Any]):
    with pytest.raises(InvalidRequest):
        world.call("pods.timeline", pod=POD, **params)


def test_a_timeline_by_an_alias(world: EngineFixture):
    assert world.call("pods.timeline", pod=POD, alias="best")["policy_version"] == 1
    with pytest.raises(SpiceError, match="unheard-of"):
        world.call("pods.timeline", pod=POD, alias="unheard-of")


# -- steps


def lines_of(engine: EngineFixture, file: str) -> list[str]:
    return (engine.location.root / file).read_text().splitlines()


def test_a_step_names_the_line_that_gave_each_reward(world: EngineFixture):
    data = [float(row["cpu"]) for row in rows_of_csv(world)]
    for row in (next(i for i in range(ROWS) if abs(data[i + 1] - data[i]) < 2), 1000):
        step = world.call("pods.step", pod=POD, row=row)
        assert (step["row"], step["rows"], step["time"]) == (row, ROWS, 1767225600 + 30 * row)
        calm = abs(data[row + 1] - data[row]) < 2
        rewards = {one["action"]: one for one in step["rewards"]}
        for one in rewards.values():
            line = lines_of(world, one["file"])[one["line"] - 1]
            assert line.strip() == one["code"]
            assert line[one["column"] - 1 :] == one["code"]
        care = rewards["perform_maintenance"]
        assert care["code"] == ("reward = reward + 0.5" if calm else "reward = (30 - soon) / 5")
        assert care["value"] == pytest.approx((30 - data[row + 1]) / 5 + 0.5 * calm)


def test_a_step_is_found_by_time(world: EngineFixture):
    assert world.call("pods.step", pod=POD, time=1767225600 + 30 * 77 + 29)["row"] == 77
    last = world.call("pods.step", pod=POD)
    assert (last["row"], last["held_out"]) == (ROWS - 2, True)
    assert not world.call("pods.step", pod=POD, row=0)["held_out"]


@pytest.mark.parametrize("params", [{"row": -1}, {"row": ROWS - 1}, {"time": 5}])
def test_a_step_that_is_none_is_refused(world: EngineFixture, params: dict[str, Any]):
    with pytest.raises(InvalidRequest, match="no step"):
        world.call("pods.step", pod=POD, **params)


def test_an_unsaved_manifest_judges_a_step(world: EngineFixture):
    text = (world.location.root / "spicepods" / f"{POD}.yaml").read_text()
    other = text.replace("reward = (soon - 40) / 10", "reward = 12345")
    step = world.call("pods.step", pod=POD, row=5, text=other)
    assert step["rewards"][0]["value"] == 12345
    assert step["rewards"][0]["code"] == "reward = 12345"
    broken = text.replace("reward = (soon - 40) / 10", "reward = 1 / (now - now)")
    step = world.call("pods.step", pod=POD, row=5, text=broken)
    assert step["rewards"][0]["value"] is None
    assert "ZeroDivisionError" in step["rewards"][0]["error"]
    with pytest.raises(InvalidManifest):
        world.call("pods.step", pod=POD, row=5, text="name: [")
    more = text.replace("- name: memory", "- name: memory\n      - name: disk")
    with pytest.raises(InvalidManifest, match="other fields"):
        world.call("pods.step", pod=POD, row=5, text=more)


def test_an_unlawful_action_is_told(world: EngineFixture):
    found = [world.call("pods.step", pod=WORLD, row=row) for row in range(60, 700, 40)]
    unlawful = [one for step in found for one in step["rewards"] if not one["lawful"]]
    assert unlawful
    for step in found:
        assert step["best"] not in {one["action"] for one in step["rewards"] if not one["lawful"]}


# -- grids


def test_a_grid_has_typed_columns_gaps_and_bad_rows(world: EngineFixture):
    grid = world.call("pods.grid", pod=FILED, offset=0, limit=10)
    assert grid["rows"] == 98
    columns = {one["name"]: one for one in grid["columns"]}
    assert {name: one["kind"] for name, one in columns.items()} == {
        "time": "time",
        "hostmetrics.service.cpu": "number",
        "hostmetrics.service.memory": "number",
        "hostmetrics.service.kind": "category",
        "hostmetrics.service.host": "identifier",
        "tags": "tag",
    }
    cpu = columns["hostmetrics.service.cpu"]
    assert (cpu["missing"], cpu["bad"], cpu["least"], cpu["greatest"]) == (2, 1, 0, 99)
    assert cpu["dataspace"] == "hostmetrics/service"
    assert grid["cells"][1] == [1767225630, 1, 5, "big", "h1", "hot"]
    assert grid["cells"][7][1] is None
    assert grid["bad_rows"] == 1
    by_line = {one["line"]: one for one in grid["bad"]}
    assert by_line[4]["text"].startswith("not a time,")
    assert by_line[4]["source"] == "data/odd.csv"
    assert by_line[10]["column"] == "cpu"
    assert grid["gaps"] == []


def test_a_grid_in_parts_knows_the_row_before(world: EngineFixture):
    every = world.call("pods.grid", pod=FILED, limit=1000)
    assert every["gaps"] == [40]
    assert world.call("pods.grid", pod=FILED, offset=40, limit=5)["gaps"] == [40]
    part = world.call("pods.grid", pod=FILED, offset=90, limit=1000)
    assert part["cells"] == every["cells"][90:]
    beyond = world.call("pods.grid", pod=FILED, offset=5000)
    assert (beyond["offset"], beyond["cells"]) == (98, [])
    with pytest.raises(InvalidRequest):
        world.call("pods.grid", pod=FILED, offset=-1)


# -- lineage


def test_lineage_leads_from_data_to_policies_and_runs(world: EngineFixture):
    number = world.call("runs.start", command="echo done", name="job")["id"]
    wait_for(lambda: world.call("runs.get", id=number)["state"] == "complete", "the run")
    found = world.call("store.lineage")
    nodes = {one["id"]: one for one in found["nodes"]}
    edges = {(one["source"], one["target"]) for one in found["edges"]}
    assert {end for edge in edges for end in edge} <= nodes.keys()
    for edge in (
        ("data/data/metrics.csv", f"pod/{POD}"),
        (f"pod/{POD}", f"training/{POD}/1"),
        (f"training/{POD}/1", f"policy/{POD}/1"),
        (f"run/{number}", f"data/runs/{number}"),
    ):
        assert edge in edges
    assert nodes[f"policy/{POD}/1"]["state"] == "serving"
    assert "latest" in nodes[f"policy/{POD}/1"]["detail"]
    own = world.call("store.lineage", pod=WORLD)
    assert {one["kind"] for one in own["nodes"]} == {"data", "pod", "training", "policy"}
    assert all(POD not in one["id"] for one in own["nodes"])
    assert len(world.call("store.lineage", run=number)["nodes"]) == 2
    with pytest.raises(NotFound):
        world.call("store.lineage", pod="none")


# -- exports

TABLE: dict[str, Any] = {
    "columns": ["name", "value", "mixed"],
    "rows": [["a", 1.5, 1], ['é,"\n', math.nan, "x"], [None, None, [1, {"k": None}]]],
}


def export(engine: EngineFixture, path: str, **params: Any) -> Path:
    form = path.rpartition(".")[2]
    answer = engine.call("store.export", path=path, format=form, **{**TABLE, **params})
    file = engine.location.root / path
    assert (answer["path"], answer["bytes"]) == (path, file.stat().st_size)
    assert answer["rows"] == len(params.get("rows", TABLE["rows"]))
    return file


def test_tables_are_written_in_each_format(world: EngineFixture):
    with export(world, "out/table.csv").open(newline="") as source:
        rows = list(csv.reader(source))
    assert rows[0] == TABLE["columns"]
    assert rows[2] == ['é,"\n', "nan", "x"]
    assert rows[3] == ["", "", '[1,{"k":null}]']
    items = json.loads(export(world, "out/table.json").read_text())
    assert items[1] == {"name": 'é,"\n', "value": None, "mixed": "x"}
    frame = pl.read_parquet(export(world, "out/table.parquet"))
    assert frame["name"].to_list() == ["a", 'é,"\n', None]
    assert frame["mixed"].to_list() == ["1", "x", '[1,{"k":null}]']
    assert frame.schema["value"] == pl.Float64
    assert sorted(one.name for one in (world.location.root / "out").iterdir()) == [
        "table.csv",
        "table.json",
        "table.parquet",
    ]
    shutil.rmtree(world.location.root / "out")


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_what_is_there_is_replaced_only_when_wished(world: EngineFixture, form: str):
    file = world.location.root / f"kept.{form}"
    file.write_text("mine")
    with pytest.raises(Conflict):
        export(world, file.name)
    assert file.read_text() == "mine"
    assert export(world, file.name, rows=[], replace=True).read_bytes() != b"mine"


@pytest.mark.parametrize(
    "params",
    [
        {"path": "../out.csv"},
        {"path": "/tmp/out.csv"},
        {"path": ".spice/out.csv"},
        {"path": "spicepods/serverops.yaml"},
        {"path": "x\0.csv"},
        {"path": ""},
        {"format": "xml", "path": "a.xml"},
        {"columns": ["a", "a", "b"]},
        {"rows": [[1]]},
    ],
)
def test_an_export_elsewhere_or_of_no_table_is_refused(
    world: EngineFixture, params: dict[str, Any]
):
    with pytest.raises(InvalidRequest):
        world.call("store.export", **{"path": "a.csv", "format": "csv", **TABLE, **params})


# -- code of files runs only where its owner said so


def test_code_of_a_file_is_looked_at_only_in_a_trusted_folder(world: EngineFixture):
    with pytest.raises(NeedsTrust):
        world.call("pods.step", pod=FILED, row=3)
    text = (world.location.root / "spicepods" / f"{FILED}.yaml").read_text()
    with pytest.raises(NeedsTrust):
        world.call("pods.step", pod=FILED, row=3, text=text)
    found = world.call("pods.timeline", pod=FILED)
    assert set(found["best"]) == {-1}
    assert set(found["rewards"]) == {None}
    assert len(found["times"]) == 100


def test_a_step_names_the_line_of_a_file_that_returned(world: EngineFixture):
    world.call("trust.set", trusted=True)
    try:
        rewards = world.call("pods.step", pod=FILED, row=50)["rewards"]
        low = world.call("pods.step", pod=FILED, row=3)["rewards"]
    finally:
        world.call("trust.set", trusted=False)
    assert (rewards[0]["value"], rewards[0]["code"]) == (2.0, "return 2.0")
    assert (low[0]["value"], low[0]["line"]) == (1.0, 4)
    assert rewards[1]["value"] is None
    assert "never" in rewards[1]["error"]
    assert rewards[1]["line"] == 8


# -- what changes the data comes last


def test_a_grid_shows_what_was_written_and_posted_since(world: EngineFixture):
    before = world.call("pods.grid", pod=POD)["rows"]
    observation = "time,hostmetrics.service.cpu\n1767225601,77\n"
    world.call("pods.observe", pod=POD, data=observation.encode())
    grid = world.call("pods.grid", pod=POD)
    assert grid["rows"] == before + 1
    assert grid["cells"][1] == [1767225601, 77, None]
    path = world.location.root / "data" / "odd.csv"
    with path.open("a") as out:
        out.write(f"{1767225600 + 30 * 100},1000,5,big,h,hot\n")
    columns = world.call("pods.grid", pod=FILED)["columns"]
    assert columns[1]["greatest"] == 1000
