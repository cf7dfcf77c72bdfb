"""Durations, sizes and times read what people write and write what reads back."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest
from spice_engine.units import (
    format_duration,
    format_size,
    format_time,
    parse_duration,
    parse_size,
    parse_time,
)

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("72h", 259_200),
        ("1h30m", 5_400),
        ("30d", 2_592_000),
        ("1.5s", 1.5),
        (".5m", 30),
        ("250ms", 0.25),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("0", 0),
        ("-1m", -60),
        ("10s1h", 3_610),
        (" 5m ", 300),
    ],
)
def test_durations_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == round(seconds * SECOND)


@pytest.mark.parametrize("text", ["", "-", "h", "5", "5x", "1h 30m", "1e3s", "٣h", "9999999h", "."])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_duration(text)


def test_a_missing_unit_is_named() -> None:
    with pytest.raises(InvalidRequest, match="600s"):
        parse_duration("600")


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_durations_round_trip(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_an_error(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        parse_duration(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1000, "1000B"), (5018, "4.9K"), (29 << 20, "29M"), (1024, "1.0K"), (10239, "10K")],
)
def test_sizes_as_listings_show_them(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 2**59))
def test_sizes_are_short_and_near(size: int) -> None:
    text = format_size(size)
    assert re.fullmatch(r"\d{1,4}[BKMGTP]|\d\.\d[KMGTP]", text)
    assert abs(parse_size(text) - size) <= size * 0.051


@pytest.mark.parametrize(("text", "size"), [("2G", 2 << 30), ("512 KiB", 1 << 19), ("7", 7)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1K", "1Q", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "time_format", "seconds"),
    [
        ("1612557000", "", 1612557000),
        ("1612557000.9", "", 1612557000),
        ("-0.5", "", -1),
        ("0x601DA7C8", "", 0x601DA7C8),
        ("601da7c8", "hex", 0x601DA7C8),
        ("2021-02-05T20:30:00Z", "", 1612557000),
        ("2021-02-05T21:30:00.25+01:00", "rfc3339", 1612557000),
        ("2021-02-05T21:30:00+0100", "iso8601", 1612557000),
        ("Fri, 05 Feb 2021 20:30:00 +0000", "RFC1123Z", 1612557000),
        ("05 Feb 21 20:30 +0000", "rfc822z", 1612557000),
    ],
)
def test_times(text: str, time_format: str, seconds: int) -> None:
    assert parse_time(text, time_format) == seconds


@pytest.mark.parametrize(
    ("text", "time_format"),
    [
        ("", ""),
        ("yesterday", ""),
        ("2021-02-05", ""),
        ("2021-13-05T00:00:00Z", ""),
        ("1612557000", "rfc3339"),
        ("99999999999999", ""),
        ("nan", ""),
    ],
)
def test_what_is_no_time_is_refused(text: str, time_format: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_time(text, time_format)


def test_an_unknown_time_format_is_named() -> None:
    with pytest.raises(InvalidRequest, match="not supported"):
        parse_time("1", "2006-01-02")


@given(st.integers(0, 253_402_300_799))
def test_times_round_trip(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds


@pytest.mark.parametrize("text", ["-62135596801", "253402300800", "-9223372036854775808"])
def test_times_outside_the_calendar_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1612557000.9, "2021-02-05T20:30:00Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
        (-62135596800, "0001-01-01T00:00:00Z"),
        (253402300799, "9999-12-31T23:59:59Z"),
        (253402300800, "253402300800"),
        (-99999999999, "-99999999999"),
    ],
)
def test_any_time_can_be_shown(seconds: float, text: str) -> None:
    assert format_time(seconds) == text
