"""A replica as a real process, and a small client that speaks its frames as a router does."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spice_runtime
from spice_runtime import wire

REPLICA = Path(spice_runtime.__file__).parent / "replica.py"
SECONDS = 20.0
PYTHON = os.environ.get("SPICE_REPLICA_PYTHON") or sys.executable
"""Whose environment the predictors of tests run in: to try another Starlette, or another Python."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it came."""

    kind: int
    codec: int
    status: int
    number: int
    ident: int
    head: bytes
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Connection:
    """One socket to a replica; reads frames, blocking."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        try:
            self.sock.connect(str(path))
        except OSError:
            self.sock.close()
            raise
        self._buffer = b""
        self.hello = self.read()

    def send(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def read(self) -> Frame:
        head = self._take(wire.HEADER.size)
        length, kind, codec, head_length, status, _, number, ident = wire.HEADER.unpack(head)
        payload = self._take(length)
        return Frame(
            kind, codec, status, number, ident, payload[:head_length], payload[head_length:]
        )

    def close(self) -> None:
        self.sock.close()

    def _take(self, number: int) -> bytes:
        while len(self._buffer) < number:
            data = self.sock.recv(1 << 20)
            if not data:
                raise ConnectionResetError("the replica closed the connection")
            self._buffer += data
        taken, self._buffer = self._buffer[:number], self._buffer[number:]
        return taken


class Lane(Connection):
    """A lane: calls go out, answers come back."""

    _idents = itertools.count(1)

    def call(self, payload: Any = None, **options: Any) -> Frame:
        """One call and its whole answer."""
        ident = self.begin(payload, **options)
        answer = self.read()
        assert answer.ident == ident
        return answer

    def begin(self, payload: Any = None, **options: Any) -> int:
        """Sends a call; gives its id."""
        ident = next(self._idents)
        self.send(call_frame(ident, payload, **options))
        return ident

    def batch(self, *payloads: Any, **options: Any) -> list[Frame]:
        """A batch; its answers in the order of the items."""
        idents = [next(self._idents) for _ in payloads]
        frames = [
            call_frame(ident, payload, **options)
            for ident, payload in zip(idents, payloads, strict=True)
        ]
        self.send(wire.frame(wire.BATCH, next(self._idents), b"".join(frames), number=len(frames)))
        answers = {answer.ident: answer for answer in (self.read() for _ in idents)}
        return [answers[ident] for ident in idents]


def call_frame(
    ident: int,
    payload: Any = None,
    *,
    raw: bytes | None = None,
    codec: int = wire.JSON,
    head: bytes = b"",
    milliseconds: int = 60_000,
) -> bytes:
    body = json.dumps(payload).encode() if raw is None else raw
    return wire.frame(wire.CALL, ident, body, codec=codec, head=head, number=milliseconds)


class ReplicaProcess:
    """A replica of a predictor's source in a folder of its own."""

    def __init__(self, folder: Path, source: str = "", *, python: str = "", **job: Any) -> None:
        self.folder = folder
        code = folder / "code"
        code.mkdir(exist_ok=True)
        if source:
            (code / "serve.py").write_text(source)
        self.job = {
            "version": 1,
            "server": "test",
            "replica": 1,
            "server_version": 1,
            "type": "script",
            "entrypoint": "serve.py",
            "code": str(code),
            "classname": "",
            "config": {},
            "models": [],
            "control_socket": str(folder / "control.sock"),
            "lane_socket": str(folder / "lane.sock"),
            "started": str(folder / "started"),
            "num_processes": 1,
            "threads": 1,
            "max_concurrency": 256,
            "batching": False,
            "debug": False,
            "request_prefix": "test-",
            **job,
        }
        (folder / "replica.json").write_text(json.dumps(self.job))
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [python or PYTHON, "-s", str(REPLICA), str(folder / "replica.json")],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": os.environ["PATH"]},
        )
        self.control: Connection | None = None
        self._lanes: list[Connection] = []

    def connect(self) -> Connection:
        """The control connection."""
        deadline = time.monotonic() + SECONDS
        while self.control is None:
            try:
                self.control = Connection(self.folder / "control.sock")
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(f"no replica: {self.output()}") from None
                time.sleep(0.01)
        return self.control

    def state(self) -> dict[str, Any]:
        """The first state that is not `loading`."""
        control = self.connect()
        frame = control.hello
        while frame.json["state"] == "loading":
            frame = control.read()
        return frame.json

    def ready(self) -> dict[str, Any]:
        """What it tells of its predictor when it is ready."""
        state = self.state()
        assert state["state"] == "ready", state
        return state["predictor"]

    def lane(self) -> Lane:
        """A new lane."""
        lane = Lane(self.folder / "lane.sock")
        self._lanes.append(lane)
        return lane

    def ask(self, kind: int, ident: int = 7) -> Frame:
        """A question to control, and its answer."""
        control = self.connect()
        control.send(wire.frame(kind, ident))
        answer = control.read()
        assert answer.ident == ident
        return answer

    def started(self) -> list[int]:
        """The page of started calls."""
        data = (self.folder / "started").read_bytes()
        return list(memoryview(data).cast("Q"))

    def output(self) -> str:
        """What it printed so far."""
        return (self.folder / "log").read_text(errors="replace")

    def drain(self) -> int:
        """Asks it to end; gives its exit code."""
        self.connect().send(wire.frame(wire.DRAIN, 0))
        return self.process.wait(SECONDS)

    def disconnect(self) -> None:
        """Closes all connections to it."""
        for connection in (self.control, *self._lanes):
            if connection is not None:
                connection.close()
        self.control = None
        self._lanes.clear()

    def close(self) -> None:
        """Ends it, whatever it does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(SECONDS)
        self.disconnect()
        self.log.close()
