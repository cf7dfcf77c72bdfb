"""Calls per second through one lane of one replica, without router and HTTP: its own cost.

`python bench/replica_lane.py [--seconds 3] [--in-flight 64]` prints a line for each kind of
predictor: calls per second (this client shares the machine), and CPU of the replica per call.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from spice_runtime import wire

REPLICA = Path(wire.__file__).parent / "replica.py"
KINDS = {
    "sync": ("def predict(self, payload):\n        return {'got': payload}", False),
    "async": ("async def predict(self, payload):\n        return {'got': payload}", False),
    "sync, batches": ("def predict(self, payload):\n        return payload", True),
}
BODY = b'{"id": 12345, "text": "hello, replica", "values": [1.5, 2.5, 3.5, 4.5]}'
CLASS = "from spice_runtime import BasePredictor\nclass P(BasePredictor):\n    "


def main() -> None:
    """Measures each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--in-flight", type=int, default=64)
    options = parser.parse_args()
    for kind, (method, batching) in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            rate, cost = measure(Path(folder), CLASS + method, batching, options)
        print(f"{kind:14} {rate:9,.0f} calls/s   {cost:6.2f} us of CPU per call")


def measure(
    folder: Path, source: str, batching: bool, options: argparse.Namespace
) -> tuple[float, float]:
    """Calls per second, and microseconds of the replica's CPU per call."""
    (folder / "serve.py").write_text(source)
    note = {
        "type": "script",
        "entrypoint": "serve.py",
        "code": str(folder),
        "control_socket": str(folder / "control"),
        "lane_socket": str(folder / "lane"),
        "started": str(folder / "started"),
        "batching": batching,
    }
    (folder / "replica.json").write_text(json.dumps(note))
    replica = subprocess.Popen([sys.executable, "-s", REPLICA, folder / "replica.json"])
    try:
        control = connect(folder / "control")
        while b'"ready"' not in control.recv(65536):
            pass
        lane = connect(folder / "lane")
        lane.recv(65536)
        before, began = cpu_seconds(replica.pid), time.perf_counter()
        calls = drive(lane, batching, options)
        took = time.perf_counter() - began
        cost = (cpu_seconds(replica.pid) - before) / calls * 1e6
        control.close()
        lane.close()
        return calls / took, cost
    finally:
        replica.kill()
        replica.wait()


def drive(lane: socket.socket, batching: bool, options: argparse.Namespace) -> int:
    """Keeps so many calls in flight for so long; gives how many were answered."""
    frames = [
        wire.frame(wire.CALL, ident, BODY, number=60_000)
        for ident in range(1, options.in_flight + 1)
    ]
    batch = wire.frame(wire.BATCH, 1 << 40, b"".join(frames), number=len(frames))
    until, answered, rest, in_flight = time.perf_counter() + options.seconds, 0, b"", 0
    while True:
        if in_flight == 0 and time.perf_counter() > until:
            return answered
        room = options.in_flight - in_flight
        if time.perf_counter() <= until and (room == options.in_flight or not batching) and room:
            lane.sendall(batch if batching else b"".join(frames[:room]))
            in_flight += room
        data = rest + lane.recv(1 << 18)
        at = 0
        while len(data) - at >= wire.HEADER.size:
            end = at + wire.HEADER.size + wire.HEADER.unpack_from(data, at)[0]
            if end > len(data):
                break
            at = end
            in_flight -= 1
            answered += 1
        rest = data[at:]


def connect(path: Path) -> socket.socket:
    """A connection to a socket that will be there soon."""
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            time.sleep(0.01)
        else:
            return sock


def cpu_seconds(pid: int) -> float:
    """What a process used so far, of Linux's accounts."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
