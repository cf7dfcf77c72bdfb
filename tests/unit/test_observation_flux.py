"""What is asked of InfluxDB: which times, and that no name can be more than a name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.data.connectors import http, influxdb, websocket
from spice_engine.errors import InvalidData, Place
from spice_engine.pods.polling import AskingInflux

GOOD = {"url": "http://influx:8086/", "token": "hunter2", "org": "my org", "bucket": "metrics"}
PLACES = {"url": Place("pod.yaml", 4, 2)}


def parse(more: Mapping[str, str]) -> influxdb.InfluxSource:
    return influxdb.parse({**GOOD, **more}, PLACES.get)


def test_the_query_is_the_original_one_with_fn_honoured() -> None:
    source = parse({"measurement": "cpu", "field": "usage_idle", "fn": "max"})
    request = source.request(1612557000, 1612557060, 10)
    assert request.url == "http://influx:8086/api/v2/query?org=my%20org"
    assert request.headers["Authorization"] == "Token hunter2"
    assert request.headers["Accept"] == "application/csv"
    body = json.loads(request.body)
    assert body["dialect"]["annotations"] == ["datatype", "group", "default"]
    assert body["query"] == (
        'from(bucket: "metrics")\n'
        "  |> range(start: 2021-02-05T20:30:00Z, stop: 2021-02-05T20:31:00Z)\n"
        '  |> filter(fn: (r) => r["_measurement"] == "cpu")\n'
        '  |> filter(fn: (r) => r["_field"] == "usage_idle")\n'
        "  |> aggregateWindow(every: 10s, fn: max, createEmpty: false)"
    )
    plain = json.loads(parse({}).request(0, 1, 60).body)["query"]
    assert '"_measurement")' in plain
    assert '"_value")' in plain
    assert "fn: mean" in plain


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1))
def test_a_name_is_never_more_than_a_name(name: str) -> None:
    name = f"x{name}x"
    query: str = json.loads(parse({"field": name}).request(0, 1, 60).body)["query"]
    line = next(line for line in query.splitlines() if "_field" in line)
    literal = re.fullmatch(r'  \|> filter\(fn: \(r\) => r\["_field"\] == "(.*)"\)', line)
    assert literal is not None
    inside = literal[1]
    # Nothing in it ends the string or begins an expression …
    assert re.fullmatch(r'(?:\\[\\"$]|[^"\\$]|\$(?!\{))*', inside)
    # … and what Flux makes of it is the name.
    assert re.sub(r"\\(.)", r"\1", inside) == name


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"url": ""}, "influxdb connector requires the 'url' parameter to be set"),
        ({"token": ""}, "influxdb connector requires the 'token' parameter to be set"),
        ({"bucket": ""}, "influxdb connector requires the 'bucket' parameter to be set"),
        ({"url": "ftp://influx"}, "The url 'ftp://influx' of the influxdb connector cannot"),
        ({"url": "http://me:hunter2@/x?k=hunter2"}, "The url 'http:///x' of the influxdb conn"),
        ({"fn": "mean) |> drop("}, "The fn 'mean) |> drop(' of the influxdb connector is not"),
        ({"refresh_interval": "-5s"}, "The refresh_interval '-5s' of the influxdb connector is"),
        ({"refresh_interval": "5"}, "'5' is not a duration, in 'refresh_interval' of the influxdb"),
        ({"bucket": "a\nb"}, "The bucket of the influxdb connector holds a control character."),
        ({"token": "a\r\nHost: b"}, "The token of the influxdb connector is none."),
    ],
)
def test_params_of_influxdb_that_cannot_be_used(params: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidData) as caught:
        parse(params)
    assert caught.value.message.startswith(message)
    assert "hunter2" not in str(caught.value)
    assert (caught.value.place == PLACES["url"]) == ("url" in params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "http connector requires the 'url' parameter to be set"),
        ({"url": "https://"}, "The url 'https://' of the http connector cannot be used."),
        ({"url": "http://a b"}, "The url 'http://a b' of the http connector cannot be used."),
        ({"url": "http://[::1"}, "The url 'the address' of the http connector cannot be used."),
        ({"url": "http://h:99999"}, "The url 'the address' of the http connector cannot be used."),
        ({"url": "file:///etc/passwd"}, "The url 'file:///etc/passwd' of the http connector"),
        ({"url": "http://h", "method": "DELETE"}, "The method 'DELETE' of the http connector"),
        ({"url": "http://h", "timeout": "0s"}, "The timeout '0s' of the http connector is out"),
        ({"url": "http://h", "polling_interval": "1ms"}, "The polling_interval '1ms' of the http"),
        ({"url": "http://h", "headers": "a: b"}, "The headers of the http connector are no JSON."),
        ({"url": "http://h", "headers": "[]"}, "The headers of the http connector are no JSON o"),
        ({"url": "http://h", "headers": '{"a b": "c"}'}, "The headers of the http connector hold"),
        ({"url": "http://h", "headers": '{"a": "b\\r\\nc: d"}'}, "The headers of the http connec"),
    ],
)
def test_params_of_http_that_cannot_be_used(params: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidData) as caught:
        http.parse(params, PLACES.get)
    assert caught.value.message.startswith(message)


def test_params_of_http_have_the_documented_defaults() -> None:
    source = http.parse({"url": "https://h/x"}, PLACES.get)
    assert (source.request.method, source.request.timeout, source.every) == ("GET", 5.0, 0.0)
    source = http.parse({"url": "http://h", "polling_interval": "1m", "method": "post"}, PLACES.get)
    assert (source.request.method, source.every) == ("POST", 60.0)


def test_params_of_streams() -> None:
    source = websocket.parse({"url": "wss://h", "subscribe": '[{"a": 1}, {"b": 2}]'}, PLACES.get)
    assert source.subscribe == ('{"a": 1}', '{"b": 2}')
    coinbase = websocket.parse_coinbase({"product_ids": "BTC-USD, ETH-USD"}, PLACES.get)
    assert coinbase.url == "wss://ws-feed.exchange.coinbase.com"
    assert json.loads(coinbase.subscribe[0]) == {
        "type": "subscribe",
        "product_ids": ["BTC-USD", "ETH-USD"],
        "channels": ["ticker", "heartbeat"],
    }
    with pytest.raises(InvalidData, match="'product_ids' parameter"):
        websocket.parse_coinbase({"product_ids": " , "}, PLACES.get)
    with pytest.raises(InvalidData, match="is no JSON"):
        websocket.parse({"url": "ws://h", "subscribe": "{"}, PLACES.get)
    with pytest.raises(InvalidData, match="Write ws://… or wss://…"):
        websocket.parse({"url": "http://h"}, PLACES.get)


def asking(now: list[float], epoch: int | None = None, every: str = "15s") -> AskingInflux:
    source = parse({"refresh_interval": every})
    return AskingInflux(source, epoch=epoch, period=3600, interval=60, clock=lambda: now[0])


def test_a_sliding_period_is_asked_once_and_then_its_end() -> None:
    now = [10_000.0]
    feed = asking(now)
    first = feed.next()
    # Both ends, and the start on a boundary of the windows.
    assert first.over == (6361, 10_000)
    assert "start: 1970-01-01T01:46:00Z, stop: 1970-01-01T02:46:40Z" in first.request.body
    assert first.again == 15.0
    assert feed.next() == first, "it was not answered"
    feed.answered(first)
    now[0] = 10_015.0
    second = feed.next()
    assert second.over == (9901, 10_015)
    feed.answered(second)
    now[0] = 12_000.0
    assert feed.next().over == (9901, 12_000), "nothing is left out after a long failure"


def test_what_is_replaced_is_replaced_whole() -> None:
    """Each answer covers the last one's unfinished window, and begins where a window does."""
    now = [100_000.0]
    feed = asking(now)
    asked = []
    for step in (0, 7, 15, 15, 61, 300):
        now[0] += step
        question = feed.next()
        feed.answered(question)
        asked.append(question.over)
    for (_, end), (start, _) in pairwise(asked):
        assert (start - 1) % 60 == 0
        assert start <= end - end % 60


def test_a_fixed_period_is_asked_once() -> None:
    question = asking([10_000.0], epoch=1200).next()
    assert (question.over, question.again) == ((1201, 4800), None)


def test_a_fixed_period_is_asked_again_until_it_is_over() -> None:
    now = [2000.0]
    feed = asking(now, epoch=1200)
    assert feed.next().again == 15.0
    feed.answered(feed.next())
    now[0] = 4800.0
    assert feed.next().again is None


def test_no_refresh_means_once() -> None:
    assert asking([10_000.0], every="0").next().again is None


def test_a_clock_that_was_set_back_does_no_harm() -> None:
    now = [100_000.0]
    feed = asking(now)
    feed.answered(feed.next())
    now[0] = 90_000.0
    start, stop = feed.next().over
    assert start < stop == 90_000
