"""Bytes and clients no door should meet, at a whole engine: a clear refusal, and it goes on."""

from __future__ import annotations

import json
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import pytest

from spice_engine.errors import EngineUnavailable, Overloaded
from spice_engine.protocol import frames
from spice_engine.protocol.messages import PROTOCOL_VERSION, Kind
from spice_tui.client import Client
from tests.conftest import EngineFixture, wait_for

pytestmark = pytest.mark.e2e

MEBIBYTE = 2**20
HELLO = frames.encode([Kind.HELLO, {"protocol": PROTOCOL_VERSION, "client": "test"}])
PATIENCE = 30.0
"""What the doors give a slow client, in seconds."""


@pytest.fixture
def shared(shared_engine: EngineFixture) -> Iterator[EngineFixture]:
    """The engine of this module; after each test it answers on both doors as before."""
    pid, known = shared_engine.pid, len(shared_engine.location.log.read_text())
    yield shared_engine
    assert shared_engine.pid == pid
    assert request(shared_engine, "GET", "/health").status == 200
    log = shared_engine.location.log.read_text()[known:]
    assert "Traceback" not in log, log


# -- the private door


def dial(engine: EngineFixture, *, greet: bool = False) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(20)
    client.connect(str(engine.location.socket))
    if greet:
        client.sendall(HELLO)
        assert receive(client)[0][0] == Kind.WELCOME
    return client


def receive(client: socket.socket, *, to_the_end: bool = False) -> list[list[object]]:
    """The next messages; with `to_the_end`, all until the engine hangs up."""
    parser = frames.FrameParser()
    messages: list[list[object]] = []
    while to_the_end or not messages:
        try:
            data = client.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            break
        messages += parser.feed(data)
    return messages


def raw(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" * 64,
        struct.pack(">I", 16 * MEBIBYTE + 1),
        struct.pack(">I", 2**32 - 1) + b"x" * 100,
        raw(b""),
        raw(b"\xc1"),
        raw(b"\x91" * 5000 + b"\xc0"),  # arrays nested 5000 deep
        raw(b"\xdd\xff\xff\xff\xff"),  # an array that claims 2**32 - 1 items
        raw(b"\xc6\xff\xff\xff\xff"),  # bytes that claim 4 GiB
        frames.encode([]),
        frames.encode({"a": 1}),
        frames.encode([99, 1]),
        frames.encode([Kind.HELLO, "no map"]),
        frames.encode([Kind.HELLO, {"protocol": "one", "client": 5}]),
        frames.encode([Kind.HELLO, {"protocol": 0, "client": "old"}]),
        frames.encode([Kind.REQUEST, 1, "engine.ping", {}]),
        HELLO + HELLO,
        HELLO + frames.encode([Kind.REQUEST, "id", "engine.ping", {}]),
        HELLO + frames.encode([Kind.REQUEST, 1, "engine.ping", [1]]),
        HELLO + frames.encode([Kind.REQUEST, 1]),
        HELLO + raw(b"\xa2\xff\xfe"),  # text that is not UTF-8
    ],
    ids=range(21),
)
def test_what_is_not_the_protocol_gets_one_error_and_the_end(shared: EngineFixture, data: bytes):
    with dial(shared) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
        messages = receive(client, to_the_end=True)
    assert messages[-1][0] == Kind.ERROR
    error = messages[-1][2]
    assert isinstance(error, dict)
    assert error["code"] in {"protocol_error", "incompatible_version"}
    assert error["message"]


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("no.such", {}, "not_found"),
        ("", {}, "not_found"),
        ("engine.ping", {"unknown": 1}, "invalid_request"),
        ("runs.get", {"id": 2**63}, "invalid_request"),
        ("runs.get", {"id": -1}, "invalid_request"),
        ("runs.get", {"id": 2**63 - 1}, "not_found"),
        ("runs.get", {"id": "1; DROP TABLE runs"}, "invalid_request"),
        ("runs.get", {"id": 1.5}, "invalid_request"),
        ("runs.get", {}, "invalid_request"),
        ("runs.stop", {"id": 1, "grace": float("nan")}, "invalid_request"),
        ("runs.log", {"id": 2**63}, "invalid_request"),
        ("runs.list", {"labels": "text"}, "invalid_request"),
        ("runs.label", {"id": 1, "add": ["\ud7ff" * 300]}, "invalid_request"),
        ("pods.get", {"pod": "../../etc/passwd"}, "not_found"),
        ("pods.lint", {"path": "../../etc/passwd"}, "invalid_request"),
        ("pods.lint", {"path": "/etc/passwd"}, "invalid_request"),
        ("pods.lint", {"path": "nul\0"}, None),
        ("pods.lint", {"path": "x" * 5000}, None),
        ("pods.lint", {"path": "."}, None),
        ("pods.training", {"pod": "x", "number": 2**63}, "invalid_request"),
        ("store.query", {"sql": "DELETE FROM runs"}, None),
        ("store.query", {"sql": "SELECT"}, None),
        ("store.query", {"sql": "x" * 2_000_000}, None),
        ("store.query", {"sql": "SELECT 'nul\0'"}, None),
        ("engine.names", {"noun": "nonsense"}, "invalid_request"),
        ("samples.add", {"name": "../.."}, None),
        ("samples.add", {"name": "nul\0"}, None),
    ],
)
def test_values_no_operation_takes(
    shared: EngineFixture, operation: str, params: dict[str, object], code: str | None
):
    with dial(shared, greet=True) as client:
        client.sendall(frames.encode([Kind.REQUEST, 7, operation, params]))
        kind, id_, error = receive(client)[0]
        assert (kind, id_) == (Kind.ERROR, 7)
        assert isinstance(error, dict)
        assert error["code"] == code if code else error["code"] != "internal_error"
        assert error["code"] != "child_failed"
        client.sendall(frames.encode([Kind.REQUEST, 8, "engine.ping", {}]))
        assert receive(client)[0][:2] == [Kind.RESPONSE, 8]


