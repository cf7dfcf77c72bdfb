"""Recordings: what is written is what is read, the format stays, and a replay answers alike."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_engine import make_door

from spice_engine.api.door import Connection
from spice_engine.errors import IncompatibleVersion, NotFound, SpiceError
from spice_engine.protocol import frames, memory
from spice_engine.protocol.location import locate
from spice_engine.protocol.messages import Kind
from spice_tui.async_client import AsyncClient
from spice_tui.recording import FORMAT, InvalidRecording, Recorder, Recording, read_recording
from spice_tui.replay import ReplayDoor, connect_replay
from tests.examples import examples

GOLDEN = Path(__file__).parent / "recordings" / "version-1.recording"


async def record(tmp_path: Path) -> Path:
    """A short session with a real door, recorded."""
    path = tmp_path / "session.recording"
    door, shelf = make_door(locate(tmp_path))
    shelf.add_run(name="first")
    with Recorder(path) as recorder:
        client = AsyncClient(observer=recorder)
        memory.connect(client, Connection(door))
        await client.ready()
        feed = client.subscribe("runs")
        await anext(feed)
        for name in ("second", "third"):
            shelf.change(1, name=name)
            await anext(feed)
            await client.call("runs.get", {"id": 1})
        with pytest.raises(NotFound):
            await client.call("runs.get", {"id": 2})
        await client.close()
    return path


async def replayed(recording: Recording, *, speed: float = 0.0) -> AsyncClient:
    return await connect_replay(recording, speed=speed)


@pytest.mark.parametrize("speed", [0.0, 1.0, 50.0])
async def test_a_replay_answers_and_tells_what_was_recorded(tmp_path: Path, speed: float) -> None:
    client = await replayed(read_recording(await record(tmp_path)), speed=speed)
    assert client.welcome is not None
    assert "runs.get" in client.welcome.operations
    feed = client.subscribe("runs")
    first = await anext(feed)
    assert (first.kind, first.sequence, first.data["1"]["name"]) == ("snapshot", 1, "first")
    names = [(await anext(feed)).data["set"]["1"]["name"] for _ in range(2)]
    assert names == ["second", "third"]
    answers = [(await client.call("runs.get", {"id": 1}))["name"] for _ in range(3)]
    assert answers == ["second", "third", "third"]
    with pytest.raises(NotFound, match="there is no run 2"):
        await client.call("runs.get", {"id": 2})
    with pytest.raises(NotFound, match="the recording holds no answer to"):
        await client.call("runs.get", {"id": 3})
    unknown = client.subscribe("pods")
    with pytest.raises(NotFound, match="does not hold the topic"):
        await anext(unknown)
    await client.close()


def test_the_golden_file_of_version_1_is_still_read() -> None:
    recording = read_recording(GOLDEN)
    assert (recording.version, recording.started, recording.torn) == (1, 1_700_000_000.5, False)
    assert [(entry.seconds, entry.direction) for entry in recording.entries] == [
        (0.0, "in"),
        (0.25, "out"),
        (0.5, "in"),
        (1.0, "out"),
        (1.5, "in"),
        (2.0, "in"),
    ]

    async def play() -> tuple[Any, Any, Any]:
        client = await replayed(recording)
        feed = client.subscribe("engine")
        answer = await client.call("engine.ping")
        events = (await anext(feed), await anext(feed))
        await client.close()
        return answer, events[0].data, events[1].data

    assert asyncio.run(play()) == ({"time": 1_700_000_001.0}, {"pid": 7}, {"pid": 8})


async def test_a_torn_end_is_left_out(tmp_path: Path) -> None:
    path = await record(tmp_path)
    data, whole = path.read_bytes(), read_recording(path)
    for cut in (1, 3, 7):
        path.write_bytes(data[:-cut])
        recording = read_recording(path)
        assert recording.torn
        assert recording.entries == whole.entries[:-1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"GIF89a" * 30,
        b"name: serverops\nactions: []\n",
        frames.encode([1, 2, 3]),
        frames.encode({"format": "something else", "version": 1}),
        frames.encode({"format": FORMAT, "version": 1}) + frames.encode("not a message"),
        frames.encode({"format": FORMAT, "version": 1}) + frames.encode([0.0, "up", [1]]),
        frames.encode({"format": FORMAT, "version": 1}) + b"\0\0\0\1\xc1",
    ],
)
def test_a_foreign_or_damaged_file_is_told_as_such(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.recording"
    path.write_bytes(data)
    with pytest.raises(InvalidRecording, match=r"x\.recording"):
        read_recording(path)


def test_a_newer_version_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "x.recording"
    path.write_bytes(frames.encode({"format": FORMAT, "version": 2}))
    with pytest.raises(IncompatibleVersion, match="version 2"):
        read_recording(path)
    with pytest.raises(NotFound):
        read_recording(tmp_path / "none")
    with pytest.raises(InvalidRecording):
        read_recording(tmp_path)
    with pytest.raises(InvalidRecording):
        Recorder(tmp_path / "no" / "folder")
    path.write_bytes(frames.encode({"format": FORMAT, "version": 1}))
    with pytest.raises(InvalidRecording, match="no welcome"):
        ReplayDoor(read_recording(path))


def test_a_recording_is_private_and_ends_at_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.recording"
    path.touch(mode=0o644)
    with Recorder(path, limit=1000) as recorder:
        for number in range(100):
            recorder("in", [int(Kind.RESPONSE), number, "x" * 50])
        assert recorder.full
    recorder("in", [int(Kind.RESPONSE), 1, "after the end"])
    assert path.stat().st_size <= 1000
    assert path.stat().st_mode & 0o777 == 0o600
    recording = read_recording(path)
    assert not recording.torn
    assert [entry.message[1] for entry in recording.entries] == list(range(len(recording.entries)))


@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.binary(max_size=80), header=st.booleans())
def test_any_file_is_a_recording_or_an_error_of_ours(
    tmp_path: Path, data: bytes, header: bool
) -> None:
    path = tmp_path / "x.recording"
    start = frames.encode({"format": FORMAT, "version": 1}) if header else b""
    path.write_bytes(start + data)
    with contextlib.suppress(SpiceError):
        read_recording(path)


async def test_a_screen_that_breaks_the_protocol_is_told_so(tmp_path: Path) -> None:
    recording = read_recording(await record(tmp_path))
    client = AsyncClient()
    door = ReplayDoor(recording)
    memory.connect(client, door)
    await client.ready()
    door.data_received(frames.encode([int(Kind.HELLO), {"protocol": 1, "client": "again"}]))
    await client.lost()
