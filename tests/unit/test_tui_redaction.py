"""What goes into a bug report holds no secrets, and can still be read and replayed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from spice_engine.protocol.messages import Kind
from spice_engine.protocol.pods import PodInfo
from spice_tui.async_client import AsyncClient
from spice_tui.models.build import build
from spice_tui.models.link import Link
from spice_tui.models.redaction import HIDDEN, redact
from spice_tui.models.stream_ring import StreamRing
from spice_tui.recording import read_recording
from spice_tui.replay import connect_replay
from tests.conftest import EngineFixture

SECRET = "hunter2-hunter2"
POD: dict[str, Any] = {"name": "auth-tokens", "state": "ready", "actions": ["buy"], "problems": []}


@pytest.mark.parametrize(
    "value",
    [
        {"env": {"MY_VALUE": SECRET, "PATH": SECRET}},
        {"params": [{"api_key": SECRET}]},
        {"deep": {"deeper": {"Password": SECRET}}},
        {"authorization": f"Bearer {SECRET}"},
        {"credentials": {"user": "me", "value": SECRET, "more": [SECRET, {"x": SECRET}]}},
        {"token": 12345},
        {"text": f"params:\n  token: {SECRET}"},
        {"data": SECRET.encode()},
        {"server": "echo", "payload": {"patient": [SECRET]}},
        {"status": 200, "body": SECRET},
        {"requirements": f"--index-url https://me:{SECRET}@example.org/simple"},
        [1, 2, {"cookie": SECRET}],
    ],
)
def test_secrets_are_hidden_wherever_they_are(value: Any) -> None:
    hidden = repr(redact(value))
    assert SECRET not in hidden
    assert "12345" not in hidden


def test_what_is_no_secret_stays() -> None:
    value = {"name": "shop", "state": "ready", "token": None, "password": "", "list": [1, "two"]}
    assert redact(value) == value
    assert redact({"env": {"A": "1"}}) == {"env": {"A": HIDDEN}}
    assert redact({"note": "x"}, str.upper) == {"note": "X"}


def test_a_pod_with_a_telling_name_keeps_its_form() -> None:
    pods = redact({"auth-tokens": POD})
    assert build(PodInfo, pods["auth-tokens"]).problems == []


def test_the_ring_is_bounded_but_keeps_beginnings() -> None:
    ring = StreamRing(limit=2000)
    ring("in", [Kind.WELCOME, {"protocol": 1}])
    ring("out", [Kind.SUBSCRIBE, 1, "pods", {}])
    ring("in", [Kind.SNAPSHOT, 1, 1, {}])
    for number in range(1000):
        ring("in", [Kind.DELTA, 1, number, {"set": {}, "note": "x" * 100}])
    size = len(ring.recorded())
    assert size < 6000


async def test_a_recording_of_the_ring_can_be_replayed(
    engine: EngineFixture, tmp_path: Path
) -> None:
    engine.start()
    engine.call("packages.add", reference="samples/gardener")
    ring = StreamRing()
    client = await AsyncClient.connect(engine.location, observer=ring)
    try:
        feed = client.subscribe("pods")
        await anext(feed)
        await client.call(
            "runs.start",
            {"command": f"MY_TOKEN={SECRET} true", "env": {"PLAIN": SECRET, "OTHER": "value-1"}},
        )
        await client.call("pods.trainings", {"pod": "gardener"})
    finally:
        await client.close()

    data = ring.recorded()
    assert SECRET.encode() not in data
    assert b"value-1" not in data
    path = tmp_path / "ring.recording"
    path.write_bytes(data)
    recording = read_recording(path)
    assert not recording.torn

    changed = asyncio.Event()
    link = Link(lambda: connect_replay(recording, speed=0), changed.set)
    running = asyncio.ensure_future(link.run())
    try:
        async with asyncio.timeout(10):
            await link.attached.wait()
            while "gardener" not in link.take().pods:
                changed.clear()
                await changed.wait()
            answer = await link.call("pods.trainings", {"pod": "gardener"})
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert "trainings" in answer
