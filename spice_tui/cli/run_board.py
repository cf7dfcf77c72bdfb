"""A TensorBoard over the event files of runs, which lives as long as its command."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from spice_engine.errors import ChildFailed, Conflict, NotInstalled
from spice_tui.client import Client

HOST = "127.0.0.1"
PORTS = range(6006, 6106)
PREFIX = "/tensorboard"
START_SECONDS = 90.0
LOOK_SECONDS = 5.0
"""How often TensorBoard itself looks for what is new."""


class RunBoard:
    """Links the folders of runs into one, for a run's files move when it is over."""

    def __init__(self, client: Client, runs: Sequence[int]) -> None:
        self._client = client
        self._left = list(dict.fromkeys(runs))
        self._process: subprocess.Popen[bytes] | None = None
        self._links = Path()

    @contextlib.contextmanager
    def shown(self, port: int | None) -> Iterator[str]:
        """Start it; gives the address, and ends it afterwards.

        Raises:
            NotInstalled: there is no TensorBoard.
            Conflict: none of the runs has event files, nor will have, or the port is in use.
            ChildFailed: it does not start.
        """
        command = _installed()
        with tempfile.TemporaryDirectory(prefix="spice-tensorboard-") as place:
            self._links = Path(place, "runs")
            self._links.mkdir()
            self.link()
            if not self._left and not any(self._links.iterdir()):
                raise Conflict(
                    "the runs have written no event files.",
                    hint="A SummaryWriter of PyTorch, TensorFlow or tensorboardX writes them.",
                )
            port = _free_port(port)
            words = ["--logdir", str(self._links), "--host", HOST, "--port", str(port)]
            log = Path(place, "log")
            with log.open("wb") as said:
                # It ends with this command, however that ends.
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-I", "-m", "spice_engine.workers.tied", *command),
                        *(*words, "--path_prefix", PREFIX, "--load_fast=false"),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
            try:
                _until_it_listens(self._process, port, log)
                yield f"http://{HOST}:{port}{PREFIX}/"
            finally:
                if self._process.stdin is not None:
                    self._process.stdin.close()
                self._process.wait()

    def wait(self) -> None:
        """Keep the links up until Control-C.

        Raises:
            ChildFailed: TensorBoard ended by itself.
        """
        with contextlib.suppress(KeyboardInterrupt):
            while self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = self._process.wait(LOOK_SECONDS if self._left else None)
                    raise ChildFailed(f"TensorBoard ended with code {code}.")
                self.link()

    def link(self) -> None:
        """Link what has come, and no longer look after runs that are over."""
        for run in list(self._left):
            found = self._client.call("runs.event_folder", {"id": run})
            if found["folder"]:
                link = self._links / f"run-{run}"
                part = self._links.with_name("part")
                if not link.is_symlink() or str(link.readlink()) != found["folder"]:
                    part.symlink_to(found["folder"], target_is_directory=True)
                    part.rename(link)
            if found["over"]:
                self._left.remove(run)


def _installed() -> list[str]:
    if importlib.util.find_spec("tensorboard") is not None:
        return [sys.executable, "-I", "-m", "tensorboard.main"]
    found = shutil.which("tensorboard")
    if found is None:
        raise NotInstalled(
            "TensorBoard is not installed.",
            hint="Run `pip install tensorboard`. The same curves are in `spice-tui metrics RUN`.",
        )
    return [found]


def _free_port(wanted: int | None) -> int:
    for port in PORTS if wanted is None else (wanted,):
        with contextlib.suppress(OSError), socket.socket() as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((HOST, port))
            return port
    if wanted is not None:
        raise Conflict(f"port {wanted} is in use.", hint="Take another one, or leave --port out.")
    raise Conflict(f"all ports from {PORTS[0]} to {PORTS[-1]} are in use.")


def _until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    words = log.read_text("utf-8", "replace").strip()[-500:]
    raise ChildFailed("TensorBoard does not start.", hint=f"Its last words: {words or 'none.'}")
