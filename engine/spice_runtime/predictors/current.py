"""Which call is being worked on: what a predictor asks for in the middle of it."""

from __future__ import annotations

from contextvars import ContextVar

CALL: ContextVar[tuple[int, bytes]] = ContextVar("spice_call")  # id and raw HTTP head

_FIELD = b"x-request-id"


def request_id() -> str:
    """The id of the request that is answered now: the client's, where it sent one; empty outside
    of a call."""
    ident, head = CALL.get((0, b""))
    if not ident:
        return ""
    given = _given(head) if head else ""
    return given or f"{ident:x}"


def _given(head: bytes) -> str:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == _FIELD:
            return value.strip().decode("latin-1")
    return ""