@pytest.mark.parametrize("topic", ["", "nope", "log/", "log/999", "log/../..", "log/٣", "x" * 9000])
def test_topics_that_do_not_exist(shared: EngineFixture, topic: str):
    with dial(shared, greet=True) as client:
        client.sendall(frames.encode([Kind.SUBSCRIBE, 3, topic, {}]))
        kind, id_, error = receive(client)[0]
        assert (kind, id_) == (Kind.ERROR, 3)
        assert isinstance(error, dict)
        assert error["code"] == "not_found"


def test_six_hundred_connections(shared: EngineFixture):
    with ExitStack() as stack:
        clients = [stack.enter_context(dial(shared)) for _ in range(600)]
        for client in clients:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(HELLO)
        kinds: list[object] = []
        for client in clients:
            first = receive(client)[0]
            kinds.append(first[0])
            if first[0] == Kind.ERROR:
                assert isinstance(first[2], dict)
                assert first[2]["code"] == Overloaded.code
        assert kinds.count(Kind.WELCOME) == 512
        assert kinds.count(Kind.ERROR) == 88
        # Those who are in are served; the public door does not care.
        clients[0].sendall(frames.encode([Kind.REQUEST, 1, "engine.ping", {}]))
        assert receive(clients[0])[0][0] == Kind.RESPONSE
        assert request(shared, "GET", "/health").status == 200
        with pytest.raises(Overloaded):
            Client(shared.location)
    wait_for(lambda: connected(shared), "room for the next client")


def connected(engine: EngineFixture) -> bool:
    try:
        return bool(engine.call("engine.status"))
    except (Overloaded, EngineUnavailable):
        return False


