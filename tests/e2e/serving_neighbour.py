"""A server that others go wrong beside: it is asked all the time, and nothing of theirs is left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.conftest import EngineFixture, wait_for
from tests.integration.server_world import Clients, ServerWorld

PROGRAM = [sys.executable, "-m", "spice_tui.cli.main"]
STEADY = "steady"
PREDICTOR = "from spice_runtime import BasePredictor\n\nclass P(BasePredictor):\n"


class Place(ServerWorld):
    """An app folder with a server that works; commands are run in it as a user's shell does."""

    def cli(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors of one command."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def stand_up(self, name: str, text: str, *flags: str) -> tuple[int, str, str]:
        """`server serve` of this predictor, in the Python of the tests."""
        file = self.write(f"{name.replace('-', '_')}.py", text)
        return self.cli("server", "serve", "--name", name, "--python", sys.executable, *flags, file)

    def processes(self, name: str = "") -> list[psutil.Process]:
        """The processes of a server's replicas, or of all servers'."""
        mark = f"{self.folder}/.spice/servers/{name}"
        return [one for one in psutil.process_iter() if mark in words_of(one)]

    def sockets(self) -> set[Path]:
        """The sockets of all replicas."""
        return set((self.folder / ".spice" / "servers").glob("*/replicas/*/*.sock"))


def words_of(process: psutil.Process) -> str:
    """Its command line; empty once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def begin(engine: EngineFixture) -> Place:
    """The place, with its neighbour running."""
    place = Place(engine)
    assert place.serve(STEADY)["state"] == "running"
    return place


@contextmanager
def unharmed(place: Place) -> Iterator[Place]:
    """What happens inside harms nobody: the neighbour answers every request, from the same
    replica; the engine is the same and met no surprise; what was stood up is removed whole."""
    engine = place.engine
    pid, known = engine.pid, len(engine.location.log.read_text())
    replica = place.info(STEADY)["replicas"][0]["number"]
    with Clients(place, STEADY, 1) as clients:
        yield place
        clients.wait_more(5)
    assert clients.failures == []
    assert engine.pid == pid
    for server in place.call("servers.list")["servers"]:
        if server["name"] != STEADY:
            place.remove(server["name"])
    assert [one["number"] for one in place.info(STEADY)["replicas"]] == [replica]
    own = f"/servers/{STEADY}/"
    wait_for(
        lambda: all(own in (words_of(one) or own) for one in place.processes()),
        "processes of removed servers to be gone",
    )
    assert all(own in str(one) for one in place.sockets())
    assert [one.name for one in (place.folder / ".spice" / "servers").iterdir()] == [STEADY]
    log = engine.location.log.read_text()[known:]
    assert "Traceback" not in log, log
