"""Remembers the last request of a server that is being written, so that it can be sent again."""

from __future__ import annotations

import json
from typing import Any

from spice_engine.serving.calls import Call, Endpoint
from spice_runtime.wire import JSON

LARGEST = 2**20


class LastCall:
    """An endpoint before another one: passes everything on, and keeps the last JSON body."""

    __slots__ = ("_body", "_inner")

    def __init__(self, inner: Endpoint) -> None:
        self._inner = inner
        self._body: bytes | None = None

    def payload(self) -> tuple[bool, Any]:
        """Whether there was a request, and its payload; one that is no JSON counts as none."""
        if self._body is None:
            return False, None
        try:
            return True, json.loads(self._body)
        except (ValueError, RecursionError):
            return False, None

    def submit(self, call: Call) -> None:
        """See `Endpoint`."""
        if call.codec == JSON and len(call.body) <= LARGEST:
            self._body = call.body
        self._inner.submit(call)

    def cancel(self, call: Call) -> None:
        """See `Endpoint`."""
        self._inner.cancel(call)

    def credit(self, call: Call, number: int) -> None:
        """See `Endpoint`."""
        self._inner.credit(call, number)

    def is_ready(self) -> bool:
        """See `Endpoint`."""
        return self._inner.is_ready()
