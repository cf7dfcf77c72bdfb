"""Definitions of servers: checked, merged, compared, and back from how they are stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.servers import Batching, Scaling, ServerDefinition
from spice_engine.serving.definitions import (
    RESERVED,
    check,
    check_name,
    differences,
    from_plain,
    merge,
    to_plain,
)

BASE = ServerDefinition("demo", entrypoint="serve.py")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "serve.py").write_text("")
    (tmp_path / "my-serve.py").write_text("")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "serve.py").write_text("")
    return tmp_path


@pytest.mark.parametrize("name", ["a", "A1", "demo-2", "x" * 63, "0"])
def test_names_that_may_be(name: str) -> None:
    assert check_name(name) == ""


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a_b", "a b", "a.b", "ä", "x" * 64, *sorted(RESERVED), "API"]
)
def test_names_that_may_not(name: str) -> None:
    assert check_name(name)


def test_a_right_definition_is_let_through(root: Path) -> None:
    check(BASE, root)
    check(merge(BASE, {"entrypoint": "pkg/serve.py"}), root)
    check(merge(BASE, {"mounts": {"uploads/x": "a/b", "uploads/y": "c"}}), root)
    check(merge(BASE, {"door": {"cors": ["*", "https://example.org:8443"]}}), root)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"entrypoint": ""}, "needs an entrypoint"),
        ({"entrypoint": "/etc/passwd.py"}, "not inside the app folder"),
        ({"entrypoint": "pkg/../serve.py"}, "not inside the app folder"),
        ({"entrypoint": "my-serve.py"}, "Invalid python path element my-serve"),
        ({"models": ["a:v1", "a:v2"]}, "named twice"),
        ({"models": [":v1"]}, "model_name:version"),
        ({"mounts": {"uploads/x": ".."}}, "not below /mounts"),
        ({"mounts": {"uploads/x": "a", "uploads/y": "a"}}, "two mounts go to /mounts/a"),
        ({"mounts": {"uploads/x": "a", "uploads/y": "a/b/c"}}, "lie in one another"),
        ({"mounts": {"uploads/x": "a/b", "uploads/y": "a"}}, "lie in one another"),
        ({"batching": {"max_size": 0}}, "batching.max_size"),
        ({"limits": {"cpu_limit": float("nan")}}, "limits.cpu_limit"),
        ({"limits": {"memory_request": 2**30, "memory_limit": 2**29}}, "memory_request is over"),
        ({"door": {"deadline": 0}}, "door.deadline"),
        ({"door": {"retry": "often"}}, "once or never"),
        ({"door": {"cors": ["example.org"]}}, "no origin"),
        ({"env": {"A": "x\0y"}}, "name of a variable"),
        ({"type": "pod"}, "exactly one model"),
    ],
)
def test_what_is_wrong_is_named(root: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(merge(BASE, changes), root)
    assert said in str(caught.value)


def test_all_findings_are_told_at_once(root: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(merge(BASE, {"threads": 0, "entrypoint": "gone.py", "env": {"1": ""}}), root)
    for said in ("threads", "gone.py", "name of a variable"):
        assert said in caught.value.message


def test_changes_are_merged_into_parts_and_none_is_the_default() -> None:
    changed = merge(BASE, {"batching": {"enabled": True}, "threads": 4})
    assert changed.batching == Batching(enabled=True)
    again = merge(changed, {"batching": {"max_size": 8}, "threads": None})
    assert again.batching == Batching(enabled=True, max_size=8)
    assert again.threads == 1
    assert merge(changed, {"config": {"a": 1}}).config == {"a": 1}
    one = merge(merge(BASE, {"env": {"A": "1"}}), {"env": {"B": "2"}})
    assert one.env == {"B": "2"}


def test_differences_are_words_and_hide_the_values_of_variables() -> None:
    old = merge(BASE, {"env": {"KEY": "secret"}, "config": {"a": 1, "b": 2}})
    new = merge(old, {"env": {"KEY": "other"}, "config": {"a": 1, "b": 3}, "models": ["m:v1"]})
    found = differences(old, new)
    assert ["models", "", "m:v1"] in found
    assert ["config.b", "2", "3"] in found
    assert ["env.KEY", "(set)", "(set)"] in found
    assert "secret" not in json.dumps(found)
    assert differences(old, old) == []
    assert ["entrypoint", "", "serve.py"] in differences(None, old)


scalings = st.builds(
    Scaling,
    min_pods=st.integers(0, 5),
    max_pods=st.integers(1, 9),
    cpu_utilization=st.none() | st.floats(0.1, 2),
)
definitions = st.builds(
    ServerDefinition,
    name=st.from_regex(r"[a-z]{1,9}", fullmatch=True),
    entrypoint=st.sampled_from(["", "a.py"]),
    models=st.lists(st.sampled_from(["a:v1", "b:v2"]), max_size=2),
    config=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
    env=st.dictionaries(st.sampled_from(["A", "B"]), st.text(max_size=5), max_size=2),
    scaling=scalings,
    debug=st.booleans(),
)


@given(definitions, definitions)
def test_stored_definitions_come_back_and_differ_where_they_do(
    one: ServerDefinition, other: ServerDefinition
) -> None:
    stored = json.loads(json.dumps(to_plain(one)))
    assert from_plain(stored) == one
    assert differences(one, one) == []
    if one != other:
        assert differences(one, other)


def test_a_stored_definition_may_have_fields_of_another_version() -> None:
    data = {**to_plain(BASE), "later": 1}
    del data["request_log"]
    assert from_plain(data) == BASE
    with pytest.raises(InvalidRequest, match="threads"):
        from_plain({**data, "threads": "many"})
