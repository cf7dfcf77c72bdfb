"""The folder that `terminal.py` measures the screen on: an engine, two pods, runs that change."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spice_engine.protocol.location import locate
from spice_tui.client import Client, try_connect
from spice_tui.launch import start_engine

ONE_KHZ = (
    "import time\n"
    "begun, n = time.time(), 0\n"
    "while True:\n"
    "    n += 1\n"
    "    print(f'{n:7d} INFO worker: step {n} loss={1 / (n + 1):.6f} took 0.001 s', flush=True)\n"
    "    time.sleep(max(0.0, begun + n / 1000 - time.time()))\n"
)
MILLION = (
    "for n in range(1_000_000):\n"
    "    print(f'{n:07d} INFO worker: a line of exactly one hundred bytes, '"
    " f'as logs are made of, needle{n:07d} and more'[:99])\n"
)


class World:
    """One app folder with an engine of its own, under `base`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / "app"
        self.folder.mkdir(parents=True)
        os.environ["XDG_STATE_HOME"] = str(base / "state")
        os.environ["XDG_CONFIG_HOME"] = str(base / "config")
        self.location = locate(self.folder)

    def call(self, operation: str, **params: object) -> dict[str, Any]:
        """One operation, on a connection of its own."""
        with Client(self.location) as client:
            return client.call(operation, params)

    def start(self) -> None:
        """Start the engine."""
        start_engine(self.location, ["--http-port", "0"])

    def stop(self) -> None:
        """Stop it with all its runs, and wait until it is gone."""
        client = try_connect(self.location)
        if client is None:
            return
        with client:
            pid = int(client.call("engine.status")["pid"])
            client.call("engine.stop", {"runs": "stop"})
        wait(lambda: not Path(f"/proc/{pid}").exists(), 30)

    def samples(self) -> None:
        """Add two pods and wait until both have learned."""
        for name in ("gardener", "serverops"):
            self.call("samples.add", name=f"samples/{name}")
        wait(self.learned, 120)

    def learned(self) -> bool:
        """Whether each pod has a policy and none is being trained."""
        pods = self.call("pods.list")["pods"]
        return all(pod["policy_version"] and pod["training"] is None for pod in pods)

    def run(self, *command: str) -> int:
        """Start a run."""
        return int(self.call("runs.start", command=list(command))["id"])

    def million(self) -> int:
        """A run that has written a million lines, 100 MB."""
        number = self.run(sys.executable, "-c", MILLION)
        wait(lambda: self.call("runs.get", id=number)["state"] not in RUNNING, 120)
        return number

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """The first pod is trained again and again meanwhile."""
        with beside(self._train_once, 0.2):
            yield

    def _train_once(self) -> None:
        if self.learned():
            self.call("pods.train", pod="gardener")

    @contextlib.contextmanager
    def changing(self, runs: int) -> Iterator[int]:
        """Runs whose labels change twice a second, and one that logs 1,000 lines a second."""
        numbers = [self.run("sleep", "3600") for _ in range(runs - 1)]
        logging = self.run(sys.executable, "-c", ONE_KHZ)
        count = 0

        def relabel() -> None:
            nonlocal count
            count += 1
            with Client(self.location) as client:
                for number in numbers:
                    label = {"id": number, "add": [f"s{count}"], "remove": [f"s{count - 1}"]}
                    client.call("runs.label", label)

        try:
            with beside(relabel, 0.5):
                yield logging
        finally:
            for number in (*numbers, logging):
                self.call("runs.kill", id=number)


RUNNING = {"requested", "queued", "starting", "running", "stopping", "killing"}


@contextlib.contextmanager
def beside(work: Callable[[], object], gap: float) -> Iterator[None]:
    """Do something again and again in a thread."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(gap):
            work()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def wait(condition: Callable[[], object], seconds: float) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it does not come.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the world did not get ready")
        time.sleep(0.05)


@contextlib.contextmanager
def world(base: Path) -> Iterator[World]:
    """A world that is gone afterwards."""
    made = World(base)
    try:
        made.start()
        yield made
    finally:
        with contextlib.suppress(Exception):
            made.stop()
        shutil.rmtree(base, ignore_errors=True)
