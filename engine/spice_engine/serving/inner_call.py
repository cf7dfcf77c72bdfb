"""A prediction asked for inside the engine: by an operation, not over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import time

from spice_engine.errors import DeadlineExceeded, InvalidRequest
from spice_engine.protocol.servers import PredictAnswer
from spice_engine.serving.calls import Call
from spice_engine.serving.directory import CONTENT_TYPES, Answer, Served
from spice_runtime import wire

LARGEST_ANSWER = 8 * 2**20
_EXTRA_SECONDS = 5.0


class InnerCall(Call):
    """Gathers the answer; `whole` is set when it is there, or has been cut short."""

    __slots__ = ("answered", "endpoint", "parts", "size", "trouble", "whole")

    def __init__(self, served: Served, body: bytes, *, codec: int, head: bytes) -> None:
        now = time.monotonic()
        super().__init__(
            body, arrived=now, deadline=now + served.door.deadline, codec=codec, head=head
        )
        self.endpoint = served.endpoint
        self.whole = asyncio.Event()
        self.answered: tuple[int, int, bytes] = (500, wire.AS_TEXT, b"")
        self.parts: list[bytes] = []
        self.size = 0
        self.trouble = ""

    def answer(self, status: int, codec: int, head: bytes, body: bytes) -> None:
        """See `Call`."""
        self.answered = (status, codec, head)
        self.parts.append(bytes(body))
        self.whole.set()

    def stream(self, status: int, codec: int, head: bytes) -> None:
        """See `Call`."""
        self.answered = (status, codec, head)

    def chunk(self, data: bytes) -> None:
        """See `Call`."""
        self.size += len(data)
        if self.size > LARGEST_ANSWER:
            self.trouble = f"the answer is over {LARGEST_ANSWER // 2**20} MiB"
            self.endpoint.cancel(self)
            self.whole.set()
            return
        self.parts.append(bytes(data))
        self.endpoint.credit(self, len(data))

    def end(self, trouble: str) -> None:
        """See `Call`."""
        self.trouble = trouble
        self.whole.set()


async def ask(served: Served, payload: object, path: str) -> PredictAnswer:
    """What the server answers to `predict` or `health` (or `ready`).

    Raises:
        InvalidRequest: there is no such path.
        DeadlineExceeded: nothing came although the deadline is past.
    """
    if path == "predict":
        return await predict(served, payload)
    if path not in {"health", "ready"}:
        raise InvalidRequest("path is predict or health.")
    begin = time.perf_counter()
    if path == "health" and served.health is not None:
        answer = await served.health()
    elif served.endpoint.is_ready():
        answer = (200, wire.AS_JSON, b"", b'{"status":"ok"}')
    else:
        answer = (503, wire.AS_TEXT, b"", b"no replica is ready")
    return answer_of(answer, 1000 * (time.perf_counter() - begin))


async def predict(served: Served, payload: object) -> PredictAnswer:
    """Send a payload as JSON and wait for the whole answer.

    Raises:
        DeadlineExceeded: nothing came although the deadline is past.
    """
    begin = time.perf_counter()
    body = json.dumps(payload).encode()
    head = b""
    if served.wants_head:
        head = (
            f"POST /servers/{served.name}/predict HTTP/1.1\r\nhost: localhost\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode()
    call = InnerCall(served, body, codec=wire.JSON, head=head)
    served.endpoint.submit(call)
    try:
        async with asyncio.timeout(served.door.deadline + _EXTRA_SECONDS):
            await call.whole.wait()
    except BaseException as error:
        served.endpoint.cancel(call)
        if isinstance(error, TimeoutError):
            raise DeadlineExceeded(f"server {served.name} did not answer in time.") from error
        raise
    status, codec, lines = call.answered
    text = b"".join(call.parts)
    if call.trouble:
        text += f"\n[cut short: {call.trouble}]".encode()
    return answer_of((status, codec, lines, text), 1000 * (time.perf_counter() - begin))


def answer_of(answer: Answer, ms: float) -> PredictAnswer:
    """An endpoint's answer as it crosses the doors."""
    status, codec, head, body = answer
    content_type = CONTENT_TYPES.get(codec, "application/octet-stream")
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-type":
            content_type = value.strip()
    try:
        if codec == wire.AS_BYTES:
            raise ValueError
        return PredictAnswer(status, content_type, body.decode(), ms)
    except ValueError:
        return PredictAnswer(status, content_type, base64.b64encode(body).decode(), ms, binary=True)
