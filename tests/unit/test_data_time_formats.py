"""Times as people write them: by name, by a Go layout, by %-directives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.data.time_formats import time_reader
from spice_engine.errors import InvalidRequest

MOMENT = 1136214245  # 2006-01-02T15:04:05Z


@pytest.mark.parametrize(
    ("form", "text", "seconds"),
    [
        ("", "1136214245", MOMENT),
        ("", "2006-01-02T15:04:05Z", MOMENT),
        ("hex", "43b940e5", MOMENT),
        ("RFC1123Z", "Mon, 02 Jan 2006 08:04:05 -0700", MOMENT),
        ("rfc822z", "02 Jan 06 15:04 +0000", MOMENT - 5),
        ("iso8601", "2006-01-02T15:04:05+0000", MOMENT),
        ("2006-01-02 15:04:05", "2006-01-02 15:04:05", MOMENT),
        ("02.01.2006", "02.01.2006", MOMENT - 54245),
        ("Jan _2 2006 3:04PM", "Jan  2 2006 3:04PM", MOMENT - 5),
        ("Monday, 2-Jan-06 15:04:05 MST", "Monday, 02-Jan-06 15:04:05 UTC", MOMENT),
        ("2006-01-02T15:04:05.000Z07:00", "2006-01-02T17:04:05.999+02:00", MOMENT),
        ("2006-01-02 15:04:05.999", "2006-01-02 15:04:05", MOMENT),
        ("2006-01-02 15:04:05.999", "2006-01-02 15:04:05.123456789", MOMENT),
        ("2006 002 15:04:05", "2006 002 15:04:05", MOMENT),
        ("%Y/%m/%d %H:%M:%S", "2006/01/02 15:04:05", MOMENT),
        ("%Y-%m-%dT%H:%M:%S%z", "2006-01-02T16:04:05+01:00", MOMENT),
        ("2006-01-02 15:04:05.000", "1969-12-31 23:59:59.500", -1),
    ],
)
def test_a_time_is_read(form: str, text: str, seconds: int) -> None:
    assert time_reader(form)(text) == seconds


@pytest.mark.parametrize("form", ["2006-01-02", "%Y-%m-%d", "hex", "rfc822z", ""])
@pytest.mark.parametrize("text", ["", "soon", "2006-13-40"])
def test_what_is_no_time_is_none(form: str, text: str) -> None:
    assert time_reader(form)(text) is None


@pytest.mark.parametrize("form", ["yesterday", "rfc3340", "%Q", "%H:%M", "15:04", "%", "02 Jan"])
def test_an_unknown_format_says_what_there_is(form: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        time_reader(form)
    assert "2006-01-02" in caught.value.hint


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_format_and_no_text_break_it(form: str, text: str) -> None:
    try:
        reader = time_reader(form)
    except InvalidRequest:
        return
    assert reader(text) is None or isinstance(reader(text), int)
