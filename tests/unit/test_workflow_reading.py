"""Files of workflows: what they say, and what is wrong with them, with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest, InvalidWorkflow, NotFound
from spice_engine.runs.workflows import conditions, mounts, reading, repos
from spice_engine.runs.workflows.conditions import ConditionError
from spice_engine.runs.workflows.mounts import StepMount, StepMountError

WHOLE = """\
name: compare
description: Two rates.
params: {epochs: 3}
defaults:
  environment: {pip: [numpy]}
  retries: 1
steps:
  prepare:
    command: python prepare.py
    code: [prepare.py, lib/]
  train:
    command: "python train.py --lr :lr: --epochs :epochs:"
    foreach:
      lr: [0.1, 0.01]
    mounts: [steps.prepare:/data]
    timeout: 2h
  report:
    command: [python, report.py]
    mounts:
      - steps.train@best:accuracy:/best
      - uploads/template
    when: max(train.accuracy) > 0.5 && prepare.outcome == success
"""


def test_a_whole_file() -> None:
    found = reading.parse(WHOLE, "workflows/c.yaml", {"epochs": 9})
    assert (found.name, found.spec.description) == ("compare", "Two rates.")
    assert list(found.plan.nodes) == ["prepare", "train[0]", "train[1]", "report"]
    assert found.plan.nodes["train[1]"].params == {"lr": 0.01, "epochs": 9}
    assert found.plan.steps["report"].mounts == (
        StepMount("train", "/best", best="accuracy"),
        "uploads/template",
    )


def findings(text: str) -> list[str]:
    with pytest.raises(InvalidWorkflow) as caught:
        reading.parse(text, "w.yaml", {})
    return [f"{one['line']}:{one['column']} {one['message']}" for one in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1:1 A workflow is a map with the key 'steps'."]),
        ("- a\n", ["1:1 A workflow is a map with the key 'steps'."]),
        ("name: x\n", ["1:1 The key 'steps' is missing."]),
        (
            "a: b: c",
            ["1:5 This is not valid YAML: mapping values are not allowed in this context."],
        ),
        (
            "steps:\n  a:\n    command: run --lr :lr: --x\n",
            ["3:26 A text with ':NAME:' before a blank stands in quotes, or in lines below '|'."],
        ),
        (
            "steps:\n  a: {command: x}\n  a: {command: y}\n",
            ["3:3 The key 'a' is here a second time (first in line 2)."],
        ),
        (
            "steps:\n  a:\n    command: x\n    environment: {pipp: numpy}\n",
            [
                "4:19 There is no key 'pipp'. Known: pip, pip_req, python, setup, conda, "
                "conda_file, channels, apt, image."
            ],
        ),
        (
            "steps:\n  a: {command: x, needs: [b]}\n  b: {command: y, needs: a}\n",
            ["2:3 Steps wait for each other in a circle: a → b → a."],
        ),
        (
            "steps:\n  a:\n    command: x\n    retries: many\n    needs: [a, q]\n",
            ["4:14 Input should be a valid integer, unable to parse string as an integer."],
        ),
        (
            "steps:\n  a:\n    needs: [q]\n",
            ["2:3 Step 'a' has no command.", "3:13 There is no step 'q'. Steps: a."],
        ),
        (
            "name: [1]\n",
            ["1:1 The key 'steps' is missing.", "1:7 Input should be a valid string."],
        ),
        ("steps:\n  a: {command: [1]}\n", ["2:17 Input should be a valid string."]),
        (
            "steps:\n  a: {command: x, foreach: {x: [1], y: 3}}\n",
            ["2:40 Input should be a valid list."],
        ),
        (
            "steps:\n  a: {command: x, params: {p: d}, mounts: ['uploads/:p::d', 'uploads/a:']}\n",
            [
                "2:61 Incorrect formatting of mount 'uploads/a:', it must be "
                "<resource_path>[:<mount_path>]. Such as: runs/3, runs/3/model.bin:old.bin, "
                "uploads/images:/mnt/images."
            ],
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, expected: list[str]) -> None:
    assert findings(text) == expected


def test_the_keys_of_a_step_that_is_not_known() -> None:
    (found,) = findings("steps:\n  a: {command: x, need: []}\n")
    assert found.startswith("2:19 There is no key 'need'. Known: command, needs, mounts, foreach")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = ("command", "needs", "mounts", "foreach", "when", "params", "env", "environment", "code")


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "steps", "", "ü"]),
        st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4) | JSON,
        max_size=3,
    )
)
def test_any_steps_are_read_or_refused_with_places(steps: dict[str, Any]) -> None:
    names, told = read_or_told(json.dumps({"steps": steps}))
    assert told or names == set(steps)
    assert all(one["line"] >= 1 for one in told)


def read_or_told(text: str) -> tuple[set[str], tuple[dict[str, Any], ...]]:
    """The steps that a text has, or the findings in it."""
    try:
        found = reading.parse(text, "w.yaml", {})
    except InvalidWorkflow as error:
        return set(), error.problems
    return {node.step.name for node in found.plan.nodes.values()}, ()


def test_files_are_found_by_name_and_path(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "a.yaml").write_text("")
    (tmp_path / "b.yml").write_text("")
    (tmp_path / "link.yaml").symlink_to("/etc/hostname")
    for wanted, expected in (
        ("a", "workflows/a.yaml"),
        ("a.yaml", "workflows/a.yaml"),
        ("workflows/a.yaml", "workflows/a.yaml"),
        ("b.yml", "b.yml"),
    ):
        assert reading.locate(tmp_path, wanted) == expected
    with pytest.raises(NotFound, match="There are: a"):
        reading.locate(tmp_path, "c")
    with pytest.raises(InvalidRequest, match="outside"):
        reading.locate(tmp_path, "link.yaml")


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("a.m > 1", {"a.m": 2.0}, (True, "a.m is 2")),
        (
            "a.m > 1 && b.outcome == success",
            {"a.m": 2.0, "b.outcome": "failed"},
            (False, "a.m is 2, b.outcome is failed"),
        ),
        (
            "a.m > 1 || b.outcome != success",
            {"a.m": 0.5, "b.outcome": "failed"},
            (True, "a.m is 0.5, b.outcome is failed"),
        ),
        (
            "max(a.keras/val acc) <= 1e-3",
            {"max(a.keras/val acc)": None},
            (False, "max(a.keras/val acc) is not there"),
        ),
        ("a.m != 1", {"a.m": 1.0}, (False, "a.m is 1")),
    ],
)
def test_conditions(text: str, values: dict[str, Any], expected: tuple[bool, str]) -> None:
    assert conditions.parse(text).judge(lambda one: values[str(one)]) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a > 1",
        "a.m = 1",
        "a.m > x",
        "a.outcome > failed",
        "a.outcome == bad",
        "max(a.m > 1",
        "a.m) > 1",
        "a.m > 1 && ",
        "max(a.outcome) == failed",
    ],
)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ConditionError):
        conditions.parse(text)


def test_mounts_of_steps() -> None:
    assert mounts.parse("steps.a") == StepMount("a", "a")
    assert mounts.parse("steps.a/out/m.bin") == StepMount("a", "m.bin", "/out/m.bin")
    assert mounts.parse("steps.a[3]/x:/y") == StepMount("a", "/y", "/x", index=3)
    assert mounts.parse("steps.a@best:loss:min/x:y") == StepMount(
        "a", "y", "/x", best="loss", way="min"
    )
    assert mounts.parse("steps.a@best:k/v:min/x") == StepMount(
        "a", "x", "/x", best="k/v", way="min"
    )
    # Where the name ends is known when there are metrics.
    assert mounts.parse("steps.a@best:k/v:y") == StepMount("a", "y", "/v", best="k")
    assert mounts.parse("runs/3:x") == "runs/3:x"
    for text in ("steps.", "steps.a:", "steps.a[x]:y", "steps.a[1]@best:m"):
        with pytest.raises(StepMountError):
            mounts.parse(text)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/some/path", ("/some/path", "")),
        ("/some/path:HEAD~1", ("/some/path", "HEAD~1")),
        ("https://github.com/a/b", ("https://github.com/a/b", "")),
        ("https://host:8080/a/b:feature/x", ("https://host:8080/a/b", "feature/x")),
        ("git@github.com:a/b.git", ("git@github.com:a/b.git", "")),
        ("git@github.com:a/b.git:v1", ("git@github.com:a/b.git", "v1")),
        ("https://host:80", ("https://host:80", "")),
    ],
)
def test_sources_of_repositories(source: str, expected: tuple[str, str]) -> None:
    assert repos.split(source) == expected
