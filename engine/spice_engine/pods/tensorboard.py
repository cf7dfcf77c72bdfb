"""A TensorBoard over the curves of all pods, started when somebody first asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from spice_engine.errors import ChildFailed, Conflict, NotInstalled
from spice_engine.pods.event_logs import EventLogs
from spice_engine.pods.service import Pods

HOST = "127.0.0.1"
PORTS = range(6006, 6017)
"""Those of the original, tried in turn."""
START_SECONDS = 60.0
"""It loads for seconds, and longer on a busy machine."""
_LOOK_SECONDS = 0.05
_TAIL_BYTES = 500


class TensorBoards:
    """The one TensorBoard of an app folder; it listens on the loopback and ends with the engine."""

    def __init__(
        self, pods: Pods, logs: EventLogs, log: Path, find: Callable[[], list[str] | None]
    ) -> None:
        """`find` gives the command that starts a TensorBoard; `log` is where its output goes."""
        self._pods = pods
        self._logs = logs
        self._log = log
        self._find = find
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._starting = asyncio.Lock()

    async def address(self, pod: str, number: int | None) -> str:
        """The address where the curves of a pod are shown, with one training's or all of them.

        Raises:
            NotFound: there is no such pod or training.
            Conflict: nothing was written for TensorBoard, or it is not installed.
            ChildFailed: it does not start.
        """
        name = self._pods.get(pod).name
        if number is not None:
            await self._pods.trainings.get(name, number)
        if not await asyncio.to_thread(self._is_logged, name, number):
            which = f"training {number} of {name}" if number is not None else name
            raise Conflict(
                f"{which} has written nothing for TensorBoard.",
                hint="Put `loggers: [tensorboard]` under training in its manifest, or train with "
                "`spice-tui train --loggers tensorboard`.",
            )
        async with self._starting:
            if self._process is None or self._process.poll() is not None:
                await self._start()
        runs = f"^{name}/" if number is None else f"^{name}/{number}$"
        return f"http://{HOST}:{self._port}/?runFilter={quote(runs, safe='')}#timeseries"

    async def close(self) -> None:
        """End it, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_end, process)

    def _is_logged(self, pod: str, number: int | None) -> bool:
        if number is not None:
            return self._logs.has(pod, number)
        folder = self._logs.root / pod
        return folder.is_dir() and any(folder.iterdir())

    async def _start(self) -> None:
        command = await asyncio.to_thread(self._find)
        if command is None:
            raise NotInstalled(
                "TensorBoard is not installed.",
                hint=f"Run `pip install tensorboard`; the curves are in {self._logs.root}, where "
                "any TensorBoard can read them.",
            )
        self._port = await asyncio.to_thread(_free_port)
        options = ["--logdir", str(self._logs.root), "--host", HOST, "--port", str(self._port)]
        start = asyncio.create_task(
            asyncio.to_thread(_popen, [*command, *options, "--load_fast=false"], self._log)
        )
        try:
            process = await asyncio.shield(start)
        except asyncio.CancelledError:
            process = await start  # nobody would remember it
            await asyncio.to_thread(_end, process)
            raise
        except OSError as error:
            raise ChildFailed(f"TensorBoard cannot be started: {error}") from error
        try:
            await self._until_it_listens(process)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(_end, process))
            raise
        self._process = process

    async def _until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                _, writer = await asyncio.open_connection(HOST, self._port)
            except OSError:
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                writer.close()
                return
        words = await asyncio.to_thread(_last_words, self._log)
        raise ChildFailed("TensorBoard does not start.", hint=f"Its last words: {words}")


def installed() -> list[str] | None:
    """The command that starts TensorBoard: of the engine's own Python, or of the PATH. Blocks."""
    if importlib.util.find_spec("tensorboard") is not None:
        return [sys.executable, "-I", "-m", "tensorboard.main"]
    found = shutil.which("tensorboard")
    return None if found is None else [found]


def _free_port() -> int:
    for port in PORTS:
        with contextlib.suppress(OSError), socket.socket() as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((HOST, port))
            return port
    raise Conflict(
        f"All ports from {PORTS[0]} to {PORTS[-1]} are in use.",
        hint="End a TensorBoard that nobody needs.",
    )


def _popen(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-m", "spice_engine.workers.tied", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close what ties it to the engine, and wait for its end."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def _last_words(log: Path) -> str:
    try:
        return log.read_text("utf-8", "replace")[-_TAIL_BYTES:].strip() or "none."
    except OSError:
        return "none."
