"""The `influxdb` connector: a Flux query to InfluxDB 2 over its HTTP API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from spice_engine.data.connectors.remote import (
    FeedFailed,
    PlaceOf,
    Request,
    address,
    required,
    seconds,
    shown,
)
from spice_engine.errors import InvalidData
from spice_engine.records import record
from spice_engine.units import format_time

PARAMS = (
    "url",
    "token",
    "org",
    "bucket",
    "measurement",
    "field",
    "fn",
    "refresh_interval",
    "timeout",
)
FUNCTIONS = (
    "count",
    "first",
    "last",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "spread",
    "stddev",
    "sum",
)
"""What `fn` may be: the aggregates of Flux that need no argument."""
_SHOWN_CHARACTERS = 300


@record
class InfluxSource:
    """What to ask for, and how often: `every` in seconds, 0 for once."""

    url: str
    token: str
    org: str
    bucket: str
    measurement: str
    field: str
    function: str
    every: float
    timeout: float

    def request(self, start: int, stop: int, window: int) -> Request:
        """Asks for [start, stop) (unix seconds) in windows of `window` seconds."""
        query = (
            f"from(bucket: {_text(self.bucket)})\n"
            f"  |> range(start: {format_time(start)}, stop: {format_time(stop)})\n"
            f'  |> filter(fn: (r) => r["_measurement"] == {_text(self.measurement)})\n'
            f'  |> filter(fn: (r) => r["_field"] == {_text(self.field)})\n'
            f"  |> aggregateWindow(every: {window}s, fn: {self.function}, createEmpty: false)"
        )
        dialect = {"header": True, "annotations": ["datatype", "group", "default"]}
        org = f"?org={quote(self.org, safe='')}" if self.org else ""
        return Request(
            "influxdb",
            "POST",
            f"{self.url.rstrip('/')}/api/v2/query{org}",
            {
                "Authorization": f"Token {self.token}",
                "Accept": "application/csv",
                "Content-Type": "application/json",
            },
            json.dumps({"query": query, "type": "flux", "dialect": dialect}),
            self.timeout,
        )


def parse(params: Mapping[str, str], place_of: PlaceOf) -> InfluxSource:
    """The connector's params.

    Raises InvalidData where one is missing or cannot be used.
    """
    url = address("influxdb", params, place_of, ("http", "https"))
    token = required("influxdb", params, "token", place_of)
    if not (token.isascii() and token.isprintable()):
        raise InvalidData("The token of the influxdb connector is none.", place=place_of("token"))
    function = params.get("fn", "").strip() or "mean"
    if function not in FUNCTIONS:
        raise InvalidData(
            f"The fn '{function[:40]}' of the influxdb connector is not supported.",
            hint=f"Use one of {', '.join(FUNCTIONS)}.",
            place=place_of("fn"),
        )
    names = {
        "bucket": required("influxdb", params, "bucket", place_of),
        "measurement": params.get("measurement", "") or "_measurement",
        "field": params.get("field", "") or "_value",
    }
    for name, value in names.items():
        if not value.isprintable():
            raise InvalidData(
                f"The {name} of the influxdb connector holds a control character.",
                place=place_of(name),
            )
    return InfluxSource(
        url=url,
        token=token,
        org=params.get("org", "").strip(),
        function=function,
        every=seconds(
            "influxdb", params, "refresh_interval", place_of, default=15.0, least=0.1, zero=True
        ),
        timeout=seconds("influxdb", params, "timeout", place_of, default=30.0, least=0.001),
        **names,
    )


def refusal(status: int, answer: bytes, url: str) -> FeedFailed:
    """What a status other than 200 means; `answer` is the beginning of what came with it."""
    where = f"InfluxDB at {shown(url)}"
    said = _said(answer)
    match status:
        case 401 | 403:
            return FeedFailed(
                f"{where} refused the token ({status}).{said}",
                hint="Check 'token', and that it may read the bucket.",
            )
        case 404:
            return FeedFailed(
                f"{where} found nothing to query ({status}).{said}",
                hint="Check 'org', 'bucket', and that 'url' is that of InfluxDB 2.",
            )
        case 400 | 422:
            return FeedFailed(
                f"{where} refused the query ({status}).{said}",
                hint="Check 'bucket', 'measurement', 'field' and 'fn'.",
            )
        case 429 | 503:
            return FeedFailed(f"{where} is busy ({status}).{said}", hint="It is asked again.")
        case _:
            return FeedFailed(f"{where} failed ({status}).{said}", hint="It is asked again.")


def check(answer: bytes, content_type: str, url: str) -> None:
    """Looks at the beginning of an answer of status 200.

    Raises FeedFailed where it is no CSV, or a table that says what went wrong.
    """
    where = f"InfluxDB at {shown(url)}"
    content_type = content_type.partition(";")[0]
    if content_type and "csv" not in content_type and "text/plain" not in content_type:
        raise FeedFailed(
            f"{where} answered with {content_type[:60]} instead of CSV.",
            hint="Check that 'url' is that of InfluxDB 2, and not of a page before it.",
        )
    lines = answer.decode("utf-8", "replace").splitlines()
    table = [line for line in lines if line.strip() and not line.startswith("#")]
    names = table[0].split(",") if table else []
    if "error" in names and "_time" not in names:
        row = table[1].strip(",") if len(table) > 1 else "no reason given"
        raise FeedFailed(
            f"{where} broke off the query: {row[:_SHOWN_CHARACTERS]}.",
            hint="Check 'bucket', 'measurement', 'field' and 'fn'.",
        )


def _said(answer: bytes) -> str:
    """The message of InfluxDB's own form of error, if it is that."""
    try:
        value: Any = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    message = cast("dict[str, Any]", value).get("message") if isinstance(value, dict) else None
    return f" It says: {message[:_SHOWN_CHARACTERS]}" if isinstance(message, str) else ""


def _text(value: str) -> str:
    """A string literal of Flux; `${` would begin an expression."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped}"'
