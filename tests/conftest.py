"""Fixtures that many tests share: engines as real processes on folders of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before numpy is imported: one thread for its arithmetic, as the engine's children have. Two that
# wait for each other take several times as long when other tests use the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from spice_engine.protocol.location import Location, locate
from spice_tui.client import Client, try_connect
from spice_tui.launch import start_engine
from tests.examples import examples

REPOSITORY = Path(__file__).resolve().parent.parent

# In CI the examples are the same each time: what is landed is what was tested. Elsewhere
# hypothesis looks for new ones.
settings.register_profile("ci", derandomize=True, max_examples=examples(100))
if os.environ.get("CI"):
    settings.load_profile("ci")


def wait_for(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait until `condition()` is true; a failed wait says what it waited for."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"waited {seconds} s for {what}")
        # A look is often a call to an engine: many of them would keep a core busy.
        time.sleep(0.02 if waited < 0.5 else 0.06)


class EngineFixture:
    """One app folder and the engine on it, driven as the command line drives it."""

    def __init__(self, folder: Path) -> None:
        self.location: Location = locate(folder)

    def start(self, *flags: str) -> dict[str, object]:
        """Start an engine in the background; port 0 keeps tests apart."""
        return start_engine(self.location, ["--http-port", "0", *flags])

    def client(self) -> Client:
        """A blocking client."""
        return Client(self.location)

    def call(self, operation: str, **params: object) -> object:
        """One operation on a connection of its own."""
        with self.client() as client:
            return client.call(operation, params)

    @property
    def pid(self) -> int:
        """The engine's process."""
        with self.client() as client:
            return int(client.call("engine.status")["pid"])

    @property
    def http(self) -> str:
        """Base URL of the public door."""
        return self.location.http.read_text().strip()

    def answers(self) -> bool:
        """Whether an engine answers on the private door now."""
        client = try_connect(self.location)
        if client is None:
            return False
        client.close()
        return True

    def kill(self) -> None:
        """`kill -9`, and wait until the process is gone."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not _alive(pid), "the killed engine to be gone")

    def stop(self) -> None:
        """Stop the engine and every run of it, if there is one."""
        client = try_connect(self.location)
        if client is None:
            return
        with client:
            pid = int(client.call("engine.status")["pid"])
            with contextlib.suppress(Exception):
                client.call("engine.stop", {"runs": "stop"})
        wait_for(lambda: self._is_free() or not _alive(pid), "the engine to stop")
        # It holds nothing any more. What is left is the interpreter, which takes its objects
        # apart: a third of a second of work for each of many engines.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not _alive(pid), "the stopped engine to be gone")

    def _is_free(self) -> bool:
        """Whether the engine gave the folder free, the last thing it does."""
        try:
            return self.location.lock.stat().st_size == 0
        except OSError:
            return False


def _alive(pid: int) -> bool:
    """Whether the process runs; a zombie child of this test process is reaped and gone."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineFixture]:
    """An engine on an empty folder: not started yet, stopped at the end."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))
    folder = tmp_path / "app"
    folder.mkdir()
    fixture = EngineFixture(folder)
    yield fixture
    fixture.stop()


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineFixture]:
    """A started engine that the tests of one module share; stopped after the last."""
    base = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(base / "state-home"))
        folder = base / "app"
        folder.mkdir()
        fixture = EngineFixture(folder)
        fixture.start()
        yield fixture
        fixture.stop()


@pytest.fixture(scope="session")
def cases() -> Path:
    """A folder with the originals' data, manifests and answers, named by SPICE_CASES."""
    folder = os.environ.get("SPICE_CASES", "")
    if not folder or not (Path(folder) / "manifests").is_dir():
        pytest.skip("SPICE_CASES names no folder with manifests/, data/ and api_fixtures/")
    return Path(folder)
