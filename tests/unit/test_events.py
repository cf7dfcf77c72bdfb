"""Topics, subscriptions and what happens to a subscriber that is too slow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import NotFound
from spice_engine.events import Bus, Delta, Gap, Snapshot, Subscription, Topic, weigh
from spice_engine.protocol.frames import encode


def drain(subscription: Subscription) -> list[object]:
    events: list[object] = []
    while (event := subscription.take()) is not None:
        events.append(event)
    return events


def subscribe(topic: Topic, limit: int = 10_000) -> tuple[Subscription, list[int]]:
    wakes: list[int] = []
    subscription = Subscription(topic, lambda: wakes.append(1), limit=limit)
    topic.subscriptions.add(subscription)
    return subscription, wakes


def test_a_subscription_starts_with_a_snapshot_of_the_moment_it_is_taken():
    state = {"a": 1}
    topic = Topic("runs", "state", lambda: dict(state))
    subscription, _ = subscribe(topic)
    state["b"] = 2
    topic.set("b", 2)
    assert drain(subscription) == [Snapshot({"a": 1, "b": 2})]


def test_deltas_follow_in_order_and_wake_once_per_emptiness():
    topic = Topic("runs", "state", dict)
    subscription, wakes = subscribe(topic)
    drain(subscription)
    topic.set("a", 1)
    topic.remove("a")
    assert [e.data for e in drain(subscription) if isinstance(e, Delta)] == [
        {"set": {"a": 1}},
        {"del": ["a"]},
    ]
    assert len(wakes) == 1
    topic.set("b", 1)
    assert len(wakes) == 2


def test_a_slow_reader_of_a_state_gets_one_new_snapshot():
    state: dict[str, int] = {}
    topic = Topic("runs", "state", lambda: dict(state))
    subscription, _ = subscribe(topic, limit=200)
    drain(subscription)
    for number in range(100):
        state[str(number)] = number
        topic.set(str(number), number)
        assert subscription.weight <= 200 + 60
    events = drain(subscription)
    assert isinstance(events[0], Snapshot)
    assert len(events[0].data) == 100
    assert subscription.overflows >= 1


def test_a_gauge_keeps_the_latest_only():
    topic = Topic("engine", "gauge", lambda: 0)
    subscription, _ = subscribe(topic)
    drain(subscription)
    for number in range(50):
        topic.publish(number)
    assert [e.data for e in drain(subscription) if isinstance(e, Delta)] == [49]


def test_a_slow_reader_of_rows_is_told_the_gap_and_then_goes_on():
    topic = Topic("episodes", "rows", lambda: {"last": 0})
    subscription, _ = subscribe(topic, limit=300)
    drain(subscription)
    for number in range(1, 41):
        topic.rows([{"id": number}], number, number)
    seen: list[int] = []
    for event in drain(subscription):
        if isinstance(event, Gap):
            seen.extend(range(event.first, event.last + 1))
        elif isinstance(event, Delta):
            seen.extend(row["id"] for row in event.data["rows"])
    assert seen == list(range(1, 41))


@given(st.lists(st.sampled_from(["take", "publish"]), max_size=200), st.integers(30, 400))
def test_rows_are_never_lost_nor_doubled_between_deltas_and_gaps(steps: list[str], limit: int):
    topic = Topic("rows", "rows", lambda: {"last": 0})
    subscription, _ = subscribe(topic, limit=limit)
    subscription.take()
    published = 0
    seen: list[int] = []

    def take() -> bool:
        event = subscription.take()
        if isinstance(event, Gap):
            seen.extend(range(event.first, event.last + 1))
        elif isinstance(event, Delta):
            seen.extend(row["id"] for row in event.data["rows"])
        return event is not None

    for step in steps:
        if step == "publish":
            published += 1
            topic.rows([{"id": published}], published, published)
        else:
            take()
    while take():
        pass
    assert seen == list(range(1, published + 1))


def test_unknown_topics_name_what_there_is():
    bus = Bus()
    bus.topic("runs", "state", dict)
    with pytest.raises(NotFound, match="runs"):
        bus.subscribe("ruins", lambda: None)
    with pytest.raises(ValueError, match="twice"):
        bus.topic("runs", "state", dict)


def test_families_make_topics_and_ended_subscriptions_are_forgotten():
    bus = Bus()
    topics: dict[str, Topic] = {}

    def make(key: str) -> Topic:
        return topics.setdefault(key, Topic(f"log/{key}", "gauge", lambda: key))

    bus.family("log", make)
    subscription = bus.subscribe("log/7", lambda: None)
    assert subscription.take() == Snapshot("7")
    assert bus.subscription_count == 1
    bus.unsubscribe(subscription)
    assert bus.subscription_count == 0
    assert not topics["7"].subscriptions


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(json_like)
def test_the_estimated_weight_bounds_what_is_sent_up_to_utf8(data: object):
    characters = len(encode(data))
    assert weigh(data) * 4 >= characters - 9
