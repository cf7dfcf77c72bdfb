"""Requests no server should get: refused in words, and the others are answered meanwhile."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import EngineFixture
from tests.e2e.serving_neighbour import STEADY, Place, begin, unharmed
from tests.integration.server_world import ECHO

pytestmark = pytest.mark.e2e

MEBIBYTE = 2**20
HEAD = b"POST /servers/steady/predict HTTP/1.1\r\nHost: localhost\r\n"
LAST = b"Connection: close\r\nContent-Length: 1\r\n\r\n1"


@pytest.fixture(scope="module")
def made(shared_engine: EngineFixture) -> Place:
    return begin(shared_engine)


@pytest.fixture
def place(made: Place) -> Iterator[Place]:
    with unharmed(made) as found:
        yield found


def dial(place: Place) -> socket.socket:
    """A connection to the public door."""
    host, _, port = place.engine.http.rpartition("/")[2].partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def talk(place: Place, data: bytes, *, leave: bool = False) -> bytes:
    """All that comes back for these bytes, to the end of the connection; with `leave` the client
    says that it has no more."""
    with dial(place) as client:
        client.sendall(data)
        if leave:
            client.shutdown(socket.SHUT_WR)
        pieces: list[bytes] = []
        while piece := client.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


# -- bodies


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"{bad", {}, 400, "Request must contain a JSON object"),
        (b"", {}, 400, "Request must contain a JSON object"),
        (b"\xff\xfe\xff", {}, 400, "Request must contain a JSON object"),
        (b'{"a": "\xff"}', {}, 400, "Request must contain a JSON object"),
        (b"[" * 5000 + b"]" * 5000, {}, 400, "Request must contain a JSON object"),
        (b"[" * 500_000, {}, 400, "Request must contain a JSON object"),
        (b"1" * (32 * MEBIBYTE + 1), {}, 413, "the body is over the limit of 33554432 bytes"),
        (b"1", {"Content-Encoding": "br"}, 415, "the Content-Encoding 'br' is not read here"),
        (b"1", {"Content-Encoding": "gzip"}, 400, "the gzip data of the body are cut short"),
        (b"junk", {"Content-Type": "application/x-npy"}, 400, "an array in NPY format"),
        (b"1", {"X-Request-Deadline": "soon"}, 400, "is no number of seconds"),
        (b"1", {"X-Request-Deadline": "nan"}, 400, "is no number of seconds"),
        (b"1", {"X-Request-Deadline": "-1"}, 400, "is no number of seconds"),
    ],
    ids=str,
)
def test_a_body_or_head_that_cannot_be_used(
    place: Place, body: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    given, answer = place.post("/servers/steady/predict", body, **headers)
    assert given == status
    assert said in str(answer)


def test_a_servers_own_limit_names_its_flag(place: Place) -> None:
    place.serve("small", door={"max_body": 1000})
    status, answer = place.post("/servers/small/predict", b"1" * 1001)
    assert status == 413
    assert answer["error"]["message"] == "the body is over the limit of 1000 bytes."
    assert "raise --max-body" in answer["error"]["hint"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/servers/nobody/predict", 404, "there is no model server 'nobody'"),
        ("/servers/steady/predictx", 404, "there is nothing at"),
        ("/someone/steady/predict", 404, "there is nothing at"),
        ("/servers/../servers/steady/predict", 404, "there is nothing at"),
        ("/v2/models/nobody/infer", 404, "there is no model server 'nobody'"),
    ],
)
def test_a_path_of_nothing(place: Place, path: str, status: int, said: str) -> None:
    given, answer = place.post(path, b"1")
    assert (given, said in str(answer)) == (status, True)


# -- bytes on the wire


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n1",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n1\r\n0\r\n\r\n",
        HEAD + b"X-A: " + b"a" * 100_000 + b"\r\n" + LAST,
        HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(5000)) + LAST,
        HEAD + b"X-A: a\0b\r\n" + LAST,
        HEAD.replace(b"\r\n", b"\n") + LAST.replace(b"\r\n", b"\n"),
        b"\x16\x03\x01\x02\x00\x01\x00" * 10,
        b"POST /servers/steady/predict HTTP/1.1\r\n" + LAST,
    ],
    ids=[
        "two-lengths",
        "length-and-chunks",
        "negative-length",
        "bad-chunk",
        "long-line",
        "many-lines",
        "zero-byte",
        "bare-newlines",
        "tls",
        "no-host",
    ],
)
def test_malformed_requests_are_answered_with_400(place: Place, data: bytes) -> None:
    assert talk(place, data).split(b"\r\n")[0].endswith(b"400 Bad Request")


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b'Content-Length: 100\r\n\r\n{"a":',
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n1",
        HEAD + b"Content-Le",
        b"",
    ],
    ids=["body", "chunk", "head", "nothing"],
)
def test_what_is_cut_off_in_the_middle_reaches_nobody(place: Place, data: bytes) -> None:
    before = place.call("servers.get", server=STEADY)["info"]["errors"]
    answer = talk(place, data, leave=True)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert place.call("servers.get", server=STEADY)["info"]["errors"] == before


def test_an_upgrade_nobody_offers_is_an_ordinary_request(place: Place) -> None:
    asked = HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\n1"
    with dial(place) as client:
        client.sendall(asked)
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b'{"got":1,"factor":2}')


def test_slow_clients_keep_nobody_waiting(place: Place) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(dial(place)) for _ in range(200)]
        for number, client in enumerate(slow):
            client.sendall(HEAD if number % 2 else HEAD + b"Content-Length: 100\r\n\r\n{")
        for _ in range(10):
            answer = talk(place, HEAD + LAST)
            assert answer.startswith(b"HTTP/1.1 200 OK")
        # One byte at a time is slow, too, and good in the end.
        with dial(place) as client:
            for byte in HEAD:
                client.sendall(bytes([byte]))
            client.sendall(LAST[:-1])
            time.sleep(0.1)
            client.sendall(b"7")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")


# -- who may call


def test_a_server_with_a_token(place: Place) -> None:
    page = "https://page.example"
    place.serve("guarded", door={"auth": "token", "cors": [page]})
    token = place.call("servers.get", server="guarded")["token"]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {token}"}):
        status, answer = place.predict("guarded", 1, **headers)
        assert (status, answer["error"]["message"]) == (401, "this call needs the server's token.")
        assert "spice-tui server describe --token" in answer["error"]["hint"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert place.predict("guarded", 1, **bearer)[0] == 200
    # It opens this server only.
    request = http.client.HTTPConnection(place.engine.http.rpartition("/")[2], timeout=30)
    request.request("GET", "/api/v1/servers", headers=bearer)
    assert request.getresponse().status == 401
    request.close()
    assert place.predict("guarded", 1, Origin=page, **bearer)[0] == 200
    assert place.predict("guarded", 1, Origin="https://evil.example", **bearer)[0] == 403
    assert place.predict(STEADY, 1, Origin=page)[0] == 403


# -- tensors


def tensor(**more: Any) -> dict[str, Any]:
    return {"name": "a", "shape": [2], "datatype": "FP32", "data": [1, 2], **more}


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "inputs is empty"),
        ("x", "inputs must be a list of tensors"),
        ([tensor(shape=[3])], "a has 2 elements, its shape asks for 3"),
        ([tensor(shape=[-2])], "the shape of a is negative"),
        ([tensor(shape="x")], "the shape of a must be a list of whole numbers"),
        ([tensor(shape=[10**11, 10**11])], "a has 2 elements, its shape asks for 1"),
        ([tensor(datatype="WAT")], "the datatype WAT of a is unknown"),
        ([tensor(data=["x", 2])], "the data of a are no FP32"),
        ([tensor(datatype="INT8", data=[1000, 1])], "the data of a are no INT8"),
        ([tensor(data=None)], "a has no data"),
        ([tensor(parameters={"binary_data_size": 8})], "the binary data of a is cut short"),
        ([{"shape": [1], "datatype": "INT8", "data": [1]}], "name is missing"),
    ],
)
def test_tensors_that_do_not_fit(place: Place, inputs: Any, said: str) -> None:
    status, answer = place.post("/v2/models/steady/infer", json.dumps({"inputs": inputs}).encode())
    assert status == 400
    assert said in answer["error"]


def test_tensors_after_bad_ones(place: Place) -> None:
    place.serve("tensors", ECHO.replace('{"got": payload, "factor": self.factor}', "payload"))
    status, answer = place.post(
        "/v2/models/tensors/infer", json.dumps({"inputs": [tensor()]}).encode()
    )
    assert status == 200
    assert answer["outputs"][0]["data"] == [1.0, 2.0]
