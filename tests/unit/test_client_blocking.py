"""The blocking client against engines that break, babble or are of another version."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_engine import small_engine

from spice_engine.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    IncompatibleVersion,
    NotFound,
    ProtocolError,
    SpiceError,
)
from spice_engine.protocol import frames
from spice_engine.protocol.location import Location, locate
from spice_engine.protocol.messages import PROTOCOL_VERSION, Kind
from spice_tui.cli.following import FollowingClient
from spice_tui.client import Client, try_connect
from tests.examples import examples

WELCOME = {
    "protocol": PROTOCOL_VERSION,
    "engine": "0.1.0",
    "pid": 7,
    "operations": ["engine.ping", "runs.get"],
    "topics": ["runs"],
}


@contextmanager
def peer(folder: Path, play: Callable[[socket.socket], None]) -> Iterator[Location]:
    """Something that listens where an engine would, and does `play` with each connection."""
    location = locate(folder)
    location.state.mkdir(exist_ok=True)
    location.socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(location.socket))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                play(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield location
        finally:
            thread.join(10)


def say(*messages: Any) -> Callable[[socket.socket], None]:
    """Send these messages at once, then hang up when the client has."""

    def play(connection: socket.socket) -> None:
        connection.sendall(b"".join(frames.encode(message) for message in messages))
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass  # the client hung up with answers unread

    return play


def test_calls_and_follows_a_real_door(tmp_path: Path) -> None:
    with small_engine(tmp_path) as engine, Client(engine.location) as client:
        assert client.call("engine.ping")["time"] > 0
        with pytest.raises(NotFound) as caught:
            client.call("runs.get", {"id": 5})
        assert caught.value.hint == "spice-tui ps lists them."
        events = client.follow("runs")
        assert next(events).data == {}
        engine.on_loop(engine.shelf.add_run)
        engine.on_loop(lambda: engine.shelf.change(1, name="new"))
        event = next(events)
        assert (event.kind, event.sequence) == ("delta", 2)
        assert event.data["set"]["1"]["name"] == "new"


def test_no_engine_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no engine runs on"):
        Client(locate(tmp_path))
    assert try_connect(locate(tmp_path)) is None
    (tmp_path / ".spice").mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(locate(tmp_path).socket))  # bound, but nobody listens
    with pytest.raises(EngineUnavailable):
        Client(locate(tmp_path))


def test_an_engine_that_does_not_answer_runs_into_the_timeout(tmp_path: Path) -> None:
    with (
        peer(tmp_path, say([Kind.WELCOME, WELCOME])) as location,
        Client(location) as client,
        pytest.raises(DeadlineExceeded),
    ):
        client.call("engine.ping", timeout=0.05)


def test_an_engine_that_closes_during_a_call(tmp_path: Path) -> None:
    def play(connection: socket.socket) -> None:
        connection.sendall(frames.encode([Kind.WELCOME, WELCOME]))
        connection.recv(65536)

    with peer(tmp_path, play) as location, Client(location) as client:
        with pytest.raises(EngineUnavailable):
            client.call("engine.ping")
        for _ in range(3):  # and on a connection that is known to be dead
            with pytest.raises(EngineUnavailable):
                client.call("engine.ping")


def test_versions_that_do_not_fit_are_told_plainly(tmp_path: Path) -> None:
    old = say([Kind.WELCOME, {**WELCOME, "protocol": 0}])
    with (
        peer(tmp_path, old) as location,
        pytest.raises(IncompatibleVersion, match="older than this program"),
    ):
        Client(location)
    refusal = IncompatibleVersion("the client speaks protocol 1.", hint="Update.").as_dict()
    with (
        peer(tmp_path, say([Kind.ERROR, 0, refusal])) as location,
        pytest.raises(IncompatibleVersion, match="speaks protocol"),
    ):
        Client(location)
    with (
        peer(tmp_path, say([Kind.WELCOME, WELCOME])) as location,
        Client(location) as client,
        pytest.raises(IncompatibleVersion, match=r"pods\.new"),
    ):
        client.call("pods.new")


def test_events_that_arrive_during_a_call_are_kept_in_order(tmp_path: Path) -> None:
    with small_engine(tmp_path) as engine:
        engine.on_loop(engine.shelf.add_run)
        with FollowingClient(engine.location) as client:
            client.subscribe("runs")
            client.subscribe("log/1")
            client.call("engine.ping")
            for number in range(50):
                engine.on_loop(lambda n=number: engine.shelf.change(1, name=str(n)))
            client.call("runs.get", {"id": 1})
            names: list[str] = []
            while len(names) < 50:
                topic, event = client.next_event()
                if topic == "runs" and event.kind == "delta":
                    names.append(event.data["set"]["1"]["name"])
            assert names == [str(number) for number in range(50)]


def test_following_a_topic_that_is_not_there(tmp_path: Path) -> None:
    with small_engine(tmp_path) as engine, FollowingClient(engine.location) as client:
        client.subscribe("log/99")
        with pytest.raises(NotFound):
            client.next_event()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 20) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["protocol", "engine", "operations", "topics", "pid", "code", "message"]
            )
            | st.sampled_from(["hint", "place", "problems", "line", "file", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
MESSAGES = st.lists(
    st.tuples(st.sampled_from([*Kind]).map(int) | JSON, st.integers(0, 3) | JSON, JSON, JSON).map(
        list
    )
    | st.tuples(st.just(int(Kind.WELCOME)), JSON).map(list)
    | JSON,
    max_size=5,
)


def talk(kind: type[Client], location: Location) -> None:
    """Do what a command does; only errors of ours may come out."""
    try:
        with kind(location, timeout=5.0) as client:
            client.call("engine.ping", timeout=5.0)
            if isinstance(client, FollowingClient):
                client.subscribe("runs")
                client.next_event()
            else:
                for _ in client.follow("runs", timeout=5.0):
                    pass
    except SpiceError:
        pass


@pytest.mark.parametrize("kind", [Client, FollowingClient])
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(messages=MESSAGES, greeted=st.booleans(), tail=st.binary(max_size=20))
def test_garbage_from_the_engine_is_an_error_of_ours(
    tmp_path: Path, kind: type[Client], messages: list[Any], greeted: bool, tail: bytes
) -> None:
    first = [[int(Kind.WELCOME), WELCOME]] if greeted else []
    data = b"".join(frames.encode(message) for message in [*first, *messages]) + tail

    def play(connection: socket.socket) -> None:
        try:
            connection.sendall(data)
        except OSError:
            return

    with peer(tmp_path, play) as location:
        talk(kind, location)


def test_an_oversized_frame_is_refused_before_it_is_read(tmp_path: Path) -> None:
    def play(connection: socket.socket) -> None:
        connection.sendall(frames.HEADER.pack(frames.MAX_FRAME_BYTES + 1))

    with peer(tmp_path, play) as location, pytest.raises(ProtocolError):
        Client(location)
