"""Servers as rows, words, charts, payloads and definitions on the screen."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.models import ModelInfo, ModelVersionInfo
from spice_engine.protocol.pods import FeedInfo, PodInfo
from spice_engine.protocol.resources import ResourceInfo
from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.servers import (
    ReplicaInfo,
    RolloutInfo,
    ScaleDecision,
    ServerDefinition,
    ServerInfo,
    ServerSeries,
    ServerVersionInfo,
)
from spice_engine.protocol.views import LineageNode
from spice_tui.models import (
    model_rows,
    payload,
    server_rows,
    server_series,
    server_words,
    serving,
)
from spice_tui.models.columns import Row
from spice_tui.models.endings import ended
from spice_tui.models.world import World

POD = PodInfo("shop", "m.yaml", "ready", ["buy"], ["price"], 30, 2, None, [])
SERVER = ServerInfo(
    "times",
    "running",
    "",
    3,
    ["m:v2"],
    "script",
    "serve.py",
    "http://h/local/times/predict",
    1,
    2,
    100.0,
    200.0,
    150.0,
    rate=12.3456,
    errors=0.0,
    p50=0.4567,
    p99=1.5,
    replicas=[
        ReplicaInfo(12, 3, "loading", 100.0, None, 7),
        ReplicaInfo(4, 3, "ready", 100.0, 101.0, 6, rate=12.3456, p99=1.5, memory=2**20),
    ],
)
VERSION = ModelVersionInfo(
    "m", 2, "demo", "runs/3", ["a.bin"], "Small.", 50.0, "me", 9, "abc", 3, aliases=["good"]
)


def values(row: Row, *names: str) -> tuple[Any, ...]:
    return tuple(row.values[name] for name in names)


# -- rows


def test_servers_by_name_with_what_counts_of_their_figures() -> None:
    other = replace(SERVER, name="a", state="failed", message="Traceback …\n  x\nValueError: no")
    first, second = server_rows.server_rows(World(servers={"times": SERVER, "a": other}))
    assert values(first, "name", "state", "detail") == ("a", "failed", "ValueError: no")
    assert second.key == "server/times"
    assert values(second, "pods", "rps", "p50", "version") == ("1/2", 12.35, 0.46, 3)
    assert values(second, "kind", "detail") == ("server", "m:v2 serve.py")


def test_endpoints_of_pods_and_their_feeds() -> None:
    feed = FeedInfo("coins", "live", "http", "failing", None, "404", 5.0, 2, 10, 0, 100)
    waiting = replace(POD, name="new", policy_version=None, state="untrained")
    world = World(pods={"shop": POD, "new": waiting})
    found = server_rows.endpoint_rows(world, {"shop": [feed]})
    assert [row.key for row in found] == ["pod/new", "pod/shop", "feed/shop/coins/live"]
    assert [row.values["kind"] for row in found] == ["pod endpoint", "pod endpoint", "feed"]
    assert values(found[0], "state", "detail") == ("waiting", "no policy yet (untrained)")
    assert values(found[2], "state", "detail") == ("failing", "404")


def test_the_overview_shows_replicas_then_endpoints() -> None:
    stopped = replace(SERVER, name="off", state="stopped", replicas=[])
    world = World(pods={"shop": POD}, servers={"times": SERVER, "off": stopped})
    found = server_rows.answering_rows(world)
    assert [row.values["name"] for row in found] == ["off", "times 12", "times 4", "shop"]
    assert values(found[2], "state", "rps", "p99") == ("ready", 12.35, 1.5)


def test_replicas_by_number() -> None:
    first, second = server_rows.replica_rows(SERVER.replicas)
    assert (first.key, second.key) == ("4", "12")
    assert values(first, "memory", "state") == (2**20, "ready")
    assert second.values["memory"] is None


def test_the_version_that_serves_says_so() -> None:
    definition = ServerDefinition("times", entrypoint="serve.py", models=["m:v2"])
    made = [ServerVersionInfo(number, 1.0, "c", "good", "", definition) for number in (3, 2)]
    first, second = server_rows.version_rows(made, 3)
    assert values(first, "state", "what") == ("serving", "m:v2 serve.py")
    assert second.values["state"] == "good"


# -- words


def test_a_rollout_under_way_shows_how_far_it_is() -> None:
    said = server_words.rollout(RolloutInfo(2, 3, "running", 1, 4, 10.0))
    assert said == "version 2 to 3 [#####---------------] 1 of 4 pods ready"
    over = RolloutInfo(2, 3, "rolled back", 0, 1, 10.0, 12.0, "Traceback\nValueError: no")
    assert server_words.rollout(over) == "version 2 to 3 rolled back in 2.0s: ValueError: no"


def test_a_decision_with_what_it_was_taken_from() -> None:
    one = ScaleDecision(100.0, 1, 3, "the queue", {"queue_ms": 120.5, "cpu": 0.9})
    said = server_words.decision(one, 130.0)
    assert said == "1 to 3 pods 30 s ago: the queue (cpu 0.9, queue ms 120.5)"


def test_a_server_in_words() -> None:
    said = server_words.about(SERVER, 200.0)
    assert "1 of 2 ready" in said
    assert "POST http://h/local/times/predict" in said
    heading = server_words.heading(replace(SERVER, message="no room"), None, 200.0)
    assert heading.splitlines() == [
        "running, version 3, 1 of 2 pods",
        "POST http://h/local/times/predict",
        "no room",
        "scaling: not changed yet",
    ]


def test_curl_quotes_what_a_shell_would_read_and_holds_no_token() -> None:
    line = server_words.curl("http://h/local/t/predict", '{"a": "it\'s $HOME"}', token=True)
    assert line.startswith("curl http://h/local/t/predict -H 'Content-Type: application/json'")
    assert '"Authorization: Bearer $TOKEN"' in line
    assert line.endswith("""-d '{"a": "it'"'"'s $HOME"}'""")


def test_a_server_that_failed_is_told() -> None:
    before, after = World(servers={"times": SERVER}), replace(SERVER, state="failed", message="no")
    assert ended(before, World(servers={"times": after})) == ["Server times failed: no"]
    assert ended(World(servers={"times": after}), World(servers={"times": after})) == []


# -- charts


def test_one_chart_a_subject_then_the_predictors_own() -> None:
    found = [
        ServerSeries("p50", "", [1.0, 2.0], [0.5, None]),
        ServerSeries("p99", "", [1.0], [2.0]),
        ServerSeries("memory", "", [1.0], [2.0**21]),
        ServerSeries("score", "a", [1.0], [7.0]),
        ServerSeries("score", "b", [1.0], [8.0]),
    ]
    made = server_series.charts(found)
    assert list(made) == ["latency, ms", "memory, MiB", "score"]
    p50, p99 = made["latency, ms"].series
    assert (list(p50.xs), p50.ys[0], math.isnan(p50.ys[1]), list(p99.ys)) == (
        [1.0, 2.0],
        0.5,
        True,
        [2.0],
    )
    assert list(made["memory, MiB"].series[0].ys) == [2.0]
    assert [one.title for one in made["score"].series] == ["score a", "score b"]


# -- payloads


@pytest.mark.parametrize(
    ("text", "problem", "line", "column"),
    [
        ("", "A payload is needed", 1, 1),
        ('{\n "a": }', "Expecting value", 2, 7),
        ('{\n "a": NaN}', "NaN is no JSON", 2, 7),
        ("[" * 100_000, "It is nested too deeply", 1, 1),
    ],
)
def test_what_is_no_json_is_told_with_its_place(
    text: str, problem: str, line: int, column: int
) -> None:
    read = payload.read(text)
    assert (read.problem, read.line, read.column) == (problem, line, column)


def test_any_json_is_a_payload() -> None:
    for value in ({"x": 1}, [1, 2], "a", 3, None, True):
        read = payload.read(json.dumps(value))
        assert (read.value, read.problem, read.told) == (value, "", "")


def test_answers_are_shown_by_their_kind() -> None:
    assert payload.pretty('{"a":[1]}', "application/json") == '{\n  "a": [\n    1\n  ]\n}'
    assert payload.pretty("{oops", "application/json") == "{oops"
    assert payload.pretty("plain", "text/plain") == "plain"
    long = payload.pretty("x" * (payload.LONGEST + 5), "text/plain")
    assert long.endswith("5 more characters")


def test_the_first_payload_is_an_example_of_what_is_taken() -> None:
    schema = {
        "type": "object",
        "properties": {
            "x": {"type": "number"},
            "names": {"type": "array", "items": {"type": "string"}},
            "mode": {"enum": ["fast", "slow"]},
            "inner": {"$ref": "#/$defs/Inner"},
            "left": {"type": "integer"},
        },
        "required": ["x", "names", "mode", "inner"],
        "$defs": {
            "Inner": {
                "type": "object",
                "properties": {"deep": {"default": 5}, "other": {"type": "string"}},
                "required": ["deep"],
            }
        },
    }
    text = payload.first_payload({"payload_schema": schema})
    assert json.loads(text) == {"x": 0.0, "names": [""], "mode": "fast", "inner": {"deep": 5}}
    assert payload.first_payload({}) == "{}"
    endless = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert payload.first_payload({"payload_schema": endless}) == "null"


# -- serving


def test_the_words_after_serve() -> None:
    assert serving.sources(["m", "n:v2", "serve.py"]) == (["m:latest", "n:v2"], "serve.py")
    assert serving.name_of(["My.Model:v2"], "") == "my-model"
    assert serving.name_of([], "deep/serve_it.py") == "serve-it"


def test_a_form_becomes_a_definition() -> None:
    values = {"name": "t", "models": "m n:v2", "entrypoint": "s.py", "pods": "2-4", "kind": ""}
    made = serving.definition(values, World())
    assert made["models"] == ["m:latest", "n:v2"]
    assert (made["type"], made["scaling"]) == ("script", {"min_pods": 2, "max_pods": 4})
    policy = {**values, "models": "shop", "entrypoint": "", "pods": "1"}
    made = serving.definition(policy, World(pods={"shop": POD}))
    assert (made["type"], made["scaling"]) == ("pod", {"min_pods": 1, "max_pods": 1})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pods": "many"}, "how many pods"),
        ({"models": "", "entrypoint": ""}, "a model or a file is needed"),
        ({"entrypoint": ""}, "what serves it is missing"),
    ],
)
def test_what_is_missing_in_a_form_is_told(changed: dict[str, str], said: str) -> None:
    values = {"name": "t", "models": "m", "entrypoint": "s.py", "pods": "1", "kind": ""}
    with pytest.raises(InvalidRequest, match=said):
        serving.definition({**values, **changed}, World())


# -- models and resources


def test_models_and_policies_that_nobody_told_of_yet() -> None:
    info = ModelInfo("m", "files", VERSION, 2, 40.0, "me")
    first, second = model_rows.model_rows(World(models={"m": info}, pods={"shop": POD}))
    assert values(first, "kind", "latest", "versions", "from") == (
        "files",
        "demo (v2)",
        2,
        "run 3",
    )
    assert values(second, "name", "kind", "latest", "from") == (
        "shop",
        "policy",
        "v2",
        "pod shop",
    )


def test_a_version_in_words() -> None:
    (row,) = model_rows.version_rows([VERSION])
    assert values(row, "number", "name", "aliases") == ("v2", "demo", "@good")
    said = model_rows.about_version(VERSION)
    assert "files\n  a.bin" in said
    assert said.endswith("Small.")


def test_entries_of_the_tree_and_what_else_there_is() -> None:
    folder = ResourceInfo("runs/3", "folder", None, 5.0, info="complete")
    link = ResourceInfo("mine", "link", None, None, link_target="runs/3")
    first, second = model_rows.resource_rows([folder, link])
    assert (first.key, *values(first, "title", "detail")) == ("path/runs/3", "3/", "complete")
    assert values(second, "title", "detail") == ("mine", "→ runs/3")
    done = RunInfo(3, "command", "", ["make"], "/", "running", None, None, "", 1, 2, None, [])
    done = replace(done, state="complete", outcome="failed", name="train")
    first, inner = model_rows.resource_rows(
        [folder, ResourceInfo("runs/3/a", "file", 1, 5.0)], {3: done}
    )
    assert values(first, "state", "detail") == ("failed", "train"), "not just complete"
    assert values(inner, "state", "detail") == (None, "")
    nodes = [
        LineageNode("data/a.csv", "data", "a.csv", "", "9 bytes"),
        LineageNode("data/runs/3", "data", "runs/3", "", ""),
        LineageNode("run/3", "run", "run 3", "complete", ""),
    ]
    (row,) = model_rows.lineage_rows(nodes)
    assert (row.key, *values(row, "title", "state")) == ("node/data/a.csv", "a.csv", None)
    assert model_rows.run_of("runs/3/a/b") == 3
    assert model_rows.run_of("runs/x") is None
    assert model_rows.run_of("uploads/3") is None
