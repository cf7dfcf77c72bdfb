"""Small parts of the public door: hosts, times, curves, bounds of numbers."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.api import json_text, rest
from spice_engine.api.page import MOST_POINTS, curve
from spice_engine.api.security import Access, access_of, is_loopback, split_host
from spice_engine.api.v01_times import parse_moment as parse_time
from spice_engine.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("localhost", ("localhost", "")),
        ("LocalHost.:80", ("localhost", "80")),
        ("[::1]:8000", ("::1", "8000")),
        ("[::1]", ("::1", "")),
        ("[::1]x", ("", "")),
        ("[::1", ("", "")),
        ("a:b", ("", "")),
        ("a:80:90", ("", "")),
        ("a:٣", ("", "")),
        ("", ("", "")),
    ],
)
def test_split_host(text: str, host: tuple[str, str]) -> None:
    assert split_host(text) == host


@given(st.text(max_size=30))
def test_split_host_never_raises_and_gives_digits_for_ports(text: str) -> None:
    _, port = split_host(text)
    assert not port or port.isdigit()


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("127.0.0.1.evil", False),
        ("", False),
    ],
)
def test_is_loopback(address: str, local: bool) -> None:
    assert is_loopback(address) is local


def test_access_goes_by_the_routes_template() -> None:
    assert access_of("/api/v1/runs/{id}") is Access.TOKEN
    assert access_of("/api/v1/events") is Access.SELF
    assert access_of("/health") is Access.OPEN
    assert access_of("/api/v0.1/pods") is Access.LOOPBACK
    assert access_of("") is Access.LOOPBACK


@given(st.integers(json_text.SMALLEST, json_text.LARGEST))
def test_every_time_in_seconds_is_read(moment: int) -> None:
    assert parse_time(f" {moment} ") == moment


@given(st.text(max_size=40))
def test_other_times_are_read_or_refused(text: str) -> None:
    try:
        moment = parse_time(text)
    except InvalidRequest:
        return
    assert json_text.SMALLEST <= moment <= json_text.LARGEST


@given(st.lists(st.floats(), max_size=600))
def test_a_curve_has_only_numbers_in_its_picture(values: list[float]) -> None:
    svg = curve(values, "score")
    finite = [value for value in values if math.isfinite(value)]
    assert bool(svg) is bool(finite)
    if not finite:
        return
    points = re.findall(r"(-?[\d.]+),(-?[\d.]+)", svg)
    assert len(points) <= MOST_POINTS + 2
    for x, y in points:
        assert 0 <= float(x) <= 280
        assert 0 <= float(y) <= 90


def test_a_curve_keeps_the_spike_of_a_long_series() -> None:
    values = [0.0] * 10_000
    values[4321] = 1.0
    heights = {y for _, y in re.findall(r"([\d.]+),([\d.]+)", curve(values, "score"))}
    assert "4.0" in heights


def test_a_label_is_escaped() -> None:
    assert "<b>" not in curve([1.0, 2.0], "<b>")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=30) | st.integers(-(2**70), 2**70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=10,
)


def _integers(data: object) -> list[int]:
    if isinstance(data, dict):
        return [n for item in data.values() for n in _integers(item)]
    if isinstance(data, list):
        return [n for item in data for n in _integers(item)]
    return [data] if isinstance(data, int) else []


@given(JSON)
def test_integers_beyond_64_bits_are_seen_at_any_depth(data: object) -> None:
    wrong = any(not json_text.SMALLEST <= n <= json_text.LARGEST for n in _integers(data))
    if wrong:
        assert json_text.is_suspicious(data)
        with pytest.raises(InvalidRequest):
            json_text.check_integers(data, "test")
    else:
        json_text.check_integers(data, "test")


@given(JSON)
def test_everything_plain_becomes_json(data: object) -> None:
    assert json_text.dumps(data)


def test_what_a_field_accepts_is_read_off_its_type() -> None:
    assert rest.accepts(list[str] | None, list)
    assert rest.accepts(list[str] | str, list)
    assert not rest.accepts(str | None, list)
    assert rest.accepts(dict[str, int], dict)
