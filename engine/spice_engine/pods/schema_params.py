"""Params of connectors and processors, and hyperparameters, as keys of a manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, cast

from spice_engine.learning.hyperparameters import HYPERPARAMETERS
from spice_engine.learning.presets import PRESET, PRESETS
from spice_engine.pods.feed_kinds import CONNECTORS, PROCESSORS, Kind
from spice_engine.pods.schema_keys import Key, Type

Row = tuple[Type, str, str, str]
"""Type, meaning, default, example."""

_URL = "https://example.org/data.csv"
_TIMES: Mapping[str, Row] = {
    "time_selector": ("text", "The column that holds the time.", "time", "timestamp"),
    "time_format": (
        "text",
        "How times are written: `hex`, `rfc3339`, `iso8601`, `rfc1123z`, `rfc822z`, `%Y-%m-%d` or "
        "a layout of Go's.",
        "Unix seconds or RFC 3339",
        "rfc3339",
    ),
}

_HEADERS: Row = (
    "text",
    "Headers of the request, as a JSON object.",
    "",
    '\'{"Authorization": "Bearer ${TOKEN}"}\'',
)

CONNECTOR_PARAMS: Mapping[str, Mapping[str, Row]] = {
    "file": {
        "path": ("text", "The file, relative to the app folder.", "", "data/metrics.csv"),
        "watch": ("flag", "Files are always watched: kept for old manifests.", "true", "true"),
    },
    "http": {
        "url": ("text", "The address.", "", _URL),
        "method": ("text", "GET, POST or PUT.", "GET", "GET"),
        "timeout": ("duration", "How long an answer may take.", "5s", "10s"),
        "polling_interval": ("duration", "How often to ask again.", "once only", "1m"),
        "headers": _HEADERS,
        "body": ("text", "What is sent with POST or PUT.", "", "all=true"),
    },
    "influxdb": {
        "url": ("text", "The address of InfluxDB 2.", "", "http://localhost:8086"),
        "token": ("text", "Its token; best as a variable.", "", "${INFLUX_TOKEN}"),
        "org": ("text", "The organisation.", "", "home"),
        "bucket": ("text", "The bucket.", "", "metrics"),
        "measurement": ("text", "The measurement.", "_measurement", "cpu"),
        "field": ("text", "The field.", "_value", "usage_idle"),
        "fn": ("text", "How values of one interval are aggregated.", "mean", "max"),
        "refresh_interval": ("duration", "How often to ask again; 0: never.", "15s", "1m"),
        "timeout": ("duration", "How long an answer may take.", "30s", "10s"),
    },
    "websocket": {
        "url": ("text", "The address, ws:// or wss://.", "", "wss://example.org/feed"),
        "subscribe": (
            "text",
            "A message in JSON, sent when the connection is open.",
            "",
            '\'{"subscribe": "ticker"}\'',
        ),
        "headers": _HEADERS,
    },
    "coinbase": {
        "product_ids": ("text", "Products of the exchange.", "", "BTC-USD,ETH-USD"),
        "url": ("text", "The address.", "that of the exchange", "wss://localhost:8443"),
    },
    "gym": {
        "environment": ("text", "The id of a gymnasium environment whose actions are a choice of "
                        "one of a few.", "", "CartPole-v1"),
        "options": ("mapping", "What else the environment is made with.", "",
                    "{is_slippery: false}"),
    },
    "sql": {
        "path": ("text", "A SQLite file, relative to the app folder.", "", "data/metrics.db"),
        "query": ("text", "A SELECT; its columns are what selectors name.", "",
                  "SELECT time, cpu FROM metrics"),
    },
}  # fmt: skip

PROCESSOR_PARAMS: Mapping[str, Mapping[str, Row]] = {
    "csv": _TIMES,
    "json": _TIMES,
    "flux-csv": {},
    "arrow": _TIMES,
    "parquet": _TIMES,
}

SUMMARIES: Mapping[str, str] = {
    "file": "reads a file of the app folder, and again whenever it changes",
    "http": "asks a web address, once or again and again",
    "influxdb": "queries InfluxDB 2",
    "websocket": "listens to a stream of JSON messages",
    "coinbase": "listens to the prices of Coinbase's exchange",
    "gym": "no data: a gymnasium environment that the pod acts in",
    "sql": "queries a SQLite file",
    "csv": "CSV with a header row",
    "json": "one flat JSON object, or an array of them",
    "flux-csv": "the annotated CSV of InfluxDB",
    "arrow": "an Arrow IPC file or stream",
    "parquet": "a Parquet file",
}
"""Each connector and processor in a few words."""


def feed_params(feed: str) -> Iterator[Key]:
    """The params under `feed` (`dataspaces[].data`), as `….connector(file).params.path`."""
    both: tuple[tuple[str, Mapping[str, Kind], Mapping[str, Mapping[str, Row]]], ...] = (
        ("connector", CONNECTORS, CONNECTOR_PARAMS),
        ("processor", PROCESSORS, PROCESSOR_PARAMS),
    )
    for what, kinds, rows in both:
        for name, params in rows.items():
            for param, (kind, meaning, default, example) in params.items():
                yield Key(
                    f"{feed}.{what}({name}).params.{param}",
                    kind,
                    meaning,
                    default=default,
                    required=param in kinds[name].required,
                    example=example,
                )


def hyperparameters() -> Iterator[Key]:
    """The hyperparameters of each algorithm, as `training.hyperparameters(linear).gamma`."""
    for algorithm, kind in HYPERPARAMETERS.items():
        prefix = f"training.hyperparameters({algorithm})"
        if algorithm in PRESETS:
            yield Key(
                f"{prefix}.{PRESET}",
                "text",
                "Values to begin with; those that are written beside it count.",
                values=tuple(PRESETS[algorithm]),
                example=next(iter(PRESETS[algorithm])),
                new=True,
            )
        for field in dataclasses.fields(kind):
            type_, default, bounds = _shown(field)
            yield Key(
                f"{prefix}.{field.name}",
                type_,
                f"{field.metadata['meaning']}{bounds}",
                default=default,
                example=default,
                new=True,
            )


def _shown(field: dataclasses.Field[Any]) -> tuple[Type, str, str]:
    """Type, default, and what is said of the bounds of a hyperparameter."""
    low, high, default = field.metadata["low"], field.metadata["high"], field.default
    if isinstance(default, bool):
        return "flag", str(default).lower(), ""
    if isinstance(default, tuple):
        bounds = f" Up to {len(high)} numbers from {low[0]} to {high[0]}."
        return "list", str(list(cast("tuple[int, ...]", default))), bounds
    whole = isinstance(default, int)
    return "integer" if whole else "number", f"{default:g}", f" From {low:g} to {high:g}."
