"""What dataspaces may hold: feeds with their params, categories, tags, identifiers, the clock."""

from __future__ import annotations

import pytest
from manifest_texts import all_fixed, messages, problems

from spice_engine.pods.manifest import load_manifest, parse_manifest

FULL = """\
params: {epoch_time: 1610057400, period: 24h, interval: 10m, granularity: 30s}
time: {categories: [month, dayofweek]}
dataspaces:
  - from: event
    name: stream
    seed_data:
      connector: {name: file, params: {path: data/seed.csv}}
      processor: {name: csv}
    data:
      connector: {name: sql, params: {path: data/log.db, query: "select * from log"}}
    identifiers:
      - {name: id, selector: row_id}
    measurements:
      - {name: length}
      - {name: height, selector: tall, fill: none, initializer: -1.5}
    categories:
      - {name: kind, selector: event_type, values: [yes, no, on, a-b, 10]}
    tags:
      selectors: [labels]
      values: [red, blue]
actions: [{name: go}, {name: stay}]
"""


def test_every_kind_of_column_arrives() -> None:
    manifest = load_manifest(FULL, "pod.yaml")
    (space,) = manifest.dataspaces
    assert space.identifiers[0].selector == "row_id"
    (kind,) = space.categories
    assert kind.values == ("10", "a-b", "no", "on", "yes")  # sorted, and text as written
    assert space.tags is not None
    assert (space.tags.selectors, space.tags.values) == (("_tags", "labels"), ("red", "blue"))
    assert manifest.time_categories == ("month", "dayofweek")
    assert set(space.fields()) == {
        "event_stream_length",
        "event_stream_height",
        "event_stream_kind-10",
        "event_stream_kind-a-b",
        "event_stream_kind-no",
        "event_stream_kind-on",
        "event_stream_kind-yes",
        "event_stream_red",
        "event_stream_blue",
    }
    assert len(manifest.fields) == 9 + 12 + 7
    assert "event_stream_id" not in manifest.fields
    assert space.seed_data is not None
    assert space.seed_data.connector is not None
    assert space.seed_data.connector.params["path"] == "data/seed.csv"
    assert manifest.local_fields == ()


def test_data_without_a_connector_are_pushed_and_none_at_all_is_local_state() -> None:
    text = """\
dataspaces:
  - {from: a, name: pushed, measurements: [{name: x}], data: {processor: {name: json}}}
  - {from: a, name: plain, measurements: [{name: x}], data: {}}
  - {from: a, name: local, measurements: [{name: x}], data: }
actions: [{name: go}]
"""
    assert problems(text) == []
    pushed, plain, local = load_manifest(text, "pod.yaml").dataspaces
    assert pushed.data is not None
    assert (pushed.data.connector, pushed.data.processor.name) == (None, "json")
    assert plain.data is not None
    assert (plain.data.connector, plain.data.processor.name) == (None, "csv")
    assert local.data is None
    assert load_manifest(text, "pod.yaml").local_fields == ("a_local_x",)


def _with(connector: str, processor: str = "") -> str:
    rest = f"\n      processor: {processor}" if processor else ""
    return f"""\
params: {{epoch_time: 1610057400}}
dataspaces:
  - from: a
    name: b
    measurements: [{{name: x}}]
    data:
      connector: {connector}{rest}
actions: [{{name: go}}]
"""


