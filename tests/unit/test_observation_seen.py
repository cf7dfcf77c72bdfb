"""Which payloads count as the same, and for how long."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.pods.seen import DAY, Head, Seen, head_of, read_records, write_records


def payload(**more: Any) -> bytes:
    parts: dict[str, Any] = {"v": 1, "at": 5.0, "h": b"d" * 16, "k": "", "f": "", "r": None}
    return msgpack.packb({**parts, "b": [{"d": "a/b", "t": b"", "m": {}}], **more})


def test_the_head_of_a_frame_is_read_without_its_rows() -> None:
    rows = [{"d": "home/room", "t": b"\0" * 80_000, "m": {"x": b"\0" * 80_000}}]
    assert head_of(payload(k="mine", b=rows)) == Head(5.0, b"d" * 16, "mine", "", "home/room")


def test_a_frame_in_another_order_is_read_as_well() -> None:
    turned = dict(reversed(msgpack.unpackb(payload(k="mine")).items()))
    assert head_of(msgpack.packb(turned)) == head_of(payload(k="mine"))


def test_a_long_key_before_the_rows_is_read_whole() -> None:
    assert head_of(payload(k="x" * 9000)).key == "x" * 9000


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: payload()[:-20] + tail))
def test_what_is_no_frame_is_refused_in_one_way(data: bytes) -> None:
    try:
        head_of(data)
    except (ValueError, KeyError, TypeError):
        return


@pytest.mark.parametrize(
    "other",
    [{"h": b"e" * 16}, {"b": [{"d": "a/c"}]}, {"b": [{"d": "a/b"}, {"d": "a/c"}]}, {"k": "key"}],
    ids=["data", "dataspace", "dataspaces", "key"],
)
def test_payloads_are_told_apart(other: dict[str, Any]) -> None:
    first, second = head_of(payload()).fingerprints(), head_of(payload(**other)).fingerprints()
    assert first != second
    # A key is one more way to be the same: the data still are.
    assert bool(set(first) & set(second)) == ("k" in other)


def test_what_a_feed_brings_is_never_a_duplicate() -> None:
    assert head_of(payload(f="http", k="key")).fingerprints() == ()


def test_a_payload_is_remembered_for_a_day() -> None:
    seen = Seen()
    seen.add(7, 1000.0)
    assert seen.has(7, 1000.0 + DAY - 1)
    assert not seen.has(7, 1000.0 + DAY)
    assert not seen.has(8, 1000.0)


def test_many_payloads_are_remembered_packed_and_forgotten_in_time() -> None:
    seen = Seen()
    for number in range(150_000):
        seen.add(number * 2**40, 1000.0 + number / 10)
    now = 1000.0 + 15_000
    assert all(seen.has(number * 2**40, now) for number in range(0, 150_000, 997))
    assert not seen.has(1, now)
    # The first of them is a day old, the last is not.
    assert not seen.has(0, 1000.0 + DAY)
    assert seen.has(149_999 * 2**40, 1000.0 + DAY)
    for number in range(150_000, 300_000):
        seen.add(number * 2**40, 1000.0 + 2 * DAY)
    assert len(seen) < 160_000


def test_records_are_read_back_without_the_old_and_the_torn() -> None:
    data = write_records([(1.0, 5), (2.0, 2**64 - 1), (3.0, 6)])
    assert list(read_records(data[:-1], 0.0)) == [(1.0, 5), (2.0, 2**64 - 1)]
    assert list(read_records(data, 1.0)) == [(2.0, 2**64 - 1), (3.0, 6)]
