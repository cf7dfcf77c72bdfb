"""A manifest is read whole, or every problem in it is found with its place."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_texts import fixed, problems, short

from spice_engine.errors import InvalidManifest
from spice_engine.pods.manifest import load_manifest, parse_manifest
from spice_engine.yaml_tree import Mapping, Scalar, read_tree
from tests.examples import examples

GOOD = """\
name: garden
params: {epoch_time: 1612557000, period: 720h, interval: 1h, granularity: 10m, episodes: 5}
dataspaces:
  - from: sensors
    name: bed
    measurements:
      - name: moisture
        selector: wet
        initializer: 0.5
        fill: none
      - name: heat
    data:
      connector: {name: file, params: {path: data.csv}}
      processor: {name: csv, params: {time_selector: when, time_format: rfc3339}}
actions:
  - name: close
  - name: open
training:
  goal: score > 100
  algorithm: linear
  holdout: 30%
  seed: 3
  reward_init: |
    wet = next_state["sensors_bed_moisture"]
  rewards:
    - reward: close
      with: reward = wet
    - reward: open
      with: |
        if wet > 0.5:
          reward = 1 - wet
        else:
          reward = current_state["sensors_bed_heat"]
"""


def test_every_field_arrives() -> None:
    manifest = load_manifest(GOOD, "pod.yaml")
    assert (manifest.name, manifest.fields) == (
        "garden",
        ("sensors_bed_heat", "sensors_bed_moisture"),
    )
    params = manifest.params
    assert (params.epoch_time, params.period, params.interval) == (1612557000, 2592000, 3600)
    assert (params.granularity, params.episodes, manifest.span) == (600, 5, 6)
    (space,) = manifest.dataspaces
    assert space.data is not None
    assert space.data.connector is not None
    assert (space.data.connector.name, space.data.connector.params) == (
        "file",
        {"path": "data.csv"},
    )
    assert space.data.connector.place_of("path").line == 13
    assert space.data.processor.name == "csv"
    assert space.data.processor.params == {"time_selector": "when", "time_format": "rfc3339"}
    wet = space.measurements[0]
    assert (wet.selector, wet.initializer, wet.fill) == ("wet", 0.5, "none")
    training = manifest.training
    assert (training.goal, training.algorithm, training.holdout, training.seed) == (
        "score > 100",
        "linear",
        0.3,
        3,
    )
    assert manifest.action_names == ("close", "open")


def test_defaults_and_the_name_of_the_file() -> None:
    text = "dataspaces: [{from: a, name: b, measurements: [{name: c}]}]\nactions: [{name: go}]\n"
    manifest = load_manifest(text, "spicepods/rover.yaml")
    params = manifest.params
    assert (manifest.name, params.period, params.interval) == ("rover", 259200, 60)
    assert (params.granularity, params.episodes, params.epoch_time) == (10, 10, None)
    assert manifest.training.rewards is None
    assert manifest.training.holdout == 0.2


def test_all_problems_at_once_in_the_order_of_the_text() -> None:
    text = """\
name: my pod
params: {period: 1h, interval: 600, granularity: 2h}
dataspaces:
  - from: 1bad
    name: b
    measurments: []
    measurements: [{name: c, fill: nothing}]
actions: [{name: go}, {name: go}, {name: stop}]
training:
  rewards:
    - reward: go
      with: |
        reward = curent
