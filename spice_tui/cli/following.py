"""A connection that follows several topics and makes calls in between.

`Client.follow` knows one topic only. Here calls may be made while topics are followed: what
arrives for them meanwhile is kept, in order, and given out afterwards.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from spice_engine.errors import EngineUnavailable, Overloaded
from spice_engine.protocol.messages import Kind
from spice_tui.cli.session import Session
from spice_tui.client import Client, Event, check_operation, error_of, event_of

T = TypeVar("T")

AGAIN_SECONDS = 0.1

MAX_KEPT = 10_000
"""Events kept during one call; far more than the engine queues for one client."""


class FollowingClient(Client):
    """One connection, several topics, calls in between."""

    _topics: dict[int, str]
    _kept: deque[Any]

    def subscribe(self, topic: str) -> None:
        """Follow a topic from now on; its first event is a snapshot."""
        if not hasattr(self, "_topics"):
            self._topics, self._kept = {}, deque()
        self._next += 1
        self._topics[self._next] = topic
        self._send([Kind.SUBSCRIBE, self._next, topic, {}])

    def next_event(self) -> tuple[str, Event]:
        """The next event of any topic, with the topic's name; waits as long as it takes.

        Raises:
            SpiceError: a topic cannot be followed, or the engine is gone.
        """
        self._socket.settimeout(None)
        while True:
            message = self._kept.popleft() if self._kept else self._receive()
            match message:
                case [Kind.ERROR, int(id_), {**error}] if id_ == 0 or id_ in self._topics:
                    raise error_of(cast("Mapping[str, Any]", error))
                case [Kind.SNAPSHOT | Kind.DELTA | Kind.GAP | Kind.END, int(id_), *_] if (
                    id_ in self._topics
                ):
                    event = event_of(cast("list[Any]", message))
                    if event.kind == "end":
                        raise EngineUnavailable(f"the engine ended the connection: {event.data}.")
                    return self._topics[id_], event
                case _:
                    continue

    def forget(self) -> None:
        """Leave out the events that were kept: what they tell is to be asked for as a whole."""
        self._kept.clear()

    def call(
        self, operation: str, params: Mapping[str, Any] | None = None, *, timeout: float = 60.0
    ) -> Any:
        """The result of one operation; events that arrive before it are kept."""
        return self._call(operation, params, timeout, self._keep)

    def call_watching(
        self,
        operation: str,
        params: Mapping[str, Any] | None,
        on_event: Callable[[str, Event], object],
    ) -> Any:
        """The result of one operation, however long it takes; events before it go to `on_event`."""

        def watch(message: Any) -> None:
            match message:
                case [Kind.SNAPSHOT | Kind.DELTA | Kind.GAP, int(id_), *_] if id_ in self._topics:
                    on_event(self._topics[id_], event_of(cast("list[Any]", message)))
                case _:
                    self._keep(message)

        return self._call(operation, params, None, watch)

    def _keep(self, message: Any) -> None:
        self._kept.append(message)
        if len(self._kept) > MAX_KEPT:
            raise Overloaded("too many events arrived during one call.")

    def _call(
        self,
        operation: str,
        params: Mapping[str, Any] | None,
        timeout: float | None,
        other: Callable[[Any], None],
    ) -> Any:
        if not hasattr(self, "_topics"):
            self._topics, self._kept = {}, deque()
        check_operation(self.welcome, operation)
        self._next += 1
        id_ = self._next
        self._socket.settimeout(timeout)
        self._send([Kind.REQUEST, id_, operation, dict(params or {})])
        while True:
            message = self._receive()
            match message:
                case [Kind.RESPONSE, int(answered), result] if answered == id_:
                    return result
                case [Kind.ERROR, int(answered), {**error}] if answered in {0, id_}:
                    raise error_of(cast("Mapping[str, Any]", error))
                case _:
                    other(message)


class Patience:
    """How long a follower waits for an engine that is being replaced: runs outlive it."""

    def __init__(self, seconds: float = 15.0) -> None:
        self._seconds = seconds
        self._since = time.monotonic()

    def renewed(self) -> None:
        """The engine answered again."""
        self._since = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether it has been away too long."""
        return time.monotonic() - self._since > self._seconds


def followed(
    session: Session,
    client: FollowingClient | None,
    patience: Patience,
    watch: Callable[[FollowingClient], T],
    *,
    what: str,
    hint: str,
) -> T:
    """What comes of watching something to its end. The engine may be replaced meanwhile: then
    `watch` begins anew with another connection. It renews the patience itself.

    Raises:
        SpiceError: as `watch` does; or the engine stays away while `what` is followed, with `hint`.
    """
    while True:
        try:
            with client or session.connect(FollowingClient) as connected:
                return watch(connected)
        except EngineUnavailable as error:
            client = None
            if patience.over:
                raise EngineUnavailable(
                    f"the engine went away while {what} was followed "
                    f"({error.message.rstrip('.')}).",
                    hint=hint,
                ) from error
        time.sleep(AGAIN_SECONDS)
