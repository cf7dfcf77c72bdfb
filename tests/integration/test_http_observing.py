"""Observations over the events WebSocket: acknowledged when durable, bounded, with the token."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from http_doors import Served, serve, until

from spice_engine.api.socket_observations import MAX_WAITING
from spice_engine.protocol.pods import Observe


async def connect(served: Served) -> aiohttp.ClientWebSocketResponse:
    """An authorized socket whose welcome was read."""
    socket = await served.client.ws_connect(
        served.door.url + "/api/v1/events", headers=served.auth, max_msg_size=0
    )
    assert (await socket.receive_json(timeout=5))["kind"] == "welcome"
    return socket


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        (
            {"data": "time,a.b.c\n1,2\n", "key": "k1"},
            Observe("trader", b"time,a.b.c\n1,2\n", key="k1"),
        ),
        (
            {"data": [{"time": 1, "measurements": {"a.b.c": 2}}]},
            Observe("trader", b'[{"time":1,"measurements":{"a.b.c":2}}]', format="json"),
        ),
        (
            {"data": "time,c\n1,2\n", "dataspace": "a/b"},
            Observe("trader", b"time,c\n1,2\n", dataspace="a/b"),
        ),
        ({"data": "[]", "format": "json"}, Observe("trader", b"[]", format="json")),
    ],
)
async def test_observations_are_acknowledged(message: dict[str, Any], asked: Observe) -> None:
    async with serve() as served:
        socket = await connect(served)
        await socket.send_json({"observe": "trader", "id": 5, **message})
        answer = await socket.receive_json(timeout=5)
        assert (answer["id"], answer["kind"]) == (5, "observed")
        assert answer["rows"] == asked.data.count(b"\n")
        assert answer["duplicate"] is False
        assert served.pods.observed == [asked]


async def test_the_answer_comes_when_they_are_taken_in_and_others_need_not_wait() -> None:
    async with serve() as served:
        served.pods.gate.clear()
        served.bus.topic("counters", "state", dict)
        socket = await connect(served)
        await socket.send_json({"observe": "trader", "id": 1, "data": "x\n"})
        await socket.send_json({"observe": "trader", "id": 1, "data": "x\n"})
        assert (await socket.receive_json(timeout=5))["error"]["code"] == "protocol_error"
        await socket.send_json({"subscribe": "counters", "id": 1})
        assert "in use" in (await socket.receive_json(timeout=5))["error"]["message"]
        await socket.send_json({"subscribe": "counters", "id": 2})
        assert (await socket.receive_json(timeout=5))["kind"] == "snapshot"
        await socket.send_json({"observe": "trader", "id": 2, "data": "x\n"})
        assert (await socket.receive_json(timeout=5))["error"]["code"] == "protocol_error"
        served.pods.gate.set()
        answer = await socket.receive_json(timeout=5)
        assert (answer["id"], answer["kind"]) == (1, "observed")
        await socket.send_json({"observe": "trader", "id": 1, "data": "x\n"})
        assert (await socket.receive_json(timeout=5))["kind"] == "observed"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"observe": "nobody", "id": 1, "data": "x"}, "not_found"),
        ({"observe": "trader", "id": 1, "data": "x", "format": 3}, "invalid_request"),
        ({"observe": "trader", "id": 1, "data": "x", "pod": "y"}, "protocol_error"),
        ({"observe": "trader", "id": 1}, "protocol_error"),
        ({"observe": "trader", "id": 0, "data": "x"}, "protocol_error"),
        ({"observe": "trader", "data": "x"}, "protocol_error"),
        ({"observe": 1, "id": 1, "data": "x"}, "protocol_error"),
        ({"observe": "trader", "id": 1, "data": "defect"}, "internal_error"),
    ],
)
async def test_what_cannot_be_taken_in_is_answered_and_the_socket_lives_on(
    message: dict[str, Any], code: str
) -> None:
    async with serve() as served:
        socket = await connect(served)
        await socket.send_json(message)
        answer = await socket.receive_json(timeout=5)
        assert (answer["kind"], answer["error"]["code"]) == ("error", code)
        assert "secret" not in str(answer)
        await socket.send_json({"observe": "trader", "id": 9, "data": "x"})
        assert (await socket.receive_json(timeout=5))["kind"] == "observed"


async def test_messages_that_wait_are_bounded() -> None:
    async with serve() as served:
        served.pods.gate.clear()
        socket = await connect(served)
        for number in range(1, MAX_WAITING + 2):
            await socket.send_json({"observe": "trader", "id": number, "data": "x\n"})
        refused = await socket.receive_json(timeout=5)
        assert (refused["id"], refused["error"]["code"]) == (MAX_WAITING + 1, "overloaded")
        served.pods.gate.set()
        answers = [await socket.receive_json(timeout=5) for _ in range(MAX_WAITING)]
        assert {answer["kind"] for answer in answers} == {"observed"}
        assert {answer["id"] for answer in answers} == set(range(1, MAX_WAITING + 1))


async def test_nothing_is_taken_without_the_token() -> None:
    async with serve() as served:
        socket = await served.client.ws_connect(served.door.url + "/api/v1/events")
        await socket.send_json({"observe": "trader", "id": 1, "data": "x"})
        assert (await socket.receive_json(timeout=5))["error"]["code"] == "unauthorized"
        await socket.receive()
        assert served.pods.observed == []


async def test_a_closing_door_answers_what_it_has_and_a_client_that_leaves_leaves_nothing() -> None:
    async with serve() as served:
        served.pods.gate.clear()
        leaver, stayer = await connect(served), await connect(served)
        for socket in (leaver, stayer):
            await socket.send_json({"observe": "trader", "id": 1, "data": "x"})
        await until(lambda: len(served.door.events.sockets) == 2)
        await leaver.close()
        await until(lambda: len(served.door.events.sockets) == 1)
        closing = asyncio.create_task(served.door.close(grace=2, reason="upgrade"))
        await asyncio.sleep(0)
        served.pods.gate.set()
        assert (await stayer.receive_json(timeout=5))["kind"] == "observed"
        await stayer.receive()
        assert stayer.close_code == 1001
        await closing
        assert len(served.pods.observed) == 1