"""
    assert problems(text) == [
        "1:7 error invalid_name",
        "2:32 error invalid_duration",
        "4:11 error invalid_dataspace_name",
        "6:5 warning unknown_key",
        "7:36 error invalid_fill",
        "8:30 error duplicate_action",
        "8:42 error missing_reward",
        "13:18 error invalid_reward_function",
    ]


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        (("granularity: 10m", "granularity: 2h"), "2:9 error invalid_params", "granularity must"),
        (("interval: 1h", "interval: 721h"), "2:9 error invalid_params", "interval must be"),
        (("interval: 1h", "interval: 65m"), "2:9 warning uneven_interval", "only 1h"),
        (("period: 720h", "period: 1.5s"), "2:42 error invalid_duration", "whole number"),
        (("epoch_time: 1612557000", "epoch_time: soon"), "2:22 error invalid_time", "not a time"),
        (("episodes: 5", "episodes: 0"), "2:90 error invalid_number", "from 1"),
        (("episodes: 5", "episode: 5"), "2:80 warning unknown_key", "'episodes'"),
        (("from: sensors", "from: sen-sors"), "4:11 error invalid_dataspace_name", "A-Za-z0-9_"),
        (("initializer: 0.5", "initializer: .nan"), "9:22 error invalid_number", "finite"),
        (("name: file", "name: fil"), "13:25 error unknown_connector", "Did you mean 'file'"),
        (("path: data.csv", "pth: data.csv"), "13:25 error missing_param", "'path'"),
        (("- name: close", "- close"), "16:5 error wrong_type", "name: close"),
        (("goal: score > 100", "goal: open('x')"), "19:9 error invalid_goal", "not allowed"),
        (("algorithm: linear", "algorithm: linaer"), "20:14 error unknown_algorithm", "linear"),
        (("holdout: 30%", "holdout: 95%"), "21:12 error invalid_share", "90%"),
        (("reward = wet\n", "reward = dry\n"), "27:22 error invalid_reward_function", "'dry'"),
        (("> 0.5:", "> 0.5"), "30:21 error invalid_reward_function", "expected ':'"),
        (
            ('current_state["sensors_bed_heat"]', 'current_state["heat"]'),
            "33:20 error invalid_reward_function",
            "Did you mean 'sensors_bed_heat'",
        ),
        (("- reward: open", "- reward: opne"), "30:9 warning unused_reward", "'open'"),
        (("name: garden", "name: garden\nname: g"), "2:1 error duplicate_key", "second time"),
        (("name: garden", "\tname: garden"), "1:1 error invalid_yaml", "tab"),
    ],
)
def test_one_wrong_thing_is_said_where_it_stands(
    change: tuple[str, str], expected: str, words: str
) -> None:
    parsed = parse_manifest(GOOD.replace(*change, 1), "pod.yaml")
    found = {short(problem): problem.message for problem in parsed.problems}
    assert expected in found
    assert words in found[expected]
    has_error = any(problem.severity == "error" for problem in parsed.problems)
    assert (parsed.manifest is None) is has_error


@pytest.mark.parametrize(
    ("change", "old"),
    [
        (("dataspaces:", "datasources:"), "'datasources'"),
        (("measurements:", "fields:"), "'fields'"),
        (("connector: {name:", "connector: {type:"), "'type'"),
        (('next_state["sensors_bed_moisture"]', "new_state.sensors_bed_moisture"), "next_state["),
        (('next_state["sensors_bed_moisture"]', "new_state.sensors.bed.moisture"), "next_state["),
        (('current_state["sensors_bed_heat"]', "prev_state.sensors_bed_heat"), "current_state["),
    ],
)
def test_old_syntax_works_and_the_warning_names_the_new(change: tuple[str, str], old: str) -> None:
    text = GOOD.replace(*change, 1)
    parsed = parse_manifest(text, "pod.yaml")
    (problem,) = parsed.problems
    assert problem.code == "old_syntax"
    assert old in problem.message
    assert problem.fix is not None
    assert parsed.manifest is not None
    assert parsed.manifest.fields == load_manifest(GOOD, "pod.yaml").fields
    # The fix, applied, gives a manifest without a warning.
    assert parse_manifest(fixed(text, problem), "pod.yaml").problems == ()


def test_a_file_without_epoch_is_a_warning() -> None:
    text = GOOD.replace("epoch_time: 1612557000, ", "")
    assert problems(text) == ["13:46 warning static_file_without_epoch"]


def test_fields_that_collide_are_refused() -> None:
    text = """\
dataspaces:
  - {from: a, name: b_c, measurements: [{name: d}]}
  - {from: a, name: b, measurements: [{name: c_d}]}
