"""The shim's socket: whole requests are answered in order, and nothing a client sends breaks it."""

from __future__ import annotations

import json
import selectors
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_runtime.shim_door import MAX_CLIENTS, Client, Door


class Echo:
    """A door that answers each request with itself."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "s")
        self.selector = selectors.DefaultSelector()
        self.door = Door(self.selector, self.path, self.answer)

    def answer(self, client: Client, request: dict[str, Any]) -> None:
        self.door.send(client, request)

    def turn(self) -> None:
        while ready := self.selector.select(0):
            for key, events in ready:
                key.data(events)

    def close(self) -> None:
        self.door.close(0)
        self.selector.close()


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Echo]:
    echo = Echo(tmp_path_factory.mktemp("d"))
    yield echo
    echo.close()


def frame(value: Any) -> bytes:
    body = json.dumps(value).encode()
    return struct.pack(">I", len(body)) + body


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9)), max_size=5),
    st.lists(st.integers(1, 40), max_size=10),
)
def test_requests_are_answered_in_order_however_they_are_cut(
    echo: Echo, requests: list[dict[str, Any]], cuts: list[int]
) -> None:
    data = b"".join(frame(request) for request in requests)
    mine, theirs = socket.socketpair()
    with mine:
        echo.door.adopt(theirs)
        for cut in [*cuts, len(data)]:
            mine.sendall(data[:cut])
            data = data[cut:]
            echo.turn()
        mine.shutdown(socket.SHUT_WR)
        echo.turn()
        got = b""
        while part := mine.recv(65536):
            got += part
        assert [json.loads(part) for part in cut_frames(got)] == requests


@given(st.binary(max_size=200))
def test_garbage_harms_nobody(echo: Echo, data: bytes) -> None:
    mine, theirs = socket.socketpair()
    with mine:
        client = echo.door.adopt(theirs)
        mine.sendall(data)
        echo.turn()
        echo.door.drop(client)
    assert echo.door.clients == []


def test_there_is_room_for_so_many_clients_only(echo: Echo) -> None:
    clients = [socket.socket(socket.AF_UNIX) for _ in range(MAX_CLIENTS + 1)]
    for client in clients:
        client.connect(echo.path)
        echo.turn()
    assert len(echo.door.clients) == MAX_CLIENTS
    assert clients[-1].recv(1) == b""
    for client in clients:
        client.close()
    echo.turn()
    assert echo.door.clients == []


def cut_frames(data: bytes) -> Iterator[bytes]:
    while data:
        (length,) = struct.unpack_from(">I", data)
        yield data[4 : 4 + length]
        data = data[4 + length :]
