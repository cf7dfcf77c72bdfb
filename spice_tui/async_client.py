"""The asyncio client: pipelined calls and subscriptions over one connection.

Used by the screens and by programs that make many calls. It runs over the engine's socket, or
over an in-memory pair in tests, and can record all it receives (see `spice_tui.recording`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from spice_engine.errors import EngineUnavailable, ProtocolError, SpiceError
from spice_engine.protocol import frames
from spice_engine.protocol.messages import Kind
from spice_tui.client import (
    Event,
    Welcome,
    check_operation,
    error_of,
    event_of,
    hello,
    welcome_of,
)

if TYPE_CHECKING:
    from typing import Self

GREETING_SECONDS = 10.0
"""An engine that has not greeted by then hangs."""
MAX_FEED_EVENTS = 4096
"""Events one feed may hold for a reader that is behind; then the socket is not read."""

Observer = Callable[[str, Any], None]
"""Called with `"in"` or `"out"` and each message: the recorder's hook."""


class Door(Protocol):
    """Where an engine's socket is, and of which folder it is."""

    @property
    def socket(self) -> Path:
        """The private door."""
        ...

    @property
    def root(self) -> Path:
        """The app folder."""
        ...


class Feed(AsyncIterator[Event]):
    """The events of one subscription, in order."""

    def __init__(self, client: AsyncClient, id_: int, topic: str) -> None:
        self._client = client
        self.id = id_
        self.topic = topic
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Take in an event (called by the connection)."""
        self._events.append(event)
        self._ended = self._ended or event.kind == "end"
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """The subscription cannot go on."""
        self._error = error
        self._arrived.set()

    async def __anext__(self) -> Event:
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        self._client.mind_reading()
        return event

    def close(self) -> None:
        """Follow no longer."""
        self._client.unsubscribe(self)


class AsyncClient(asyncio.Protocol):
    """One connection. Make it with `connect`, or attach it to any transport and await `ready`."""

    def __init__(self, *, name: str = "screen", observer: Observer | None = None) -> None:
        self._name = name
        self._observer = observer
        self._parser = frames.FrameParser()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._feeds: dict[int, Feed] = {}
        self._next = 0
        self._out: list[bytes] = []
        self._flush_due = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading = True
        self._welcomed: asyncio.Future[Welcome] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self.welcome: Welcome | None = None

    @classmethod
    async def connect(
        cls, location: Door, *, name: str = "screen", observer: Observer | None = None
    ) -> Self:
        """A greeted connection to the folder's engine.

        Raises:
            EngineUnavailable: no engine listens there.
        """
        loop = asyncio.get_running_loop()
        try:
            _, client = await loop.create_unix_connection(
                lambda: cls(name=name, observer=observer), str(location.socket)
            )
        except OSError as error:
            raise EngineUnavailable(
                f"no engine runs on {location.root}.", hint="Start one: spice-tui engine start."
            ) from error
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                await client.ready()
        except TimeoutError:
            await client.close()
            raise EngineUnavailable(
                f"the engine of {location.root} does not answer.",
                hint="Its process may hang: spice-tui engine status.",
            ) from None
        except BaseException:
            await client.close()
            raise
        return client

    async def ready(self) -> Welcome:
        """Wait for the engine's welcome."""
        return await asyncio.shield(self._welcomed)

    async def lost(self) -> None:
        """Wait for the end of the connection."""
        await asyncio.shield(self._lost)

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(hello(self._name))

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._parser.feed(data):
                if self._observer is not None:
                    self._observer("in", message)
                self._take(message)
        except SpiceError as error:
            self._give_up(error)
        self.mind_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up(EngineUnavailable("the engine closed the connection."))
        self._transport = None
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _give_up(self, error: Exception) -> None:
        if not self._welcomed.done():
            self._welcomed.set_exception(error)
            self._welcomed.exception()  # seen, even if nobody awaits it
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if not call.done():
                call.set_exception(error)
        feeds, self._feeds = self._feeds, {}
        for feed in feeds.values():
            feed.fail(error)
        self._writable.set()
        if self._transport is not None:
            self._transport.close()

    def mind_reading(self) -> None:
        """Read the socket only while no feed is too far behind."""
        wanted = all(len(feed) < MAX_FEED_EVENTS for feed in self._feeds.values())
        if self._transport is None or wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _take(self, message: Any) -> None:
        match message:
            case [Kind.RESPONSE, int(id_), result]:
                call = self._calls.pop(id_, None)
                if call is not None and not call.done():
                    call.set_result(result)
            case [Kind.ERROR, 0, {**error}]:
                self._give_up(error_of(cast("Mapping[str, Any]", error)))
            case [Kind.ERROR, int(id_), {**error}]:
                failure = error_of(cast("Mapping[str, Any]", error))
                call = self._calls.pop(id_, None)
                if call is not None and not call.done():
                    call.set_exception(failure)
                feed = self._feeds.pop(id_, None)
                if feed is not None:
                    feed.fail(failure)
            case [Kind.WELCOME, _]:
                self.welcome = welcome_of(message)
                if not self._welcomed.done():
                    self._welcomed.set_result(self.welcome)
            case [_, int(id_), *_]:
                feed = self._feeds.get(id_)
                if feed is not None:
                    feed.put(event_of(cast("list[Any]", message)))
            case _:
                raise ProtocolError("the engine sent a message of no known form.")

    # -- the caller's side

    def _send(self, message: list[Any]) -> None:
        if self._transport is None or self._transport.is_closing():
            raise EngineUnavailable("the connection to the engine is closed.")
        if self._observer is not None:
            self._observer("out", message)
        self._out.append(frames.encode(message))
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._out and self._transport is not None:
            data = b"".join(self._out)
            self._out.clear()
            self._transport.write(data)

    async def call(self, operation: str, params: Mapping[str, Any] | None = None) -> Any:
        """The result of one operation, as plain data. Calls may overlap.

        When the caller is cancelled the engine gives the work up.

        Raises:
            SpiceError: what the engine answered, or that the connection is gone.
        """
        if not self._writable.is_set():
            await self._writable.wait()
        if self.welcome is not None:
            check_operation(self.welcome, operation)
        self._next += 1
        id_ = self._next
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._calls[id_] = answer
        try:
            self._send([Kind.REQUEST, id_, operation, params or {}])
            return await answer
        except asyncio.CancelledError:
            if self._transport is not None and not self._transport.is_closing():
                self._send([Kind.UNSUBSCRIBE, id_])
            raise
        finally:
            self._calls.pop(id_, None)

    def subscribe(self, topic: str, params: Mapping[str, Any] | None = None) -> Feed:
        """Follow a topic; iterate over the feed for its events."""
        self._next += 1
        feed = Feed(self, self._next, topic)
        self._feeds[feed.id] = feed
        self._send([Kind.SUBSCRIBE, feed.id, topic, dict(params or {})])
        return feed

    def unsubscribe(self, feed: Feed) -> None:
        """End a feed; what it holds can still be read."""
        if self._feeds.pop(feed.id, None) is not None:
            if self._transport is not None and not self._transport.is_closing():
                self._send([Kind.UNSUBSCRIBE, feed.id])
            feed.put(Event("end", "unsubscribed"))
            self.mind_reading()  # it may have been the one that was behind

    async def close(self) -> None:
        """Hang up and wait until the transport is gone."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
            await self.lost()
