"""Workflows in words, and which run stands behind a node of the graph."""

from __future__ import annotations

from spice_engine.protocol.workflows import StepInfo, WorkflowInfo
from spice_tui.models.workflow_rows import run_of_step, workflow_rows, workflow_words

INFO = WorkflowInfo(
    2,
    "declared",
    "wide",
    "failed",
    "train[6] failed.",
    1.0,
    2.0,
    None,
    [],
    "wide.yaml",
    {},
    counts={"complete": 2, "failed": 1},
    steps=[
        StepInfo("prepare", "complete", 50),
        StepInfo("train[5]", "complete", 51),
        StepInfo("train[6]", "failed", 52),
        StepInfo("trainer", "complete", 53),
        StepInfo("report", "skipped"),
    ],
)


def test_a_node_of_many_leads_to_the_run_that_failed() -> None:
    assert run_of_step(INFO, "prepare") == 50
    assert run_of_step(INFO, "train[5]") == 51
    assert run_of_step(INFO, "train") == 52
    assert run_of_step(INFO, "report") is None
    assert run_of_step(None, "prepare") is None


def test_a_workflow_as_a_row_and_in_words() -> None:
    (row,) = workflow_rows([INFO])
    assert row.values["steps"] == "2 complete, 1 failed"
    assert workflow_words(INFO) == "Workflow 2 wide is failed: train[6] failed."