actions: [{name: go}]
"""
    assert problems(text) == ["3:46 error duplicate_field"]


def test_nothing_at_all() -> None:
    assert problems("") == ["1:1 error wrong_type"]
    assert problems("- a\n- b\n") == ["1:1 error wrong_type"]
    assert problems("name: x\n") == [
        "1:1 error no_dataspaces",
        "1:1 error no_actions",
    ]


def test_the_error_holds_every_problem() -> None:
    with pytest.raises(InvalidManifest, match="2 more") as caught:
        load_manifest("name: 'a b'\n", "pod.yaml")
    assert len(caught.value.problems) == 3
    assert str(caught.value).startswith("pod.yaml:1:1: ")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("12:30", "12:30"),
        ("on", "on"),
        ("no", "no"),
        ("012", 12),
        ("0x1f", 31),
        ("1_000", "1_000"),
        ("true", True),
        ("'1'", "1"),
        ("~", None),
        ("2021-02-05", "2021-02-05"),
        ("-.5", -0.5),
    ],
)
def test_scalars_as_yaml_1_2_has_them(text: str, value: object) -> None:
    tree, _ = read_tree(f"a: {text}", "f")
    assert isinstance(tree, Mapping)
    scalar = tree.entries[0][1]
    assert isinstance(scalar, Scalar)
    assert (scalar.value, type(scalar.value)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 100_000, "too_deep"),
        ("a: &a [x, *a]", "unknown_alias"),
        (
            "a0: &a0 [1,2,3,4,5,6,7,8,9]\n"
            + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)),
            "too_many_nodes",
        ),
        ("a: !!python/object/apply:os.getcwd []", "invalid_tag"),
        ("a: 1\n---\nb: 2\n", "several_documents"),
        ("a" * (1 << 20) + ": 1", "manifest_too_large"),
        ("a: \x07", "invalid_yaml"),
        ("? [a]\n: 1", "invalid_key"),
        ("a: &x {b: 1}\nc: {<<: *x}", "unsupported"),
    ],
)
def test_hostile_text_is_refused(text: str, code: str) -> None:
    assert code in {problem.code for problem in parse_manifest(text, "f").problems}


@settings(max_examples=examples(150), deadline=None)
@given(st.data())
def test_no_text_breaks_the_reader(data: st.DataObject) -> None:
    """Cuts and splices of a good manifest, as while somebody types."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 60)))
    piece = data.draw(
        st.text(max_size=8) | st.sampled_from(["- ", "{", "'", "|", "\t", "*a", ": "])
    )
    text = GOOD[:start] + piece + GOOD[end:]
    parsed = parse_manifest(text, "f")
    lines = len(text.splitlines()) + 2  # YAML ends lines at "\r" too
    assert all(1 <= problem.place.line <= lines for problem in parsed.problems)
    assert parsed.manifest is not None or parsed.problems


def test_reading_a_manifest_needs_no_numbers() -> None:
    """The engine lints on its own loop, where NumPy and polars are not imported."""
    code = (
        "import sys, spice_engine.pods.manifest, spice_engine.pods.plan;"
        "sys.exit(bool({'numpy', 'polars', 'numba'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_flood_of_problems_is_cut_off_and_counted() -> None:
    parsed = parse_manifest("".join(f"key{i}: 1\n" for i in range(5000)), "pod.yaml")
    assert len(parsed.problems) == 1001
    last = parsed.problems[-1]
    assert (last.code, last.severity) == ("too_many_problems", "warning")
    assert "more problems" in last.message


def test_a_wide_manifest_is_refused_before_it_costs_minutes() -> None:
    fields = "".join(f"      - name: m{i}\n" for i in range(5000))
    effects = "".join(f"      e{i}: m{i} += wrong{i}\n" for i in range(2000))
    head = "dataspaces:\n  - from: a\n    name: b\n    measurements:\n"
    text = f"{head}{fields}    actions:\n{effects}"
    codes = {problem.code for problem in parse_manifest(text, "pod.yaml").problems}
    assert {"too_many_fields", "invalid_datasource_action_expression"} <= codes
