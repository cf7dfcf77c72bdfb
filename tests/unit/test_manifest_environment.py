"""Environment variables in manifests: replaced in values, never in code, never shown."""

from __future__ import annotations

from manifest_texts import messages, short

from spice_engine.pods.manifest import load_manifest, parse_manifest

TEXT = """\
name: ${POD}-pod
params: {epoch_time: "${START}", period: "${HOURS}h"}
dataspaces:
  - from: host
    name: cpu
    measurements: [{name: SPICE_FIELD, selector: pre-SPICE_FIELD}]
    data:
      connector:
        name: influxdb
        params:
          url: SPICE_INFLUX_URL
          token: SPICE_INFLUX_TOKEN
          bucket: SPICE_INFLUX
actions: [{name: go}]
training:
  rewards:
    - reward: go
      with: |
        SPICE_FIELD = 1  # ${POD}
        reward = SPICE_FIELD
"""
ENVIRONMENT = {
    "POD": "my",
    "START": "1612557000",
    "HOURS": "48",
    "SPICE_FIELD": "usage",
    "SPICE_INFLUX": "buckets",
    "SPICE_INFLUX_URL": "http://localhost:8086",
    "SPICE_INFLUX_TOKEN": "s3cr3t-token",
}


def test_variables_are_replaced_in_values_and_not_in_code() -> None:
    assert messages(TEXT, ENVIRONMENT) == {}
    manifest = load_manifest(TEXT, "pod.yaml", ENVIRONMENT)
    assert (manifest.name, manifest.params.epoch_time) == ("my-pod", 1612557000)
    assert manifest.params.period == 48 * 3600
    (space,) = manifest.dataspaces
    assert (space.measurements[0].name, space.measurements[0].selector) == ("usage", "pre-usage")
    assert space.data is not None
    assert space.data.connector is not None
    # Whole words: one name that begins another does not break it, as it did in the original.
    assert space.data.connector.params == {
        "url": "http://localhost:8086",
        "token": "s3cr3t-token",
        "bucket": "buckets",
    }
    assert isinstance(manifest.training.rewards, dict)
    assert manifest.training.rewards["go"].text.startswith("SPICE_FIELD = 1  # ${POD}")


def test_what_is_not_set_is_said_once_where_it_stands() -> None:
    found = messages(TEXT, {})
    assert [key for key in found if "unset" in key] == [
        "${POD}-pod | error unset_variable",
        '"${START}" | error unset_variable',
        '"${HOURS}h" | error unset_variable',
        "SPICE_FIELD | warning unset_variable",
        "pre-SPICE_FIELD | warning unset_variable",
        "SPICE_INFLUX_URL | warning unset_variable",
        "SPICE_INFLUX_TOKEN | warning unset_variable",
        "SPICE_INFLUX | warning unset_variable",
    ]
    assert "'POD' is not set" in found["${POD}-pod | error unset_variable"]
    # A value that is not there is not called wrong for it.
    assert not any("invalid_param" in key for key in found)


def test_the_environment_is_the_processes_own_by_default(monkeypatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert load_manifest(TEXT, "pod.yaml").name == "my-pod"


def test_values_never_show() -> None:
    secret = "hunter2 is secret"
    text = """\
name: ${SECRET}
params: {period: "${SECRET}", granularity: "${SECRET}", epoch_time: "${SECRET}"}
time: {categories: ["${SECRET}"]}
dataspaces:
  - from: ${SECRET}
    name: ${SECRET}
    measurements: [{name: "${SECRET}", fill: "${SECRET}", initializer: "${SECRET}"}]
    categories: [{name: "${SECRET}", values: ["${SECRET}", "${SECRET}"]}]
    data:
      connector: {name: "${SECRET}"}
      processor: {name: "csv${SECRET}"}
  - from: a
    name: b
    data:
      connector: {name: http, params: {url: "${SECRET}", timeout: "${SECRET}"}}
      processor: {name: csv, params: {time_format: "${SECRET}"}}
actions:
  - name: ${SECRET}
  - name: ${SECRET}
  - {name: x, do: {name: "${SECRET}", args: {y: "${SECRET}"}}}
training:
  algorithm: ${SECRET}
  goal: ${SECRET}
  holdout: ${SECRET}
  accelerator: ${SECRET}
  hyperparameters: {seconds: "${SECRET}"}
  reward_funcs: ${SECRET}
  loggers: ["${SECRET}"]
  rewards:
    - {reward: "${SECRET}", with: "${SECRET}"}
"""
    parsed = parse_manifest(text, "pod.yaml", {"SECRET": secret})
    assert len(parsed.problems) > 20
    for problem in parsed.problems:
        assert "hunter2" not in str(problem.as_dict()), short(problem)
    assert any("${SECRET}" in problem.message for problem in parsed.problems)


def test_a_fix_never_writes_a_value_into_the_file() -> None:
    text = TEXT.replace('"${HOURS}h"', '"${HOURS}"')
    (problem,) = parse_manifest(text, "pod.yaml", ENVIRONMENT).problems
    assert (problem.code, problem.fix) == ("invalid_duration", None)
    assert "'${HOURS}'" in problem.message


def test_an_empty_variable_is_nothing() -> None:
    found = messages(TEXT, {**ENVIRONMENT, "SPICE_INFLUX_TOKEN": ""})
    assert list(found) == ["SPICE_INFLUX_TOKEN | error missing_param"]


def test_a_variable_in_braces_needs_quotes_and_is_told_so() -> None:
    (sentence,) = messages("params: {period: ${HOURS}}\n").values()
    assert "in quotes" in sentence