def test_subscribers_that_never_read_cost_a_bounded_amount(shared: EngineFixture):
    process = psutil.Process(shared.pid)
    shared.call("runs.start", command=["true"])
    with ExitStack() as stack:
        deaf = [stack.enter_context(dial(shared, greet=True)) for _ in range(20)]
        for client in deaf:
            client.sendall(b"".join(frames.encode([Kind.SUBSCRIBE, k, "runs", {}]) for k in (1, 2)))
        before = process.memory_info().rss
        reader = stack.enter_context(shared.client())
        follow = reader.follow("runs", timeout=30)
        known: dict[str, str] = {}

        def apply(event: object) -> None:
            data = event.data  # type: ignore[attr-defined]
            items = data if event.kind == "snapshot" else data.get("set", {})  # type: ignore[attr-defined]
            known.update({key: item["state"] for key, item in items.items()})

        def start() -> None:
            with shared.client() as client:
                for _ in range(75):
                    client.call("runs.start", {"command": ["true"], "description": "n" * 2000})

        starters = [threading.Thread(target=start) for _ in range(4)]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        wait_for(lambda: shared.call("engine.status")["active_runs"] == 0, "all runs to end")
        last = str(shared.call("runs.list", number=1)["runs"][0]["id"])
        while known.get(last) != "complete":
            apply(next(follow))
        # 40 queues of 256 KiB, what 20 transports may hold, and the 200 runs of the topic.
        assert process.memory_info().rss < before + 64 * MEBIBYTE


@pytest.mark.slow
def test_clients_that_stay_silent_are_let_go_and_hold_up_nobody(shared: EngineFixture):
    host, port = address(shared)
    with ExitStack() as stack:
        silent = stack.enter_context(dial(shared))
        halves = stack.enter_context(dial(shared))
        halves.sendall(HELLO[:7])
        late = stack.enter_context(dial(shared, greet=True))
        late.sendall(struct.pack(">I", 1000) + b"x" * 10)
        body = stack.enter_context(socket.create_connection((host, port), timeout=60))
        body.sendall(head(shared, "POST", "/api/v1/query", {"Content-Length": "100"}) + b"{")
        header = stack.enter_context(socket.create_connection((host, port), timeout=60))
        header.sendall(b"GET / HTTP/1.1\r\nHo")
        patient = stack.enter_context(dial(shared, greet=True))  # greeted, and asks nothing
        begin = time.monotonic()
        for client in (silent, halves, late):
            client.settimeout(PATIENCE + 20)
            error = receive(client, to_the_end=True)[-1]
            assert error[:2] == [Kind.ERROR, 0]
            assert isinstance(error[2], dict)
            assert error[2]["code"] == "protocol_error"
        assert body.recv(65536).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - begin < 2 * PATIENCE
        patient.sendall(frames.encode([Kind.REQUEST, 1, "engine.ping", {}]))
        assert receive(patient)[0][0] == Kind.RESPONSE


# -- the public door


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return json.loads(self.body)["error"]["code"]


def address(engine: EngineFixture) -> tuple[str, int]:
    parts = urlsplit(engine.http)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def head(engine: EngineFixture, method: str, path: str, headers: dict[str, str]) -> bytes:
    token = engine.location.token.read_text().strip()
    host, port = address(engine)
    lines = {"Host": f"{host}:{port}", "Authorization": f"Bearer {token}", **headers}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode()


