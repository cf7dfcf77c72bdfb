"""The calls of one server that wait for a lane: bounded by number and by bytes, in order."""

from __future__ import annotations

from collections import deque

from spice_engine.serving.calls import Call

MAX_BYTES = 64 * 2**20
"""Bytes of bodies that may wait for one server."""


class Waiting:
    """A queue of calls. Those that were `done` meanwhile stay in it until it comes to them.

    `number` and `size` count the calls that still want an answer and their bodies' bytes.
    """

    __slots__ = ("calls", "number", "size")

    def __init__(self) -> None:
        self.calls: deque[Call] = deque()
        self.number = 0
        self.size = 0

    def has_room(self, size: int, max_number: int) -> bool:
        """Whether one more call with a body of that size may wait."""
        # One body that is larger than the bound may still wait, alone.
        return self.number < max_number and (not self.number or self.size + size <= MAX_BYTES)

    def append(self, call: Call) -> None:
        """Put a call at the end."""
        call.lane = None
        self.calls.append(call)
        self.number += 1
        self.size += len(call.body)

    def put_back(self, calls: list[Call]) -> None:
        """Put calls that had left before all others, in their order."""
        for call in reversed(calls):
            call.lane = None
            self.calls.appendleft(call)
            self.number += 1
            self.size += len(call.body)

    def pop(self) -> Call | None:
        """Take the first call that still wants an answer."""
        calls = self.calls
        while calls:
            call = calls.popleft()
            if not call.done:
                self.number -= 1
                self.size -= len(call.body)
                return call
        return None

    def first(self) -> Call | None:
        """Look at the call that `pop` would take."""
        calls = self.calls
        while calls and calls[0].done:
            calls.popleft()
        return calls[0] if calls else None

    def give_up(self, call: Call) -> None:
        """A call that waits here was just marked `done`."""
        self.number -= 1
        self.size -= len(call.body)
        call.body = b""
        if len(self.calls) > 2 * self.number + 64:
            self.calls = deque(call for call in self.calls if not call.done)

    def take_all(self) -> list[Call]:
        """Take every call that still wants an answer."""
        calls = [call for call in self.calls if not call.done]
        self.calls.clear()
        self.number = self.size = 0
        return calls
