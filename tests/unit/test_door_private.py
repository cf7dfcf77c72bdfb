"""The private door against any bytes at all, and the order in which subscriptions tell things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_engine import Shelf, make_door

from spice_engine.api.door import MAX_IN_FLIGHT, Connection, PrivateDoor
from spice_engine.events import QUEUE_BYTES
from spice_engine.protocol import frames, memory
from spice_engine.protocol.location import Location, locate
from spice_engine.protocol.messages import PROTOCOL_VERSION, Kind
from tests.examples import examples

HELLO = [int(Kind.HELLO), {"protocol": PROTOCOL_VERSION, "client": "test"}]


class Raw(asyncio.Protocol):
    """A client's end of the wire, without a client."""

    def __init__(self) -> None:
        self._parser = frames.FrameParser()
        self.messages: list[Any] = []
        self.closed = False
        self._arrived = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.messages += self._parser.feed(data)
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def send(self, *messages: Any) -> None:
        self.transport.write(b"".join(frames.encode(message) for message in messages))

    async def until(self, count: int) -> list[Any]:
        """The messages, once there are `count`."""
        return await self.until_seen(lambda messages: len(messages) >= count)

    async def until_seen(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """The messages, once they are enough."""
        async with asyncio.timeout(10):
            while not enough(self.messages):
                self._arrived.clear()
                await self._arrived.wait()
        return self.messages


def last_row(messages: list[Any]) -> int:
    """The highest row that was delivered or told as dropped."""
    match messages[-1]:
        case [Kind.GAP, _, _, last]:
            return last
        case [Kind.DELTA, _, _, {"rows": [*_, {"id": last}]}]:
            return last
        case _:
            return 0


@pytest.fixture
async def scene(tmp_path: Path) -> tuple[Raw, PrivateDoor, Shelf]:
    door, shelf = make_door(locate(tmp_path))
    raw = Raw()
    memory.connect(raw, Connection(door))
    raw.send(HELLO)
    await raw.until(1)
    raw.messages.clear()
    return raw, door, shelf


Scene = tuple[Raw, PrivateDoor, Shelf]


async def test_the_welcome_names_what_the_engine_can(tmp_path: Path) -> None:
    door, _ = make_door(locate(tmp_path))
    raw = Raw()
    memory.connect(raw, Connection(door))
    raw.send(HELLO)
    [[kind, welcome]] = await raw.until(1)
    assert kind == Kind.WELCOME
    assert "runs.get" in welcome["operations"]
    assert welcome["topics"] == ["episodes", "log/*", "runs", "trainings"]


async def test_answers_carry_the_id_of_their_request(scene: Scene) -> None:
    raw, _, _ = scene
    raw.send([Kind.REQUEST, 9, "engine.ping", {}], [Kind.REQUEST, 4, "no.such", {}])
    raw.send([Kind.REQUEST, 5, "runs.get", {"id": "x"}], [Kind.REQUEST, 6, "runs.get", {"id": 3}])
    answers = await raw.until(4)
    assert [(message[0], message[1]) for message in answers] == [
        (Kind.RESPONSE, 9),
        (Kind.ERROR, 4),
        (Kind.ERROR, 5),
        (Kind.ERROR, 6),
    ]
    codes = [message[2]["code"] for message in answers[1:]]
    assert codes == ["not_found", "invalid_request", "not_found"]


async def test_a_subscription_begins_with_a_snapshot_and_counts_on(scene: Scene) -> None:
    raw, _, shelf = scene
    shelf.add_run(name="zero")
    raw.send([Kind.SUBSCRIBE, 1, "runs", {}])
    shelf.change(1, name="before the snapshot was taken")
    [snapshot] = await raw.until(1)
    assert snapshot[:3] == [Kind.SNAPSHOT, 1, 1]
    assert snapshot[3]["1"]["name"] == "before the snapshot was taken"
    for number in range(5):
        shelf.change(1, name=str(number))
    deltas = (await raw.until(6))[1:]
    assert [message[2] for message in deltas] == [2, 3, 4, 5, 6]
    assert [message[3]["set"]["1"]["name"] for message in deltas] == list("01234")
    raw.send([Kind.UNSUBSCRIBE, 1], [Kind.REQUEST, 2, "engine.ping", {}])
    shelf.change(1, name="unheard")
    answers = (await raw.until(7))[6:]
    assert [message[0] for message in answers if message[0] != Kind.DELTA] == [Kind.RESPONSE]
    assert shelf.bus.subscription_count == 0


async def test_rows_that_were_dropped_are_told_as_a_gap(scene: Scene) -> None:
    raw, _, shelf = scene
    raw.send([Kind.SUBSCRIBE, 1, "episodes", {}])
    await raw.until(1)
    size = QUEUE_BYTES // 10
    for number in range(1, 41):  # all within one turn of the loop: four times what a queue holds
        shelf.episodes_topic.rows([{"id": number, "text": "x" * size}], number, number)
    await raw.until_seen(lambda messages: last_row(messages) == 40)
    heard: list[int] = []
    for message in raw.messages[1:]:
        if message[0] == Kind.GAP:
            heard += range(message[2], message[3] + 1)
        else:
            heard += [row["id"] for row in message[3]["rows"]]
    assert heard == list(range(1, 41))
    assert Kind.GAP in {message[0] for message in raw.messages}
    sequence = [message[2] for message in raw.messages if message[0] != Kind.GAP]
    assert sequence == list(range(1, len(sequence) + 1))


async def test_state_that_overflows_comes_as_a_new_snapshot(scene: Scene) -> None:
    raw, _, shelf = scene
    shelf.add_run()
    raw.send([Kind.SUBSCRIBE, 1, "runs", {}])
    await raw.until(1)
    for number in range(5000):
        shelf.change(1, message="x" * 200, name=str(number))
    await raw.until(2)
    assert raw.messages[1][0] == Kind.SNAPSHOT
    assert raw.messages[1][3]["1"]["name"] == "4999"


async def test_a_client_that_never_reads_costs_a_bounded_amount(scene: Scene) -> None:
    raw, door, shelf = scene
    shelf.add_run()
    raw.transport.pause_reading()
    raw.send([Kind.SUBSCRIBE, 1, "runs", {}], [Kind.SUBSCRIBE, 2, "episodes", {}])
    for turn in range(300):
        raw.send(*([Kind.REQUEST, 3 + turn, "runs.list", {}] for _ in range(20)))
        for number in range(20):
            shelf.change(1, message="y" * 500)
            row = {"id": turn * 20 + number, "text": "z" * 500}
            shelf.episodes_topic.rows([row], row["id"], row["id"])
        await asyncio.sleep(0)
    [connection] = door.connections
    assert connection._transport is not None
    assert connection._transport.get_write_buffer_size() < 2**20
    assert not connection._reading  # it is not read from either
    assert shelf.bus.queued_bytes <= 2 * QUEUE_BYTES
    raw.transport.resume_reading()
    await raw.until(6000)
    assert not raw.closed


async def test_only_so_many_requests_are_under_way(scene: Scene) -> None:
    raw, door, shelf = scene
    for number in range(1, 3 * MAX_IN_FLIGHT):
        raw.send([Kind.REQUEST, number, "test.slow", {}])
    for _ in range(50):
        await asyncio.sleep(0)
    [connection] = door.connections
    assert MAX_IN_FLIGHT <= len(connection.tasks) < 3 * MAX_IN_FLIGHT
    shelf.stopping.set()
    await raw.until(3 * MAX_IN_FLIGHT - 1)
    assert len(connection.tasks) == 0


async def test_an_engine_that_stops_tells_followers_and_late_callers(scene: Scene) -> None:
    raw, door, _ = scene
    raw.send([Kind.SUBSCRIBE, 1, "runs", {}], [Kind.REQUEST, 2, "test.slow", {}])
    await raw.until(1)
    await door.close(reason="restart", grace=0.01)
    for _ in range(20):
        await asyncio.sleep(0)
    assert [Kind.END, 1, "restart"] in raw.messages
    [error] = [message for message in raw.messages if message[0] == Kind.ERROR]
    assert error[1:3][0] == 2
    assert error[2]["code"] == "conflict"
    assert raw.closed


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "protocol", "client", "capabilities", "tail", "pod"])
            | st.text(max_size=3)
            | st.integers(-9, 9),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
