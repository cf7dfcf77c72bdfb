"""Frames: whatever way the bytes are cut, and whatever the bytes are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import ProtocolError
from spice_engine.protocol.frames import HEADER, FrameParser, decode, encode

messages = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(st.lists(messages, max_size=8), st.lists(st.integers(1, 40), max_size=50))
def test_messages_survive_any_cutting_of_the_stream(sent: list[object], cuts: list[int]):
    stream = b"".join(encode(message) for message in sent)
    parser = FrameParser()
    received: list[object] = []
    for cut in cuts:
        received += parser.feed(stream[:cut])
        stream = stream[cut:]
    received += parser.feed(stream)
    assert received == sent
    assert parser.pending == 0


@given(st.binary(max_size=400))
def test_garbage_is_a_protocol_error_or_waits_for_more(data: bytes):
    parser = FrameParser(limit=1000)
    try:
        parser.feed(data)
    except ProtocolError:
        return
    assert parser.pending <= len(data)


def test_a_length_over_the_limit_is_refused_before_its_body_comes():
    with pytest.raises(ProtocolError, match="over"):
        FrameParser(limit=10).feed(HEADER.pack(11))


def test_what_msgpack_cannot_hold_is_refused():
    with pytest.raises(ProtocolError, match="cannot be sent"):
        encode({"a": object()})
    with pytest.raises(ProtocolError, match="cannot be sent"):
        encode(2**70)
    with pytest.raises(ProtocolError):
        decode(b"\xc1")
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(ProtocolError):
        encode(nested)
