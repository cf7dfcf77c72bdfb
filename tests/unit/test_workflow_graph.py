"""Workflows as graphs."""

from __future__ import annotations

from typing import Any

from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.views import Lineage
from spice_engine.protocol.workflows import StepInfo, WorkflowInfo
from spice_engine.runs.workflows import graph, plan
from spice_engine.runs.workflows.model import StepSpec, WorkflowSpec


def run(number: int, **given: Any) -> RunInfo:
    whole = {
        "kind": "run", "name": "", "command": ["x"], "cwd": "", "state": "complete",
        "outcome": "success", "exit_code": 0, "message": "", "created": 0.0, "started": 0.0,
        "ended": 1.0, "labels": [], "parent": 1, "made_by": "workflow:7",
    }  # fmt: skip
    return RunInfo(id=number, **{**whole, **given})


def workflow(managing: int | None) -> WorkflowInfo:
    return WorkflowInfo(7, "script", "flow", "running", "", 0.0, None, managing, ["flow"], "", {})


def made(*runs: RunInfo) -> graph.Made:
    return graph.Made(runs)


def edges(found: Lineage) -> set[tuple[str, str]]:
    return {(one.source, one.target) for one in found.edges}


def titles(found: Lineage) -> dict[str, tuple[str, str]]:
    return {one.id: (one.title, one.state) for one in found.nodes}


def test_a_run_comes_from_what_it_mounts_else_from_who_made_it() -> None:
    found = graph.of_runs(
        workflow(1),
        made(
            run(1, kind="workflow", parent=None),
            run(2, mounts=["uploads/data:d"]),
            run(3, mounts=["runs/@latest/model:m"], came_from=[2], outcome="failed"),
            run(4, parent=3),
            run(5, after=[4], mounts=["runs/99:m"], came_from=[99]),
        ),
    )
    assert edges(found) == {
        ("data/uploads/data", "run/2"),
        ("run/1", "run/2"),
        ("run/2", "run/3"),
        ("run/3", "run/4"),
        ("run/4", "run/5"),
        ("data/runs/99", "run/5"),
    }
    assert titles(found)["run/3"] == ("3: x", "failed")


def test_many_trials_of_a_search_are_one_node() -> None:
    trials = [
        run(number, made_by="search:2", state="running" if number == 9 else "complete")
        for number in range(3, 3 + graph.MOST_INSTANCES + 1)
    ]
    found = graph.of_runs(
        workflow(None), made(run(2, mounts=["runs/5:m"], came_from=[5], parent=None), *trials)
    )
    assert titles(found)["search/2"] == ("13 trials of search 2", "running")
    assert edges(found) == {("workflow/7", "search/2"), ("search/2", "run/2")}


def test_runs_that_are_too_many_are_counted() -> None:
    rest = ["complete"] * 9 + ["failed"]
    found = graph.of_runs(workflow(1), graph.Made([run(1, parent=None), run(2)], rest))
    assert titles(found)["more"] == ("10 more runs", "failed")
    assert edges(found) == {("run/1", "run/2"), ("run/1", "more")}


def test_many_instances_of_a_step_are_one_node() -> None:
    made = plan.make(
        WorkflowSpec(
            steps={
                "few": StepSpec("x", foreach=[1, 2], mounts="uploads/a:b"),
                "many": StepSpec("x", foreach=list(range(20)), needs="few"),
            }
        )
    )
    steps = [
        StepInfo(key, "failed" if key == "many[3]" else "complete", run=1) for key in made.nodes
    ]
    found = graph.of_plan(made, steps)
    assert titles(found)["step/many"] == ("20 of many", "failed")
    assert edges(found) == {
        ("data/uploads/a", "step/few[0]"),
        ("data/uploads/a", "step/few[1]"),
        ("step/few[0]", "step/many"),
        ("step/few[1]", "step/many"),
    }
