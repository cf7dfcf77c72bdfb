"""Load for the serving bench: wrk, and clients of our own that check every answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

HERE = Path(__file__).resolve().parent
PEERS = HERE / "serving_peers"

ECHO = json.dumps({"user": "u123", "features": [1.5, 2.5, 3.5, 4.5], "k": 5, "tag": "abc"}).encode()


def mlp_body() -> bytes:
    """784 numbers of four digits: about 6 kB of JSON."""
    row = np.random.default_rng(1).random(784)
    return json.dumps({"x": [round(float(value), 4) for value in row]}).encode()


def tensor_body(payload: bytes) -> bytes:
    """The same numbers in MLServer's form."""
    values = json.loads(payload)
    data = values.get("x") or values["features"]
    tensor = {"name": "x", "shape": [1, len(data)], "datatype": "FP32", "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def wrk(url: str, body: bytes, *, clients: int, seconds: float) -> dict[str, float]:
    """What wrk measured, one thread, keep-alive."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(body)
        file.flush()
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--latency", "--timeout", "30s"]
        done = subprocess.run(
            [*command, "-s", str(PEERS / "post.lua"), url],
            env={**os.environ, "BODY": file.name},
            capture_output=True,
            text=True,
            check=True,
        )
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    return json.loads(line)


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of processes and all below them, each once."""
    found: set[psutil.Process] = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(pid)
            found |= {root, *root.children(recursive=True)}
    total = 0.0
    for process in found:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def pss_mib(pids: list[int]) -> float:
    """Proportional set size of processes, MiB."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, StopIteration):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(
                int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")
            )
    return round(total / 1024, 1)


@dataclass(slots=True)
class Outcome:
    """What a `Clients` run saw. Times are seconds since its begin."""

    statuses: Counter[str] = field(default_factory=Counter[str])
    latencies: list[float] = field(default_factory=list[float])
    when: list[float] = field(default_factory=list[float])
    answers: Counter[str] = field(default_factory=Counter[str])
    trouble: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    @property
    def good(self) -> int:
        """Answers with status 200."""
        return self.statuses["200"]

    def failed(self, *, allowed: tuple[str, ...] = ()) -> int:
        """Everything else."""
        return sum(n for status, n in self.statuses.items() if status not in {"200", *allowed})

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        if not self.latencies:
            return float("nan")
        return round(1000 * float(np.quantile(self.latencies, share)), 3)


class Clients:
    """Keep-alive HTTP/1.1 connections that POST; a broken connection counts as a failure.

    `rate` is requests per second of all of them together (0: as fast as answers come). A
    connection the server closed *after* saying so (`Connection: close`) is opened anew.
    """

    def __init__(
        self, host: str, port: int, path: str, body: bytes, *, clients: int, rate: float = 0.0
    ) -> None:
        self.outcome = Outcome()
        self._address = (host, port)
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self._clients = clients
        self._rate = rate
        self._begin = 0.0
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Clients:
        self._begin = time.perf_counter()
        self._tasks = [asyncio.create_task(self._client(k)) for k in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _client(self, number: int) -> None:
        outcome = self.outcome
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        pause = self._clients / self._rate if self._rate else 0.0
        due = time.perf_counter() + pause * number / self._clients
        while not self._stop.is_set():
            if pause:
                due += pause
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            begin = time.perf_counter()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(*self._address)
                assert reader is not None
                writer.write(self._request)
                async with asyncio.timeout(60):
                    status, body, close = await _answer(reader)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                outcome.statuses[type(error).__name__] += 1
                outcome.trouble.append((time.perf_counter() - self._begin, repr(error)))
                if writer is not None:
                    writer.close()
                writer = None
                await asyncio.sleep(0.05)
                continue
            ended = time.perf_counter()
            outcome.statuses[status] += 1
            if status == "200":
                outcome.latencies.append(ended - begin)
                outcome.when.append(ended - self._begin)
                outcome.answers[body[:40].decode(errors="replace")] += 1
            else:
                text = body[:200].decode(errors="replace")
                outcome.trouble.append((ended - self._begin, f"{status} {text}"))
            if close:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[str, bytes, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = head.split(b" ", 2)[1].decode()
    length = 0
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return status, await reader.readexactly(length), b"connection: close" in head


async def health_latencies(host: str, port: int, path: str, seconds: float) -> list[float]:
    """Milliseconds of one GET after another, fifty a second, each on its own connection."""
    found: list[float] = []
    until = time.perf_counter() + seconds
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    while time.perf_counter() < until:
        begin = time.perf_counter()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request)
        status, _, _ = await _answer(reader)
        assert status == "200", status
        found.append(1000 * (time.perf_counter() - begin))
        writer.close()
        await asyncio.sleep(0.02)
    return found


def median(values: list[float], digits: int = 3) -> float:
    """The median, rounded."""
    return round(statistics.median(values), digits) if values else float("nan")


def quantile(values: list[float], share: float) -> float:
    """A quantile, rounded to a microsecond where the unit is milliseconds."""
    return round(float(np.quantile(values, share)), 3) if values else float("nan")


def conditions() -> dict[str, Any]:
    """What the figures depend on."""
    import platform

    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "system": platform.platform(),
        "date": time.strftime("%Y-%m-%d"),
    }
