"""Definitions of servers as YAML."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import InvalidSettings
from spice_engine.protocol.servers import (
    Batching,
    Dependencies,
    Door,
    Limits,
    Scaling,
    ServerDefinition,
)
from spice_tui.cli.definition_yaml import parse, render

SMALL = """\
name: quotes
entrypoint: serve.py
models: [cifar:v1]
scaling:
  min_pods: 0
  down_after: 1m
limits:
  memory_limit: 2G
  cpu_limit: 2
config: {threshold: 0.5, labels: [a, b]}
env: {LEVEL: 3}
"""


def test_a_server_is_read_with_sizes_and_times() -> None:
    assert parse(SMALL, "s.yaml") == [
        {
            "name": "quotes",
            "entrypoint": "serve.py",
            "models": ["cifar:v1"],
            "scaling": {"min_pods": 0, "down_after": 60.0},
            "limits": {"memory_limit": 2 * 2**30, "cpu_limit": 2.0},
            "config": {"threshold": 0.5, "labels": ["a", "b"]},
            "env": {"LEVEL": "3"},
        }
    ]


@pytest.mark.parametrize(
    "text", ["- name: a\n- name: b\n", "name: a\n---\nname: b\n", "- name: a\n---\nname: b\n"]
)
def test_several_servers_are_a_list_or_documents(text: str) -> None:
    assert [one["name"] for one in parse(text, "s.yaml")] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("name: a\nentrypont: x.py\n", "s.yaml:2:1", "did you mean 'entrypoint'?"),
        ("name: a\nscaling: {min_pds: 1}\n", "s.yaml:2:11", "scaling has no 'min_pds'"),
        ("name: a\nscaling: 3\n", "s.yaml:2:10", "scaling is a map of fields"),
        ("name: a\nscaling:\n  min_pods: two\n", "s.yaml:3:13", "must be a whole number"),
        ("name: a\ndebug: 1\n", "s.yaml:2:8", "must be true or false"),
        ("name: a\nmodels: cifar:v1\n", "s.yaml:2:9", "must be a list"),
        ("name: a\nmodels: [[x]]\n", "s.yaml:2:10", "must hold texts only"),
        ("name: a\nlimits: {memory_limit: big}\n", "s.yaml:2:24", "is not a size"),
        ("name: a\nname: b\n", "s.yaml:2:1", "'name' is there twice"),
        ("entrypoint: x.py\n", "s.yaml:1:1", "a server has a name"),
        ("- name: a\n- name: a\n", "s.yaml:2:3", "server 'a' is there twice"),
        ("- 3\n", "s.yaml:1:3", "a server is a map of fields"),
        ("name: a\n  x: [\n", "s.yaml:2:4", "not YAML"),
        ("", "s.yaml", "there is no server in it"),
        ("name: !!python/object:os.system x\n", "s.yaml:1:7", "cannot be read"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, place: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        parse(text, "s.yaml")
    assert str(caught.value.place) == place
    assert said in caught.value.message


def test_all_findings_come_at_once_in_order() -> None:
    with pytest.raises(InvalidSettings) as caught:
        parse("nme: a\ndebug: maybe\nname: a\nscaling: {min_pods: x}\n", "s.yaml")
    assert str(caught.value.place) == "s.yaml:1:1"
    assert "Also s.yaml:2:8: debug: must be true or false." in caught.value.message
    assert "Also s.yaml:4:21:" in caught.value.message


def test_defaults_are_left_out_and_long_texts_stay_readable() -> None:
    definition = ServerDefinition(
        "quotes",
        entrypoint="serve.py",
        dependencies=Dependencies(requirements="numpy\nidna\n"),
        limits=Limits(memory_limit=512 * 2**20),
    )
    assert render(dataclasses.asdict(definition)) == (
        "name: quotes\nentrypoint: serve.py\ndependencies:\n  requirements: |\n    numpy\n"
        "    idna\nlimits:\n  memory_limit: 512M\n"
    )


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DEFINITIONS = st.builds(
    ServerDefinition,
    NAMES,
    entrypoint=TEXTS,
    models=st.lists(TEXTS, max_size=3),
    config=st.dictionaries(TEXTS, JSON, max_size=3),
    env=st.dictionaries(TEXTS, TEXTS, max_size=3),
    dependencies=st.builds(
        Dependencies, pip=st.lists(TEXTS, max_size=2), requirements=st.text("ab \n#:", max_size=20)
    ),
    batching=st.builds(Batching, st.booleans(), st.integers(1, 99), st.floats(0, 1e3)),
    scaling=st.builds(Scaling, cpu_utilization=st.none() | st.floats(0.1, 1)),
    limits=st.builds(Limits, memory_limit=st.none() | st.integers(0, 2**40)),
    door=st.builds(Door, cors=st.lists(TEXTS, max_size=2)),
    debug=st.booleans(),
)


@given(DEFINITIONS)
def test_what_is_rendered_is_read_again(definition: ServerDefinition) -> None:
    plain = dataclasses.asdict(definition)
    (found,) = parse(render(plain), "s.yaml")
    for name, value in plain.items():
        default = dataclasses.asdict(ServerDefinition(""))[name]
        again = found.get(name, default)
        if isinstance(default, dict) and default:
            again = {**default, **again}
        assert again == value, name
