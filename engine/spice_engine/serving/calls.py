"""One prediction under way, whatever door it came through: no type of any HTTP library in it.

A door subclasses `Call`, fills it, and gives it to an `Endpoint`. The endpoint answers through
the four methods, on the engine's loop, exactly once: `answer`, or `stream`, `chunk`… and `end`.
"""

from __future__ import annotations

from typing import Protocol

from spice_runtime.wire import JSON

GONE = 499
"""The status under which calls whose client hung up first are counted; nobody gets it."""


class Call:
    """What the router knows of a prediction. `deadline` and `arrived` are `time.monotonic()`:
    uvloop's own time is that of the loop's turn, in whole milliseconds.

    `head` is the raw HTTP head; it travels to the replica only where the predictor wants a
    `Request`. The rest is the endpoint's, and doors only read it: `tries` counts the workers that
    died doing it, `lost` those that died before they began it; `done` is True from just before
    its answer (or the end of its stream), and once it is cancelled.
    """

    __slots__ = (
        "arrived",
        "batch",
        "body",
        "codec",
        "deadline",
        "done",
        "head",
        "ident",
        "lane",
        "lost",
        "request_id",
        "sent",
        "streaming",
        "suspicion",
        "tries",
    )

    def __init__(
        self,
        body: bytes,
        *,
        arrived: float,
        deadline: float,
        codec: int = JSON,
        head: bytes = b"",
        request_id: str = "",
    ) -> None:
        self.body = body
        self.head = head
        self.codec = codec
        self.arrived = arrived
        self.deadline = deadline
        self.request_id = request_id
        self.ident = 0
        self.tries = 0
        self.sent = 0.0
        self.lost = 0
        self.lane: object | None = None
        self.batch: object | None = None
        self.streaming = False
        self.suspicion = 0
        self.done = False

    def client(self) -> str:
        """Who asks: an address, where the door knows one."""
        return ""

    def is_begun(self) -> bool:
        """Whether it has left for a replica. An endpoint that sends another call in its place
        keeps that in `lane`."""
        inner = self.lane
        return inner.is_begun() if isinstance(inner, Call) else self.sent > 0

    def answer(self, status: int, codec: int, head: bytes, body: bytes) -> None:
        """The whole answer: HTTP status, answer codec, further header lines, body."""
        raise NotImplementedError

    def stream(self, status: int, codec: int, head: bytes) -> None:
        """The answer begins; its body follows in chunks."""
        raise NotImplementedError

    def chunk(self, data: bytes) -> None:
        """A piece of the body; the door gives `credit` back when it is on its way."""
        raise NotImplementedError

    def end(self, trouble: str) -> None:
        """The stream is over; cut short where `trouble` is not empty."""
        raise NotImplementedError


class Endpoint(Protocol):
    """Where a server's calls go: a router, or a policy in this process."""

    def submit(self, call: Call) -> None:
        """Take a call; the answer may come at once, inside this call."""
        ...

    def cancel(self, call: Call) -> None:
        """Nobody waits for it any more: it gets no answer."""
        ...

    def credit(self, call: Call, number: int) -> None:
        """So many bytes of a stream's chunks are on their way to the client."""
        ...

    def is_ready(self) -> bool:
        """Whether a call would be served now, without waiting for a replica to start."""
        ...
