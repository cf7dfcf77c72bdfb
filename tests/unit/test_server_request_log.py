"""The log of requests: each once, whatever becomes of it; rotated; never in the way."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from spice_engine.serving import request_log
from spice_engine.serving.calls import Call
from spice_engine.serving.request_log import LoggedEndpoint, Noted, RequestLogs
from spice_runtime import wire


class Heard(Call):
    """A door's call that keeps what it hears."""

    def __init__(self, body: bytes = b"1") -> None:
        now = time.monotonic()
        super().__init__(body, arrived=now, deadline=now + 9, request_id="r-1")
        self.heard: list[object] = []

    def client(self) -> str:
        return "127.0.0.1"

    def answer(self, status: int, codec: int, head: bytes, body: bytes) -> None:
        self.heard.append((status, body, self.done))

    def stream(self, status: int, codec: int, head: bytes) -> None:
        self.heard.append(status)

    def chunk(self, data: bytes) -> None:
        self.heard.append(data)

    def end(self, trouble: str) -> None:
        self.heard.append(trouble)


class Inner:
    """An endpoint that keeps calls until the test answers them."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.cancelled: list[Call] = []
        self.credits: list[tuple[Call, int]] = []

    def submit(self, call: Call) -> None:
        self.calls.append(call)

    def cancel(self, call: Call) -> None:
        self.cancelled.append(call)

    def credit(self, call: Call, number: int) -> None:
        self.credits.append((call, number))

    def is_ready(self) -> bool:
        return True


@pytest.fixture
def logs() -> RequestLogs:
    return RequestLogs()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_streams_and_clients_that_leave_are_noted_once(
    tmp_path: Path, logs: RequestLogs
) -> None:
    inner = Inner()
    path = tmp_path / "requests.log"
    endpoint = LoggedEndpoint(inner, logs.of(path))
    whole, streamed, gone = Heard(b"123"), Heard(), Heard()
    for call in (whole, streamed, gone):
        endpoint.submit(call)
    first, second, third = inner.calls
    first.answer(200, wire.AS_JSON, b"", b"four")
    second.stream(200, wire.AS_BYTES, b"")
    second.chunk(b"ab")
    endpoint.credit(streamed, 2)
    second.chunk(b"c")
    second.end("")
    endpoint.cancel(gone)
    endpoint.cancel(gone)
    endpoint.cancel(whole)
    assert whole.heard == [(200, b"four", True)]
    assert streamed.heard == [200, b"ab", b"c", ""]
    assert streamed.done
    assert inner.credits == [(second, 2)]
    assert inner.cancelled == [third]
    assert gone.done
    logs.close()
    found = lines(path)
    assert [(one["status"], one["in"], one["out"]) for one in found] == [
        (200, 3, 4),
        (200, 1, 3),
        (499, 1, 0),
    ]
    assert {one["id"] for one in found} == {"r-1"}
    assert found[0]["client"] == "127.0.0.1"


def test_a_log_rotates_and_lost_lines_are_counted(
    tmp_path: Path, logs: RequestLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "ROTATE_BYTES", 200)
    monkeypatch.setattr(request_log, "MOST_WAITING", 2)
    path = tmp_path / "requests.log"
    one = logs.of(path)
    for _ in range(5):
        one.note(Noted(1.0, "i", "3", 200, 0.01, 0.001, 1, 2, "", 0))
    one.write()
    rotated = lines(tmp_path / "requests.log.1")
    assert [row.get("lost") for row in rotated] == [None, None, 3]
    assert rotated[0]["replica"] == 3
    assert not path.exists()


def test_a_folder_that_is_gone_disturbs_nobody(tmp_path: Path, logs: RequestLogs) -> None:
    one = logs.of(tmp_path / "gone" / "requests.log")
    one.note(Noted(1.0, "i", "", 200, 0.01, 0.001, 1, 2, "", 0))
    one.write()
    logs.forget(tmp_path / "gone")
    assert logs.of(tmp_path / "gone" / "requests.log") is not one
