"""The router's own answers: no replica, full, too late, died twice. In the doors' error form."""

from __future__ import annotations

import orjson

from spice_engine.errors import DeadlineExceeded, EngineUnavailable, Overloaded
from spice_engine.serving.calls import Call
from spice_runtime.wire import AS_JSON


def _body(code: str, message: str, hint: str) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message, "hint": hint}})


_FULL = _body(
    Overloaded.code,
    "the server's queue is full",
    "Try again after the seconds that Retry-After tells, or give the server more replicas.",
)
_NOT_READY = _body(
    EngineUnavailable.code,
    "no replica of the server is ready",
    "`server status` and `server logs` say why.",
)
_LATE = _body(
    DeadlineExceeded.code,
    "the deadline passed before the predictor answered",
    "Give it more time (--deadline, X-Request-Deadline), or the server more replicas.",
)
_DIED_TWICE = _body(
    "replica_died",
    "the replicas that worked on this request died, twice",
    "`server logs` shows what they said last.",
)
_DIED = _body(
    "replica_died",
    "the replica died while it worked on this request",
    "`server logs` shows what it said last; the request was not tried again (--retry never).",
)
_HEAD_TOO_LARGE = _body(
    "too_large", "the request's head is over 65535 bytes", "Send fewer or shorter header lines."
)


def full(call: Call, retry_after: bytes) -> None:
    """429, with a head line that says when to try again."""
    call.done = True
    call.answer(429, AS_JSON, retry_after, _FULL)


def not_ready(call: Call) -> None:
    """503."""
    call.done = True
    call.answer(503, AS_JSON, b"Retry-After: 1\r\n", _NOT_READY)


def late(call: Call) -> None:
    """504."""
    call.done = True
    call.answer(504, AS_JSON, b"", _LATE)


def died(call: Call) -> None:
    """502: its worker died, for the last time that is allowed."""
    call.done = True
    call.answer(502, AS_JSON, b"", _DIED_TWICE if call.tries > 1 else _DIED)


def head_too_large(call: Call) -> None:
    """431."""
    call.done = True
    call.answer(431, AS_JSON, b"", _HEAD_TOO_LARGE)