def request(
    engine: EngineFixture, method: str, path: str, body: bytes = b"", **headers: str
) -> Answer:
    """One request on a connection of its own; `headers` with underscores, empty ones left out."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body or method == "POST":
        given = {"Content-Length": str(len(body)), "Content-Type": "application/json", **given}
    return exchange(engine, head(engine, method, path, {**given, "Connection": "close"}) + body)


def exchange(engine: EngineFixture, data: bytes) -> Answer:
    with socket.create_connection(address(engine), timeout=20) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
        answer = b""
        with suppress(ConnectionResetError):
            while part := client.recv(65536):
                answer += part
    start, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = start.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(first.split(" ")[1]) if first else 0, headers, body)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Host": "evil.example"}, 403, "forbidden"),
        ({"Host": "127.0.0.1.evil.example"}, 403, "forbidden"),
        ({"Host": ""}, None, None),
        ({"Origin": "https://evil.example"}, 403, "forbidden"),
        ({"Origin": "null"}, 403, "forbidden"),
        ({"Authorization": ""}, 401, "unauthorized"),
        ({"Authorization": "Bearer"}, 401, "unauthorized"),
        ({"Authorization": "Bearer wrong"}, 401, "unauthorized"),
        ({"Authorization": "Basic eDp5"}, 401, "unauthorized"),
        ({"Authorization": "Bearer " + "x" * 7000}, 401, "unauthorized"),
        ({"Content_Type": "text/plain"}, None, None),
        ({"Content_Type": "application/octet-stream"}, None, None),
    ],
)
def test_who_may_not_write(
    shared: EngineFixture, headers: dict[str, str], status: int | None, code: str | None
):
    before = len(shared.call("runs.list", number=10_000)["runs"])
    answer = request(shared, "POST", "/api/v1/runs", b'{"command": ["true"]}', **headers)
    if status is not None:
        assert (answer.status, answer.code) == (status, code)
    elif "Content_Type" not in headers:
        assert answer.status in {400, 403}
    if answer.status != 200:
        assert len(shared.call("runs.list", number=10_000)["runs"]) == before
    assert answer.status < 500


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"null", 400),
        (b"[1]", 400),
        (b"{", 400),
        (b"\xff\xfe{}", 400),
        (b'{"sql": NaN}', 400),
        (b'{"sql": "SELECT 1", "limit": NaN}', 400),
        (b'{"sql": "SELECT 1", "limit": Infinity}', 400),
        (b'{"sql": "SELECT 1", "limit": 1e400}', 400),
        (b'{"sql": "SELECT 1", "limit": ' + str(2**70).encode() + b"}", 400),
        (b'{"sql": "SELECT 1", "limit": ' + b"9" * 5000 + b"}", 400),
        (b'{"sql": "\\ud800"}', 400),
        (b'{"sql": "SELECT 1", "sql": 5}', 400),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400),
        (b"[" * 100_000, 400),
        (b'{"sql": "' + b"x" * (2 * MEBIBYTE) + b'"}', 413),
    ],
    ids=range(16),
)
def test_bodies_no_operation_takes(shared: EngineFixture, body: bytes, status: int):
    answer = request(shared, "POST", "/api/v1/query", body)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.code in {"invalid_request", "too_large"}


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/runs/{2**70}",
        "/api/v1/runs/-1",
        "/api/v1/runs/1e3",
        "/api/v1/runs/%00",
        "/api/v1/runs/%ff",
        "/api/v1/runs/1/log?offset=99999999999999999999999",
        "/api/v1/runs?number=1&number=2",
        "/api/v1/runs?nmber=1",
        "/api/v1/pods/..%2f..%2fetc%2fpasswd",
        "/api/v1/pods/%ed%a0%80",
        "/api/v0.1/pods/%00/recommendation",
        f"/api/v0.1/pods/x/training_runs/{2**70}",
        "/api/v1/../../etc/passwd",
        "//",
    ],
)
def test_paths_that_lead_nowhere(shared: EngineFixture, path: str):
    answer = request(shared, "GET", path)
    assert answer.status in {400, 404}, answer.body


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=range(10),
)
def test_bytes_that_are_no_http(shared: EngineFixture, data: bytes):
    answer = exchange(shared, data)
    assert 400 <= answer.status < 500


def test_a_body_that_never_ends_is_cut_off(shared: EngineFixture):
    start = head(
        shared,
        "POST",
        "/api/v1/query",
        {"Transfer-Encoding": "chunked", "Content-Type": "application/json"},
    )
    process = psutil.Process(shared.pid)
    before = process.memory_info().rss
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    sent = 0
    with socket.create_connection(address(shared), timeout=20) as client:
        client.sendall(start)
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 100_000 * MEBIBYTE:
                client.sendall(chunk)
                sent += len(chunk)
    assert sent < 100_000 * MEBIBYTE
    assert process.memory_info().rss < before + 32 * MEBIBYTE


def test_more_http_connections_than_there_is_room_for(shared: EngineFixture):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 3000:
        pytest.skip("too few descriptors")
    with ExitStack() as stack:
        for _ in range(1500):
            client = stack.enter_context(socket.create_connection(address(shared), timeout=20))
        # The last one is told that there are too many; the private door does not care.
        assert client.recv(100).startswith(b"HTTP/1.1 503")
        assert shared.call("engine.ping")
    wait_for(lambda: request(shared, "GET", "/health").status == 200, "room")


def test_the_engine_has_no_descriptor_left_of_all_this(shared: EngineFixture):
    process = psutil.Process(shared.pid)
    wait_for(lambda: process.num_fds() < 60, "descriptors to be closed")
    assert os.getpid() != process.pid
