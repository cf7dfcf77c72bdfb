"""Frames of a lane: calls out of them, answers into them; the same for sync and async lanes."""

from __future__ import annotations

import json
import os
import socket
import struct

from spice_runtime.predictors.answers import NO_STATUS, TOO_LARGE, Answer
from spice_runtime.predictors.host import Call
from spice_runtime.predictors.json_text import are_short
from spice_runtime.wire import ANSWER, HEADER, HELLO, JSON, MAX_PAYLOAD, frame

_CODEC_AT = 5
_MAX_MICROS = 2**32 - 1
_MAX_HEAD = 2**16 - 1


def hello(lane: int, concurrency: int) -> bytes:
    """The first frame of a lane."""
    note = {"pid": os.getpid(), "lane": lane, "concurrency": concurrency}
    return frame(HELLO, 0, json.dumps(note).encode())


def calls_of(data: bytes, start: int, end: int, came: float, *, scan: bool = False) -> list[Call]:
    """The calls of CALL frames, one after another from `start` to `end`; with `scan` the bodies,
    if they are JSON, are looked at together for what makes them slow to read."""
    calls: list[Call] = []
    unpack, head_bytes = HEADER.unpack_from, HEADER.size
    is_short = False
    # The headers between the bodies do no harm: what precedes a body is the end of an id, zeros.
    if scan and end - start >= head_bytes and data[start + _CODEC_AT] == JSON:
        whole = start <= head_bytes and end == len(data)
        is_short = are_short(data if whole else data[start:end])
    while end - start >= head_bytes:
        length, _, codec, head_length, _, _, number, ident = unpack(data, start)
        body = start + head_bytes + head_length
        head = data[start + head_bytes : body] if head_length else b""
        start += head_bytes + length
        calls.append(
            Call(ident, codec, head, data[body:start], came + number / 1000, is_short=is_short)
        )
    return calls


def packed(ident: int, answer: Answer, seconds: float) -> bytes:
    """The frame of an answer that took so long."""
    status, codec, head, body = answer
    size, micros = len(head) + len(body), int(seconds * 1e6)
    if size > MAX_PAYLOAD or len(head) > _MAX_HEAD:
        return packed(ident, TOO_LARGE, seconds)
    try:
        header = HEADER.pack(
            size, ANSWER, codec, len(head), status, 0, min(micros, _MAX_MICROS), ident
        )
    except struct.error:  # the one value that is the user's
        return packed(ident, NO_STATUS, seconds)
    return header + head + body


def read_on(connection: socket.socket, begun: bytes, number: int) -> bytes | None:
    """What was begun and so many bytes more; None where the other side went away before."""
    parts = [begun]
    while number:
        data = connection.recv(number, socket.MSG_WAITALL)
        if not data:
            return None
        parts.append(data)
        number -= len(data)
    return b"".join(parts)
