"""Where a tape plays: a folder, and what the screen attaches to."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from spice_engine.errors import EngineUnavailable, NotFound, SpiceError
from spice_engine.protocol.location import Location, locate
from spice_engine.records import record
from spice_tui.async_client import AsyncClient
from spice_tui.client import Client, try_connect
from spice_tui.launch import start_engine
from spice_tui.recording import read_recording
from spice_tui.replay import connect_replay
from spice_tui.tape.commands import Engine, InvalidTape

FLAGS = ["--http-port", "0"]
PREFIX = "spice-tape-"
ADD_SECONDS = 60.0
STOP_SECONDS = 20.0


@record
class Stage:
    """`name` is what the folder is called on the screen; `home` its own user's files."""

    name: str
    location: Location
    connect: Callable[[], Awaitable[AsyncClient]]
    replayed: bool = False
    temporary: bool = True

    def start_engine(self) -> None:
        """Start an engine on the folder.

        Raises:
            SpiceError: it does not start.
        """
        start_engine(self.location, FLAGS)


@contextlib.contextmanager
def open_stage(
    engine: Engine, beside: Path, *, live: Location | None = None, keep: bool = False
) -> Iterator[Stage]:
    """A stage while this lasts; paths are relative to `beside`, `live` is the user's folder.

    All but `live` plays in a folder of its own, with files of the user (session, keymap, trust)
    of its own. `keep` leaves that folder on the disk.

    Raises:
        SpiceError: it cannot be prepared.
    """
    if engine.kind == "live":
        if live is None:
            raise InvalidTape(
                "the tape plays in a folder that is there.", hint="Name it with -C DIR."
            )
        yield Stage(live.root.name, live, lambda: AsyncClient.connect(live), temporary=False)
        return
    base = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    try:
        yield from _temporary(engine, beside, base)
    finally:
        if not keep:
            shutil.rmtree(base, ignore_errors=True)


def _temporary(engine: Engine, beside: Path, base: Path) -> Iterator[Stage]:
    for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        os.environ[variable] = str(base / "home" / variable.lower())
    name = Path(engine.argument).stem or "app"
    root = base / name
    if engine.kind == "fixture":
        _copy(beside / engine.argument, root)
    else:
        root.mkdir()
    location = locate(root)
    if engine.kind == "recording":
        recording = read_recording(beside / engine.argument)
        yield Stage(name, location, lambda: connect_replay(recording, speed=0), replayed=True)
        return
    stage = Stage(name, location, lambda: AsyncClient.connect(location))
    try:
        if engine.kind != "none":
            stage.start_engine()
        if engine.kind == "sample":
            with Client(location, timeout=ADD_SECONDS) as client:
                client.call("packages.add", {"reference": f"samples/{name}", "force": False})
        yield stage
    finally:
        stop_engine(location)


def _copy(source: Path, root: Path) -> None:
    if not source.is_dir():
        raise NotFound(f"there is no folder {source}.")
    try:
        shutil.copytree(source, root, ignore=shutil.ignore_patterns(".spice"))
    except (OSError, shutil.Error) as error:
        raise InvalidTape(f"{source} cannot be copied: {error}.") from error


def stop_engine(location: Location) -> None:
    """Stop the folder's engine with all its runs, if there is one, and wait until it is gone."""
    client = try_connect(location)
    if client is None:
        return
    with client, contextlib.suppress(SpiceError):
        client.call("engine.stop", {"runs": "stop"})
    deadline = time.monotonic() + STOP_SECONDS
    while (client := try_connect(location)) is not None:
        client.close()
        if time.monotonic() > deadline:
            raise EngineUnavailable(f"the engine of {location.root} does not stop.")
        time.sleep(0.05)
