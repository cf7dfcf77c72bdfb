"""Typed events and the bus: topics that publish, subscriptions that are bounded in bytes.

Three kinds of topic, by what may happen to a subscriber that is slower than the events:

* `state`: a map of keyed items. Snapshot, then deltas `{"set": {key: item}, "del": [key]}`.
  When the queue overflows it is emptied and a new snapshot follows.
* `gauge`: one item; the latest wins, older undelivered ones are replaced.
* `rows`: numbered rows that also live in the store. Deltas are `{"rows": [...]}`; on overflow
  the dropped range is told as a gap and the client reads those rows again.

A publisher never waits and never fails because of a subscriber. Everything here runs on the
engine's loop; nothing is shared with threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, Literal

from spice_engine.errors import NotFound, Overloaded
from spice_engine.records import record

QUEUE_BYTES = 256 * 1024
"""What one subscription may hold undelivered."""

MAX_SUBSCRIPTIONS = 1024
"""Subscriptions of one bus, all clients together."""

Kind = Literal["state", "gauge", "rows"]


@record
class Snapshot:
    """Everything the topic knows; replaces what the subscriber holds."""

    data: Any


@record
class Delta:
    """One change; `size` is its estimated weight in bytes."""

    data: Any
    size: int
    first: int = 0
    last: int = 0


@record
class Gap:
    """Rows `first`..`last` (inclusive) were dropped; the store has them."""

    first: int
    last: int


Event = Snapshot | Delta | Gap


def weigh(data: Any) -> int:
    """A cheap upper-bound estimate of what `data` weighs as a frame, in bytes."""
    total, stack = 0, [data]
    while stack:
        item = stack.pop()
        if isinstance(item, str | bytes):
            total += len(item) + 5
        elif isinstance(item, Mapping):
            total += 5
            stack.extend(item.keys())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            stack.extend(item.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        elif isinstance(item, list | tuple):
            total += 5
            stack.extend(item)  # pyright: ignore[reportUnknownArgumentType]
        else:
            total += 9
    return total


class Topic:
    """One thing that can be followed. `snapshot` builds the whole state on demand."""

    def __init__(self, name: str, kind: Kind, snapshot: Callable[[], Any]) -> None:
        self.name = name
        self.kind: Kind = kind
        self.snapshot = snapshot
        self.subscriptions: set[Subscription] = set()

    def publish(self, data: Any, *, first: int = 0, last: int = 0) -> None:
        """Offer one change to all subscribers; costs nothing when there are none."""
        if not self.subscriptions:
            return
        delta = Delta(data, weigh(data), first, last or first)
        for subscription in tuple(self.subscriptions):
            subscription.offer(delta)

    def set(self, key: str, item: Any) -> None:
        """`state` topics: one item is new or changed.

        A dataclass is made plain data here, so that it costs nothing while nobody follows.
        """
        if self.subscriptions:
            plain = asdict(item) if is_dataclass(item) and not isinstance(item, type) else item
            self.publish({"set": {key: plain}})

    def remove(self, key: str) -> None:
        """`state` topics: one item is gone."""
        self.publish({"del": [key]})

    def rows(self, rows: Sequence[Mapping[str, Any]], first: int, last: int) -> None:
        """`rows` topics: rows with the ids `first`..`last` were added."""
        self.publish({"rows": list(rows)}, first=first, last=last)


@dataclass(eq=False)
class Subscription:
    """What one subscriber has not been given yet.

    `wake` is called (on the loop) when there is something to take after there was nothing.
    `take` gives the next event; a fresh or overflowed subscription starts with a snapshot.
    """

    topic: Topic
    wake: Callable[[], None]
    limit: int = QUEUE_BYTES
    weight: int = 0
    overflows: int = 0
    _queue: deque[Delta] = field(default_factory=deque[Delta])
    _snapshot_due: bool = True
    _gap: Gap | None = None
    _closed: bool = False

    def offer(self, delta: Delta) -> None:
        """Take in one change, or note that it could not be kept."""
        if self._closed or self._snapshot_due:
            return  # the snapshot, built when it is taken, will hold this change
        was_empty = not self._queue and self._gap is None
        if self.topic.kind == "gauge":
            self._queue.clear()
            self.weight = 0
        self._queue.append(delta)
        self.weight += delta.size
        if self.weight > self.limit:
            self._overflow()
        if was_empty:
            self.wake()

    def _overflow(self) -> None:
        self.overflows += 1
        if self.topic.kind == "rows":
            first, last = self._queue[0].first, self._queue[-1].last
            self._gap = Gap(self._gap.first if self._gap else first, last)
        else:
            self._snapshot_due = True
        self._queue.clear()
        self.weight = 0

    def take(self) -> Event | None:
        """The next event, or None when the subscriber has everything."""
        if self._snapshot_due:
            self._snapshot_due = False
            return Snapshot(self.topic.snapshot())
        if self._gap is not None:
            gap, self._gap = self._gap, None
            return gap
        if self._queue:
            delta = self._queue.popleft()
            self.weight -= delta.size
            return delta
        return None

    def close(self) -> None:
        """End it; the topic forgets it at once."""
        self._closed = True
        self._queue.clear()
        self.weight = 0
        self.topic.subscriptions.discard(self)


class Bus:
    """All topics of one engine, by name. A topic's name may end in `/*`: one per key."""

    def __init__(self) -> None:
        self._topics: dict[str, Topic] = {}
        self._families: dict[str, Callable[[str], Topic]] = {}
        self._live: set[Subscription] = set()

    def topic(self, name: str, kind: Kind, snapshot: Callable[[], Any]) -> Topic:
        """Register a topic; a second one of the same name is a defect."""
        if name in self._topics:
            raise ValueError(f"topic {name!r} is registered twice")
        topic = self._topics[name] = Topic(name, kind, snapshot)
        return topic

    def topic_named(self, name: str) -> Topic:
        """The topic that was registered under `name`."""
        return self._topics[name]

    def family(self, prefix: str, make: Callable[[str], Topic]) -> None:
        """Register topics `prefix/<key>` that `make(key)` builds or finds when asked for.

        `make` raises `NotFound` for a key that does not exist.
        """
        if prefix in self._families:
            raise ValueError(f"topics {prefix!r}/* are registered twice")
        self._families[prefix] = make

    @property
    def names(self) -> list[str]:
        """What can be subscribed to, families as `prefix/*`."""
        return sorted([*self._topics, *(f"{prefix}/*" for prefix in self._families)])

    def subscribe(self, name: str, wake: Callable[[], None]) -> Subscription:
        """A new subscription whose first event is a snapshot.

        Raises:
            NotFound: no such topic.
            Overloaded: too many subscriptions already.
        """
        topic = self._topics.get(name)
        if topic is None:
            prefix, _, key = name.partition("/")
            if key and prefix in self._families:
                topic = self._families[prefix](key)
            else:
                raise NotFound(
                    f"there is no topic {name!r}.", hint=f"Topics: {', '.join(self.names)}."
                )
        if self.subscription_count >= MAX_SUBSCRIPTIONS:
            raise Overloaded("too many subscriptions.", hint="Close some and try again.")
        subscription = Subscription(topic, wake)
        topic.subscriptions.add(subscription)
        self._live.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; harmless when it has ended."""
        subscription.close()
        self._live.discard(subscription)

    @property
    def subscription_count(self) -> int:
        """Subscriptions that are open now."""
        return len(self._live)

    @property
    def queued_bytes(self) -> int:
        """What all subscriptions hold undelivered."""
        return sum(subscription.weight for subscription in self._live)

    @property
    def overflows(self) -> int:
        """Overflows of the subscriptions that are open now."""
        return sum(subscription.overflows for subscription in self._live)
