"""Play the engine's part from a recording, to a client over an in-memory pair or a socket."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import Any, cast

from spice_engine.errors import NotFound, ProtocolError
from spice_engine.protocol import frames, memory
from spice_engine.protocol.messages import (
    Hello,
    Kind,
    Request,
    Subscribe,
    Unsubscribe,
    parse_client_message,
)
from spice_tui.async_client import AsyncClient, Observer
from spice_tui.recording import InvalidRecording, Recording, request_key

Timed = tuple[float, list[Any]]
"""Seconds after what caused it, and the message."""


class Script:
    """A recording sorted by what a client may ask."""

    def __init__(self, recording: Recording) -> None:
        """Sort it.

        Raises:
            InvalidRecording: the engine never introduced itself in it.
        """
        self.welcome: list[Any] | None = None
        self.answers: dict[str, deque[Timed]] = defaultdict(deque)
        self.subscriptions: dict[str, deque[list[Timed]]] = defaultdict(deque)
        asked: dict[int, tuple[float, str]] = {}
        followed: dict[int, tuple[float, list[Timed]]] = {}
        for entry in recording.entries:
            match entry.direction, entry.message:
                case "out", [Kind.REQUEST, int(id_), str(operation), {**params}]:
                    asked[id_] = (entry.seconds, request_key(operation, params))
                case "out", [Kind.SUBSCRIBE, int(id_), str(topic), *_]:
                    events: list[Timed] = []
                    followed[id_] = (entry.seconds, events)
                    self.subscriptions[topic].append(events)
                case "in", [Kind.WELCOME, *_]:
                    self.welcome = entry.message
                case "in", [Kind.RESPONSE | Kind.ERROR, int(id_), *_] if id_ in asked:
                    since, key = asked.pop(id_)
                    self.answers[key].append((entry.seconds - since, entry.message))
                case "in", [_, int(id_), *_] if id_ in followed:
                    since, events = followed[id_]
                    events.append((entry.seconds - since, entry.message))
        if self.welcome is None:
            raise InvalidRecording("the recording holds no welcome of an engine.")

    def answer(self, request: Request) -> Timed:
        """The next recorded answer to this request; the last one again when there is no other."""
        line = self.answers.get(request_key(request.operation, request.params))
        if not line:
            error = NotFound(
                f"the recording holds no answer to {request.operation} with these parameters."
            )
            return 0.0, [Kind.ERROR, request.id, error.as_dict()]
        return line.popleft() if len(line) > 1 else line[0]

    def events(self, topic: str) -> list[Timed] | None:
        """What came on this topic, subscription by subscription; the last one again."""
        line = self.subscriptions.get(topic)
        if not line:
            return None
        return line.popleft() if len(line) > 1 else line[0]


class ReplayDoor(asyncio.Protocol):
    """The engine's part. `speed` 2 plays twice as fast; 0 plays at once, keeping the order."""

    def __init__(self, recording: Recording, *, speed: float = 1.0) -> None:
        """Prepare to play.

        Raises:
            InvalidRecording: see `Script`.
            ValueError: the speed is negative.
        """
        if speed < 0:
            raise ValueError("speed must not be negative")
        self._script = Script(recording)
        self._speed = speed
        self._parser = frames.FrameParser()
        self._transport: asyncio.Transport | None = None
        self._timers: dict[int, asyncio.Handle] = {}
        self._waiting: deque[tuple[int, deque[Timed], float]] = deque()
        self._paused = False
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        waiting, self._waiting = self._waiting, deque()
        for item in waiting:
            self._due(*item)

    def data_received(self, data: bytes) -> None:
        try:
            for raw in self._parser.feed(data):
                self._take(parse_client_message(raw))
        except ProtocolError as error:
            self._send([Kind.ERROR, 0, error.as_dict()])
            if self._transport is not None:
                self._transport.close()

    def _send(self, message: list[Any]) -> None:
        if self._transport is not None:
            self._transport.write(frames.encode(message))

    def _take(self, message: Hello | Request | Subscribe | Unsubscribe) -> None:
        if isinstance(message, Hello) == self._greeted:
            raise ProtocolError("a connection begins with one hello.")
        match message:
            case Hello():
                self._greeted = True
                self._send(cast("list[Any]", self._script.welcome))
            case Request(id=id_):
                self._play(id_, deque([self._script.answer(message)]), 0.0)
            case Subscribe(id=id_, topic=topic):
                events = self._script.events(topic)
                if events is None:
                    error = NotFound(f"the recording does not hold the topic {topic!r}.")
                    self._send([Kind.ERROR, id_, error.as_dict()])
                else:
                    self._play(id_, deque(events), 0.0)
            case Unsubscribe(id=id_):
                timer = self._timers.pop(id_, None)
                if timer is not None:
                    timer.cancel()
                self._waiting = deque(item for item in self._waiting if item[0] != id_)

    def _play(self, id_: int, left: deque[Timed], passed: float) -> None:
        """Send the first of `left` when it is due, then the rest; `passed`: recorded seconds."""
        if not left:
            self._timers.pop(id_, None)
            return
        seconds = max(0.0, left[0][0] - passed)
        delay = seconds / self._speed if self._speed else 0.0
        self._timers[id_] = self._loop.call_later(delay, self._due, id_, left, passed)

    def _due(self, id_: int, left: deque[Timed], passed: float) -> None:
        if self._paused:
            self._waiting.append((id_, left, passed))
            return
        seconds, message = left.popleft()
        kind, _, *rest = message
        self._send([kind, id_, *rest])
        self._play(id_, left, max(passed, seconds))


async def connect_replay(
    recording: Recording,
    *,
    speed: float = 1.0,
    name: str = "screen",
    observer: Observer | None = None,
) -> AsyncClient:
    """A greeted client of a recording, over an in-memory pair; each call plays it anew.

    Raises:
        InvalidRecording: the engine never introduced itself in it.
        ValueError: the speed is negative.
    """
    client = AsyncClient(name=name, observer=observer)
    memory.connect(client, ReplayDoor(recording, speed=speed))
    try:
        await client.ready()
    except BaseException:
        await client.close()
        raise
    return client
