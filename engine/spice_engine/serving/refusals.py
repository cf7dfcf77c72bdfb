"""The router's own answers: no replica, full, too late, died twice. In the doors' error form, or,
where tensors were asked with, in that of the Open Inference Protocol: `{"error": "text"}`."""

from __future__ import annotations

import orjson

from spice_engine.errors import DeadlineExceeded, EngineUnavailable, Overloaded
from spice_engine.records import record
from spice_engine.serving.calls import Call
from spice_runtime.wire import AS_JSON, INFER


@record
class _Bodies:
    """One refusal in both forms."""

    ours: bytes
    infer: bytes


def _body(code: str, message: str, hint: str) -> _Bodies:
    return _Bodies(
        orjson.dumps({"error": {"code": code, "message": message, "hint": hint}}),
        orjson.dumps({"error": f"{message}. {hint}"}),
    )


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
    _refuse(call, 429, _FULL, retry_after)


def not_ready(call: Call) -> None:
    """503."""
    _refuse(call, 503, _NOT_READY, b"Retry-After: 1\r\n")


def late(call: Call) -> None:
    """504."""
    _refuse(call, 504, _LATE)


def died(call: Call) -> None:
    """502: its worker died, for the last time that is allowed."""
    _refuse(call, 502, _DIED_TWICE if call.tries > 1 else _DIED)


def head_too_large(call: Call) -> None:
    """431."""
    _refuse(call, 431, _HEAD_TOO_LARGE)


def _refuse(call: Call, status: int, bodies: _Bodies, head: bytes = b"") -> None:
    call.done = True
    body = bodies.infer if call.codec == INFER else bodies.ours
    call.answer(status, AS_JSON, head, body)
