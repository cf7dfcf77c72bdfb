"""JSON in and out of predictors: the same with orjson and without it."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_runtime.predictors import json_text
from spice_runtime.predictors.json_text import Untranslatable, dump, load

ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
Point = namedtuple("Point", "x y")


class Colour(Enum):
    RED = "red"


@dataclass
class Row:
    name: str
    values: list[int]


class Model(pydantic.BaseModel):
    name: str
    when: datetime.date


@pytest.fixture(params=["orjson", "json"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "json":
        monkeypatch.setattr(json_text, "_orjson", None)
    return str(request.param)


BIG = 10**40
READ: list[tuple[bytes, Any]] = [
    (b"[1,2]", [1, 2]),
    (b"5", 5),
    (b'"x"', "x"),
    (b"null", None),
    (b"\xef\xbb\xbf[1]", [1]),
    ('{"a":"é"}'.encode("utf-16"), {"a": "é"}),
    ('{"a":"é"}'.encode("utf-16-be"), {"a": "é"}),
    ('{"a":"é"}'.encode("utf-32"), {"a": "é"}),
    (str(BIG).encode(), BIG),
    (str(-BIG).encode(), -BIG),
    (b'{"a":[1,{"b":%d}]}' % BIG, {"a": [1, {"b": BIG}]}),
    (b"18446744073709551616", 18446744073709551616),
    (b'"%d"' % BIG, str(BIG)),
    (b"[0.12345678901234567890123]", [0.12345678901234567890123]),
    (b"1e400", math.inf),
    (b'"\\ud800"', "\ud800"),
]


@pytest.mark.parametrize(("body", "value"), READ)
def test_any_json_value_is_read(library: str, body: bytes, value: Any) -> None:
    got = load(body)
    assert got == value
    assert type(got) is type(value)


def test_big_integers_are_found_in_long_bodies(library: str) -> None:
    for place in (0, 1, 2, 500):
        values: list[Any] = [0.12345678901234567] * 1000
        values[place] = BIG + place
        assert load(json.dumps(values).encode()) == values
        values[900] = 0.00123456789012345678
        assert load(json.dumps(values).encode()) == values
        assert load(json.dumps(values, separators=(",", ":")).encode())[place] == BIG + place


@pytest.mark.parametrize("with_numpy", [True, False])
@pytest.mark.parametrize("digits", range(15, 23))
@pytest.mark.parametrize("around", ["0.1344, ", "0.4717834455384, ", "words, "])
def test_rows_of_19_digits_are_found_wherever_they_are(
    monkeypatch: pytest.MonkeyPatch, with_numpy: bool, digits: int, around: str
) -> None:
    monkeypatch.setattr(json_text, "loaded", lambda _: np if with_numpy else None)
    row = "[" + "7" * digits + "]"
    for place in (0, *range(1000, 1008), 5000):
        filled = (around * 600)[:place]
        for text in (filled.rjust(3000) + row, filled + row + around * 400):
            assert json_text.has_long_digits(text.encode()) is (digits >= 19)
    small = "[" + ", ".join(["0.00" + "7" * digits] * 200)
    assert not json_text.has_long_digits(f"{small}]".encode())
    assert json_text.has_long_digits(f"{small}, {BIG}]".encode())
    assert json_text.has_long_digits(f"{BIG}{small}".encode())


def test_not_a_number_is_read(library: str) -> None:
    value = load(b"[NaN, Infinity]")
    assert math.isnan(value[0])
    assert value[1] == math.inf


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{'a':1}", b"\xff\xfe\xfa", b'"\xff"', b"[" * 100_000 + b"]" * 100_000, b"1 2"],
)
def test_what_is_no_json_is_refused(library: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        load(body)


WRITTEN: list[tuple[Any, str]] = [
    ({"a": [1, 2.5, None, True, "é"]}, '{"a":[1,2.5,null,true,"é"]}'),
    ((1, (2,)), "[1,[2]]"),
    (None, "null"),
    ({1: "a", 2.5: "b", None: "c"}, '{"1":"a","2.5":"b","null":"c"}'),
    ({True: "a", 0: "b"}, '{"true":"a","0":"b"}'),
    ({"big": 10**30}, '{"big":1000000000000000000000000000000}'),
    ({"id": ID}, f'{{"id":"{ID}"}}'),
    ({"a": np.arange(3), "b": np.float64(1.5), "c": np.int8(3)}, '{"a":[0,1,2],"b":1.5,"c":3}'),
    ([np.bool_(True)], "[true]"),
    (np.array([[1.5, 2.0], [3.0, 4.5]]), "[[1.5,2.0],[3.0,4.5]]"),
    (np.array([[1, 2], [3, 4]]).T, "[[1,3],[2,4]]"),
    (np.array(["a", "b"]), '["a","b"]'),
    ({"a": np.zeros((2, 0))}, '{"a":[[],[]]}'),
    (OrderedDict(a=1), '{"a":1}'),
    ([Point(1, 2)], "[[1,2]]"),
    ({"c": Colour.RED}, '{"c":"red"}'),
    (Row("a", [1]), '{"name":"a","values":[1]}'),
    (Model(name="a", when=datetime.date(2026, 1, 2)), '{"name":"a","when":"2026-01-02"}'),
    ({"null": "null"}, '{"null":"null"}'),
]


@pytest.mark.parametrize(("value", "text"), WRITTEN)
def test_values_are_written_compactly(library: str, value: Any, text: str) -> None:
    assert dump(value).decode() == text


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        object(),
        [math.nan],
        {"a": {"b": math.inf}},
        np.array([1.0, math.nan]),
        [np.float32("nan")],
        {"when": datetime.datetime(2026, 1, 1)},
        datetime.date(2026, 1, 1),
        [decimal.Decimal(1)],
        {"raw": b"x"},
        bytearray(b"x"),
        {(1, 2): 3},
        np.array([1j]),
        "\ud800",
        Row,
    ],
)
def test_what_json_cannot_hold_is_refused(library: str, value: Any) -> None:
    with pytest.raises(Untranslatable):
        dump(value)


def test_what_contains_itself_is_refused(library: str) -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Untranslatable):
        dump(value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
)


@given(json_values)
def test_any_value_comes_back(value: Any) -> None:
    assert load(dump(value)) == value
    assert load(json.dumps(value).encode()) == value