@pytest.mark.parametrize(
    ("connector", "processor"),
    [
        ("{name: file, params: {path: a.csv, watch: true}}", "csv"),
        ("{name: http, params: {url: 'https://x.y/z', method: post, timeout: 10s}}", "json"),
        ("{name: http, params: {url: 'http://x.y:81/z', polling_interval: 1m}}", "csv"),
        ("{name: influxdb, params: {url: 'http://h:8086', token: t, bucket: b, fn: max}}", ""),
        ("{name: influxdb, params: {url: 'http://h', token: t, bucket: b, org: o}}", "flux-csv"),
        ("{name: websocket, params: {url: 'wss://h/x', subscribe: '{\"type\": \"sub\"}'}}", ""),
        ("{name: coinbase, params: {product_ids: 'BTC-USD, ETH-USD'}}", "json"),
        ("{name: coinbase, params: {product_ids: [BTC-USD, ETH-USD]}}", ""),
        ("{name: sql, params: {path: a.db, query: select 1}}", ""),
        ("{name: file, params: {path: a.parquet}}", "parquet"),
        ("{name: file, params: {path: a.arrow}}", "arrow"),
        ("{}", "csv"),
    ],
)
def test_connectors_with_good_params(connector: str, processor: str) -> None:
    text = _with(connector, f"{{name: {processor}}}" if processor else "")
    assert messages(text) == {}


@pytest.mark.parametrize(
    ("connector", "processor", "expected", "words"),
    [
        (
            "{name: influxdb, params: {url: 'http://h', bucket: b}}",
            "",
            "influxdb | error missing_param",
            "'token'",
        ),
        ("{name: file, params: {path: ''}}", "{name: csv}", "'' | error missing_param", "'path'"),
        (
            "{name: file, params: {path: a, wach: true}}",
            "{name: csv}",
            "wach | warning unknown_param",
            "Did you mean 'watch'",
        ),
        (
            "{name: file, params: {path: a, watch: maybe}}",
            "{name: csv}",
            "maybe | error invalid_param",
            "true or false",
        ),
        (
            "{name: file, params: {path: a}}",
            "",
            "connector: {name: file, params: {path: a}} | error missing_processor",
            "csv",
        ),
        (
            "{name: file, params: {path: a}}",
            "{name: cvs}",
            "cvs | error unknown_processor",
            "'csv'",
        ),
        ("{name: file, params: {path: a}}", "csv", "csv | error wrong_type", "{name: csv}"),
        (
            "{name: file, params: {path: a}}",
            "{name: csv, params: {time_format: soon}}",
            "soon | error invalid_param",
            "not known",
        ),
        (
            "{name: http, params: {url: 'ftp://h'}}",
            "{name: csv}",
            "'ftp://h' | error invalid_param",
            "https://",
        ),
        (
            "{name: http, params: {url: 'http://h', timeout: 5}}",
            "{name: csv}",
            "5 | error invalid_param",
            "5s",
        ),
        (
            "{name: influxdb, params: {url: 'http://h', token: t, bucket: b, refresh_interval: "
            "-1s}}",
            "",
            "-1s | error invalid_param",
            "out of range",
        ),
        (
            "{name: coinbase, params: {product_ids: BTC-USD}}",
            "{name: csv}",
            "csv | error invalid_processor",
            "json",
        ),
        (
            "{name: gym, params: {environment: CartPole-v1, options: [1]}}",
            "",
            "[1] | error invalid_param",
            "is a map of names to values",
        ),
        ("{name: twitter}", "", "twitter | error unsupported", "not in this version"),
        ("{name: flight}", "", "flight | error unsupported", "docs/extending.md"),
        ("{name: flie}", "", "flie | error unknown_connector", "unknown data connector 'flie'"),
        ("{params: {path: a}}", "", "{params: {path: a}} | error missing_name", "needs a name"),
    ],
)
def test_connectors_with_bad_params(
    connector: str, processor: str, expected: str, words: str
) -> None:
    found = messages(_with(connector, processor))
    assert expected in found, found
    assert words in found[expected]