OPERATIONS = st.sampled_from(["engine.ping", "runs.get", "runs.log", "pods.get", "store.query"])
NUMBERS = st.integers(-2, 300) | VALUES
SENT = (
    VALUES
    | st.tuples(st.just(1), NUMBERS, OPERATIONS | VALUES, VALUES).map(list)
    | st.tuples(st.just(2), NUMBERS, st.sampled_from(["runs", "log/1", "log/x"]), VALUES).map(list)
    | st.tuples(st.just(3), NUMBERS).map(list)
    | st.just(HELLO)
)


@settings(max_examples=examples(100), deadline=None)
@given(
    messages=st.lists(SENT, max_size=6),
    greeted=st.booleans(),
    tail=st.binary(max_size=30),
    cut=st.integers(1, 64),
)
def test_any_bytes_end_in_answers_or_in_one_error_and_a_close(
    messages: list[Any], greeted: bool, tail: bytes, cut: int
) -> None:
    surprises: list[dict[str, Any]] = []
    data = b"".join(frames.encode(item) for item in ([HELLO] if greeted else []) + messages) + tail

    async def play() -> Raw:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: surprises.append(context)
        )
        root = Path("/nowhere")
        door, shelf = make_door(Location(root, root / ".spice"))
        shelf.add_run()
        raw = Raw()
        memory.connect(raw, Connection(door))
        for start in range(0, len(data), cut):
            raw.transport.write(data[start : start + cut])
        for _ in range(10):
            await asyncio.sleep(0)
        was_closed = raw.closed
        raw.transport.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not door.connections
        assert shelf.bus.subscription_count == 0
        raw.closed = was_closed
        return raw

    raw = asyncio.run(play())
    assert surprises == []
    kinds = {message[0] for message in raw.messages}
    assert kinds <= {Kind.WELCOME, Kind.RESPONSE, Kind.ERROR, Kind.SNAPSHOT, Kind.DELTA}
    fatal = [message for message in raw.messages if message[0] == Kind.ERROR and message[1] == 0]
    assert len(fatal) == int(raw.closed)
    if fatal:
        assert raw.messages[-1] == fatal[0]
        assert fatal[0][2]["message"]
