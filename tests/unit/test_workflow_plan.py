"""Plans of workflows: order, instances, params, and what is carried out, left out or ended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.runs.workflows import plan, progress
from spice_engine.runs.workflows.model import StepSpec, WorkflowSpec
from spice_engine.runs.workflows.plan import PlanError
from spice_engine.runs.workflows.progress import Blocked, Ready


def made(given: dict[str, Any] | None = None, /, **steps: StepSpec) -> plan.Plan:
    return plan.make(WorkflowSpec(steps=steps), given)


def problems(**steps: StepSpec) -> list[str]:
    with pytest.raises(PlanError) as caught:
        made(**steps)
    return [problem.message for problem in caught.value.problems]


def test_steps_come_after_what_they_need_mount_and_ask_about() -> None:
    found = made(
        report=StepSpec("r", when="train.accuracy > 0.5"),
        train=StepSpec("t", mounts=["steps.prepare:/data", "uploads/x"]),
        last=StepSpec("l", needs="report"),
        prepare=StepSpec("p"),
    )
    assert list(found.nodes) == ["prepare", "train", "report", "last"]
    assert found.nodes["report"].needs == ("train",)


def test_a_step_is_made_for_each_item_combination_and_counterpart() -> None:
    found = made(
        train=StepSpec("t", foreach={"lr": [0.1, 0.2], "depth": [1, 2]}),
        test=StepSpec("t", foreach="train", mounts="steps.train:/model"),
        names=StepSpec("n", foreach=["a", {"item": "b", "size": 2}]),
        best=StepSpec("b", mounts="steps.train@best:accuracy:min:/model"),
    )
    assert found.nodes["train[3]"].params == {"lr": 0.2, "depth": 2}
    assert found.nodes["test[3]"].params == {"lr": 0.2, "depth": 2}
    # Each deals with its own counterpart; who has none deals with all.
    assert found.nodes["test[3]"].needs == ("train[3]",)
    assert found.nodes["best"].needs == tuple(f"train[{index}]" for index in range(4))
    assert found.nodes["names[1]"].params == {"item": "b", "size": 2}


def test_a_step_has_only_the_params_that_it_uses() -> None:
    spec = WorkflowSpec(
        steps={
            "a": StepSpec("run :epochs:", params={"own": ":epochs:0"}),
            "b": StepSpec("run", env={"SEED": ":seed:"}),
            "c": StepSpec("run"),
        },
        params={"epochs": 3, "seed": 1},
    )
    nodes = plan.make(spec, {"epochs": 5}).nodes
    assert nodes["a"].params == {"epochs": 5, "own": "50"}
    assert nodes["b"].params == {"seed": 1}
    assert nodes["c"].params == {}
    with pytest.raises(PlanError, match="no param 'epoch'; the file has: epochs, seed"):
        plan.make(spec, {"epoch": 5})


def test_what_cannot_be_is_said_all_at_once() -> None:
    assert problems(
        a=StepSpec("x", needs=["b", "traim"], when="train", timeout="soon"),
        train=StepSpec("", mounts=["steps.train[0]x:/y"], retries=-1),
        b=StepSpec("x", mounts=["steps.b"]),
    ) == [
        "'soon' is not a duration. Write numbers with units, as in 72h, 1h30m, 10s or 30d.",
        "There is no step 'traim'. Did you mean 'train'?",
        "'train' is no condition: it must be STEP.METRIC or STEP.outcome, one of < <= > >= == "
        "!=, and a value.",
        "Step 'train' has no command.",
        "retries must be between 0 and 100.",
        "'steps.train[0]x:/y' is no mount: it must be steps.NAME[/inner][:PATH], with [2] or "
        "@best:METRIC[:min|:max] after the name where it has several instances.",
    ]


def test_a_circle_is_named() -> None:
    assert problems(
        a=StepSpec("x", needs="b"),
        b=StepSpec("x", mounts="steps.c"),
        c=StepSpec("x", when="a.outcome == failed"),
    ) == ["Steps wait for each other in a circle: a → c → b → a."]
    assert problems(a=StepSpec("x", needs="a")) == ["Steps wait for each other in a circle: a → a."]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"a": StepSpec("x", foreach=[])}, "foreach has nothing to go through."),
        ({"a": StepSpec("x"), "b": StepSpec("x", foreach="a")}, "Step 'a' has no foreach itself."),
        (
            {"a": StepSpec("x", foreach=[1, 2]), "b": StepSpec("x", when="a.m > 1")},
            "Step 'a' has several instances: say min(a.m) or max(a.m).",
        ),
        (
            {"a": StepSpec("x", foreach=[1, 2]), "b": StepSpec("x", mounts="steps.a[2]:x")},
            "Step 'a' has the instances 0 to 1.",
        ),
        (
            {"a": StepSpec("x"), "b": StepSpec("x", mounts="steps.a@best:m")},
            "Step 'a' has one instance only.",
        ),
        (
            {"a": StepSpec("x", foreach=[[1] * 2] and list(range(1001)))},
            "foreach has more than 1000 instances.",
        ),
    ],
)
def test_instances_that_cannot_be(steps: dict[str, StepSpec], message: str) -> None:
    assert problems(**steps) == [message]


def test_a_failure_leaves_out_what_needs_it_and_starts_what_asks_for_it() -> None:
    found = made(
        train=StepSpec("t"),
        test=StepSpec("t", needs="train"),
        report=StepSpec("t", needs="test"),
        clean=StepSpec("c", when="train.outcome == failed"),
        other=StepSpec("o"),
    )
    states = dict.fromkeys(found.nodes, "waiting") | {"train": "failed", "other": "complete"}
    assert list(progress.decide(found, states)) == [
        Blocked("test", "It needs train, which failed."),
        Ready("clean"),
    ]
    states |= {"test": "skipped", "clean": "complete"}
    assert list(progress.decide(found, states)) == [
        Blocked("report", "It needs test, which was skipped.")
    ]
    states["report"] = "skipped"
    assert progress.is_over(states)
    assert progress.result(states) == ("failed", "train failed; test, report were skipped.")
    # Gone on with, what succeeded stays.
    assert progress.again(found, states) == {
        "train": "waiting",
        "clean": "complete",
        "other": "complete",
        "test": "waiting",
        "report": "waiting",
    }


NAMES = ("a", "b", "c", "d", "e", "f")


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, StepSpec]:
    """Steps that need, watch and follow earlier ones; in any order in the file."""
    steps: dict[str, StepSpec] = {}
    for index, name in enumerate(NAMES[: draw(st.integers(1, len(NAMES)))]):
        earlier = NAMES[:index]
        some = (
            st.lists(st.sampled_from(earlier), unique=True, max_size=2) if earlier else st.just([])
        )
        each = [one for one in earlier if steps[one].foreach is not None]
        foreach: Any = draw(
            st.one_of(
                st.none(),
                st.lists(st.integers(0, 9), min_size=1, max_size=3),
                st.sampled_from(each) if each else st.none(),
            )
        )
        asked = draw(some)
        steps[name] = StepSpec(
            "run",
            needs=draw(some),
            foreach=foreach,
            when=" || ".join(f"{one}.outcome != skipped" for one in asked),
        )
    order = draw(st.permutations(list(steps)))
    return {name: steps[name] for name in order}


@settings(max_examples=40, deadline=None)
@given(workflows(), st.data())
def test_every_workflow_comes_to_an_end_and_no_step_runs_before_its_time(
    steps: dict[str, StepSpec], data: st.DataObject
) -> None:
    found = made(**steps)
    states = dict.fromkeys(found.nodes, "waiting")
    while not progress.is_over(states):
        decisions = list(progress.decide(found, states))
        running = [key for key, state in states.items() if state == "running"]
        assert decisions or running, states
        for decision in decisions:
            node = found.nodes[decision.key]
            assert states[decision.key] == "waiting"
            if isinstance(decision, Blocked):
                assert any(states[one] in {"failed", "skipped"} for one in node.needs)
                states[decision.key] = "skipped"
            else:
                assert all(states[one] in progress.GOOD for one in node.needs)
                assert all(states[one] in progress.OVER for one in node.watched)
                states[decision.key] = data.draw(st.sampled_from(["running", "skipped", "cached"]))
        for key in running:
            states[key] = data.draw(st.sampled_from(["running", "complete", "failed"]))
        if running and all(states[key] == "running" for key in running):
            states[running[0]] = "complete"
    state, message = progress.result(states)
    assert (state == "failed") == ("failed" in states.values()) == bool(message)
    # Gone on with, nothing that stays succeeded on something that does not.
    later = progress.again(found, states)
    for key, node in found.nodes.items():
        if later[key] != "waiting":
            assert later[key] in progress.GOOD
            assert all(later[one] in progress.GOOD for one in node.needs)