def test_third_parties_bring_connectors_and_processors(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package is a folder on the path with its metadata."""
    from spice_engine.pods.feed_kinds import third_party

    info = tmp_path / "extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[spice_tui.connectors]\nkafka = extra:read\n[spice_tui.processors]\navro = extra:parse\n"
    )
    text = _with("{name: kafka, params: {Topic: prices}}", "{name: avro, params: {any: 1}}")
    third_party.cache_clear()
    assert "unknown_connector" in str(problems(text))
    monkeypatch.syspath_prepend(str(tmp_path))
    third_party.cache_clear()
    try:
        assert problems(text) == []
        (space,) = load_manifest(text, "pod.yaml").dataspaces
        assert space.data is not None
        assert space.data.connector is not None
        assert space.data.connector.params == {"Topic": "prices"}
        assert space.data.processor.params == {"any": "1"}
    finally:
        third_party.cache_clear()


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        (("month, ", "mnth, "), "mnth | error unknown_time_category", "'month'"),
        (("month, ", "dayofweek, "), "dayofweek | warning duplicate_value", "twice"),
        (("name: id,", "name: length,"), "length | error duplicate_name", "identifier"),
        (
            ("name: height, selector: tall", "name: length"),
            "length | error duplicate_measurement",
            "",
        ),
        (
            ("name: height, selector: tall,", "name: 2high,"),
            "2high | error invalid_measurement_name",
            "selector",
        ),
        (("yes, no", "no, no"), "no | warning duplicate_value", "'no'"),
        (("yes, no", "'', no"), "'' | error invalid_value", "empty"),
        (
            ("values: [yes, no, on, a-b, 10]", "values: []"),
            "kind | warning nothing_learned",
            "kind",
        ),
        (
            ("values: [red, blue]", "values: [height]"),
            "selectors: [labels] | error duplicate_field",
            "both give",
        ),
        (("- {name: length}", "- length"), "length | error wrong_type", "{name: length}"),
        (
            (
                "seed_data:\n      connector: {name: file, params: {path: data/seed.csv}}",
                "seed_data:",
            ),
            "processor: {name: csv} | error missing_connector",
            "seed_data needs",
        ),
        (("fill: none", "fill: zero"), "zero | error invalid_fill", "['previous', 'none']"),
        (
            ("- {name: length}", "- {name: length, type: number}"),
            "number | warning unknown_key",
            "",
        ),
        (
            ("    tags:\n      selectors", "    tags:\n      selector"),
            "selector | warning unknown_key",
            "",
        ),
    ],
)
def test_one_wrong_column_is_said_where_it_stands(
    change: tuple[str, str], expected: str, words: str
) -> None:
    assert change[0] in FULL
    found = messages(FULL.replace(*change, 1))
    assert expected in found, found
    assert words in found[expected]


def test_data_of_which_nothing_is_learned_is_a_warning() -> None:
    text = _with("{}").replace("    measurements: [{name: x}]\n", "")
    other = "  - {from: c, name: d, measurements: [{name: y}]}\n"
    text = text.replace("actions:", f"{other}actions:")
    assert problems(text) == ["3:5 warning nothing_learned"]


def test_a_watched_file_needs_no_epoch() -> None:
    text = _with("{name: file, params: {path: a.csv}}", "{name: csv}")
    sliding = text.replace("params: {epoch_time: 1610057400}\n", "", 1)
    assert problems(sliding) == ["6:46 warning static_file_without_epoch"]
    watched = sliding.replace("path: a.csv", "path: a.csv, watch: true")
    assert problems(watched) == []


def test_columns_of_the_clock_and_of_data_do_not_meet() -> None:
    text = """\
time: {categories: [hour]}
dataspaces:
  - {from: time, name: hour, measurements: [{name: x}], tags: {values: ["07"]}}
actions: [{name: go}]
"""
    assert [one.split()[-1] for one in problems(text)] == ["duplicate_field"]


def test_events_need_no_buckets() -> None:
    text = FULL.replace("period: 24h", "period: 3000d, interpolation: 'false'")
    text = text.replace("granularity: 30s", "granularity: 1s")
    assert problems(text) == []
    assert load_manifest(text, "pod.yaml").params.interpolation is False
    assert "invalid_params" in str(problems(text.replace("'false'", "'true'")))


def test_short_forms_are_fixed_into_long_ones() -> None:
    text = FULL.replace("- {name: length}", "- length").replace("{name: csv}", "csv")
    assert problems(text) != []
    assert parse_manifest(all_fixed(text), "pod.yaml").problems == ()
