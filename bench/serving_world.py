"""An engine with servers, and the peers' servers, as the serving bench needs them."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from serving_load import PEERS, tensor_body

from spice_engine.protocol.location import Location, locate
from spice_tui.client import Client
from spice_tui.launch import start_engine


@dataclass(slots=True)
class World:
    """A running engine on a folder of its own that holds the bench's predictors."""

    location: Location
    http: str
    pid: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the public door."""
        parts = urlsplit(self.http)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def call(self, name: str, request: dict[str, Any] | None = None, wait: float = 600) -> Any:
        """One operation of the engine."""
        with Client(self.location, timeout=wait) as client:
            return client.call(name, request or {})

    def serve(self, name: str, work: str, **more: Any) -> None:
        """Stand up a predictor of the bench, and wait until it runs."""
        definition: dict[str, Any] = {
            "name": name,
            "entrypoint": "ours.py",
            "env": {"WORK": work, "OPENBLAS_NUM_THREADS": "1"},
            "dependencies": {"pip": ["numpy"]} if work in {"mlp", "batch"} else {},
            **more,
        }
        scaling = {"min_pods": 1, "max_pods": 1, **definition.get("scaling", {})}
        definition["scaling"] = scaling
        self.call("servers.serve", {"definition": definition, "wait": True})

    def info(self, name: str) -> dict[str, Any]:
        """A server as `servers.get` tells it."""
        return self.call("servers.get", {"server": name})["info"]

    def replicas(self, name: str) -> list[int]:
        """Pids of the shims of a server's replicas."""
        return [one["pid"] for one in self.info(name)["replicas"] if one["pid"]]

    def workers(self, name: str) -> list[int]:
        """Pids of the predictors' processes."""
        found: list[int] = []
        for shim in self.replicas(name):
            with contextlib.suppress(psutil.Error):
                found += [child.pid for child in psutil.Process(shim).children(recursive=True)]
        return found

    def remove(self, name: str) -> None:
        """Stop and remove a server."""
        self.call("servers.remove", {"server": name, "force": True, "wait": True})


@contextmanager
def world(*flags: str) -> Iterator[World]:
    """A fresh engine; stopped and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
    for source in ("ours.py", "work.py"):
        shutil.copy(PEERS / source, folder / source)
    location = locate(folder)
    answer = start_engine(location, ["--http-port", "0", *flags])
    try:
        yield World(location, str(answer["http"]), int(answer["pid"]))
    finally:
        with contextlib.suppress(Exception), Client(location) as client:
            client.call("engine.stop", {"runs": "stop"})
        deadline = time.monotonic() + 30
        while location.socket.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another server program: how it is started, and where it answers."""

    venv: str
    command: tuple[str, ...]
    path: str = "/predict"
    health: str = "/health"
    tensors: bool = False
    boot: float = 60.0
    env: dict[str, str] = field(default_factory=dict[str, str])

    def body(self, payload: bytes) -> bytes:
        """The payload in the peer's form."""
        return tensor_body(payload) if self.tensors else payload


PEER_SERVERS = {
    "FastAPI + uvicorn": Peer(
        "ref",
        (
            *("{bin}/python", "-m", "uvicorn", "fastapi_app:app", "--port", "{port}"),
            *("--no-access-log", "--log-level", "warning"),
        ),
    ),
    "LitServe": Peer("litserve", ("{bin}/python", "litserve_app.py")),
    "BentoML": Peer(
        "bentoml",
        (
            *("{bin}/bentoml", "serve", "bentoml_app:Service", "--port", "{port}"),
            *("--host", "127.0.0.1"),
        ),
        health="/readyz",
        env={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    "MLServer": Peer(
        "mlserver",
        ("{bin}/mlserver", "start", "{scratch}"),
        path="/v2/models/m/infer",
        health="/v2/models/m/ready",
        tensors=True,
    ),
    "Ray Serve": Peer("ray", ("{bin}/python", "ray_app.py"), boot=120.0),
}


@contextmanager
def peer_server(peer: Peer, venvs: Path, work: str) -> Iterator[tuple[str, int]]:
    """A peer's server; gives its URL for predictions and its pid."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scratch = Path(tempfile.mkdtemp(prefix="peer-"))
    if peer.venv == "mlserver":
        settings = f'{{"http_port":{port},"grpc_port":{port + 1},"metrics_port":{port + 2},'
        (scratch / "settings.json").write_text(settings + '"parallel_workers":1,"debug":false}')
        model = '{"name":"m","implementation":"mlserver_app.Model"}'
        (scratch / "model-settings.json").write_text(model)
    where = {"bin": str(venvs / peer.venv / "bin"), "port": str(port), "scratch": str(scratch)}
    process = subprocess.Popen(
        [part.format(**where) for part in peer.command],
        env={
            **os.environ,
            **peer.env,
            "WORK": work,
            "PORT": str(port),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(PEERS),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd=PEERS,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_ready(process, port, peer)
        yield f"http://127.0.0.1:{port}{peer.path}", process.pid
    finally:
        tree = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=8)
        for child in alive:
            with contextlib.suppress(psutil.Error):
                child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=8)
        process.kill()
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def _wait_ready(process: subprocess.Popen[bytes], port: int, peer: Peer) -> None:
    deadline = time.monotonic() + peer.boot
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{peer.command[0]} ended with {process.returncode}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", peer.health)
            if connection.getresponse().status == 200:
                time.sleep(0.5)
                return
        time.sleep(0.1)
    raise RuntimeError(f"{peer.command[0]} did not get ready in {peer.boot:.0f} s")


def available(venvs: Path | None) -> dict[str, Peer]:
    """The peers that are installed below `venvs`, one virtual environment each."""
    if venvs is None:
        return {}
    return {name: peer for name, peer in PEER_SERVERS.items() if (venvs / peer.venv).is_dir()}


if __name__ == "__main__":
    sys.exit("this is a part of bench/serving.py")
