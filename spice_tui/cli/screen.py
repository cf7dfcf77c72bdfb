"""Open the full-screen app on a folder's engine, on another's, or on a recording."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from spice_engine.errors import EngineUnavailable, InvalidRequest, NotFound, SpiceError
from spice_engine.protocol.location import Location, folder_key, is_locked, locate
from spice_engine.records import record
from spice_tui.cli.session import Session, expand
from spice_tui.launch import Starting, begin_engine
from spice_tui.terminal.abilities import Abilities, detect, require
from spice_tui.theme import symbols

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.async_client import AsyncClient
    from spice_tui.models.app_settings import AppSettings


@record
class ScreenOptions:
    """What the command line says about the screen."""

    attach: str = ""
    record: str = ""
    replay: str = ""
    speed: float = 1.0
    theme: str = ""
    view: str = ""
    ascii: bool = False
    mouse: bool = True


@record
class Socket:
    """An engine reached by its socket alone, as one behind `ssh -L`."""

    socket: Path
    root: Path


def open_screen(session: Session, options: ScreenOptions) -> int:
    """Run the app until a person leaves; gives the exit code.

    Raises:
        SpiceError: the terminal cannot hold it, or there is nothing to attach to.
    """
    able = require(detect())
    # What start-up makes stays: looking through it for garbage is a tenth of the first paint. The
    # app turns collection on again.
    gc.disable()
    if options.ascii or able.ascii:
        symbols.use(symbols.ASCII)
    if options.replay:
        return _run(_replayed(options, able), options)
    target = _target(session, options)
    # The engine starts while the app's modules are imported.
    starting = _begin_to_start(target) if isinstance(target, Location) else None

    from spice_tui.app import SpiceApp
    from spice_tui.async_client import AsyncClient
    from spice_tui.models.stream_ring import StreamRing
    from spice_tui.recording import Recorder

    recorder = Recorder(expand(options.record)) if options.record else None
    ring = StreamRing()
    observers = [ring, recorder] if recorder is not None else [ring]

    def observe(direction: str, message: object) -> None:
        for observer in observers:
            observer(direction, message)

    async def connect() -> AsyncClient:
        if starting is not None and not starting.done():
            await asyncio.wait([asyncio.wrap_future(starting)])
        try:
            return await AsyncClient.connect(target, observer=observe)
        except EngineUnavailable:
            # Why it did not start says more than that it does not answer.
            if starting is not None and (failure := starting.exception()) is not None:
                raise failure from None
            raise

    starter = (
        (lambda: _await_engine(begin_engine(target))) if isinstance(target, Location) else None
    )
    app = SpiceApp(_settings(target, options, able), connect, able, start_engine=starter, ring=ring)
    try:
        return _run(app, options)
    finally:
        if recorder is not None:
            recorder.close()


def _run(app: SpiceApp, options: ScreenOptions) -> int:
    from spice_tui.terminal.lifecycle import run_app
    from spice_tui.theme.scroll_bars import use_ascii_bars

    if symbols.symbols() is symbols.ASCII:
        use_ascii_bars()
    return run_app(app, mouse=options.mouse)


def _target(session: Session, options: ScreenOptions) -> Location | Socket:
    """The folder whose engine is meant, or a socket.

    Raises:
        NotFound: there is nothing at the path given.
        InvalidRequest: the folder is the home directory or the root, and no app folder yet.
    """
    if not options.attach:
        location = session.location
        if not session.known and location.root in (Path.home(), Path("/")):
            raise InvalidRequest(
                f"{location.root} is no place for an app folder.",
                hint="Make a folder and begin there: mkdir my-app; cd my-app; spice-tui.",
            )
        return location
    path = expand(options.attach).absolute()
    if path.is_socket():
        return Socket(path, path.parent)
    if path.is_dir():
        return locate(path)
    raise NotFound(
        f"{options.attach} is neither a folder nor a socket.",
        hint="Forward one: ssh -L /tmp/far.sock:/srv/app/.spice/engine.sock HOST.",
    )


def _begin_to_start(location: Location) -> Future[None] | None:
    """Start the folder's engine, unless one runs; a thread waits until it is up."""
    if is_locked(location):
        return None
    started: Future[None] = Future()
    # Begun here: a thread would get its turn only when the app's modules are imported.
    starting = begin_engine(location)

    def work() -> None:
        try:
            _await_engine(starting)
        except SpiceError as error:
            started.set_exception(error)
        else:
            started.set_result(None)

    threading.Thread(target=work, name="engine-start", daemon=True).start()
    return started


def _await_engine(starting: Starting) -> None:
    """Wait for the engine; one that somebody else starts at the same moment is as good.

    Raises:
        SpiceError: what stopped it from starting.
    """
    try:
        starting.wait()
    except EngineUnavailable:
        if not is_locked(starting.location):
            raise


def _settings(target: Location | Socket, options: ScreenOptions, able: Abilities) -> AppSettings:
    from spice_tui.models.app_settings import AppSettings
    from spice_tui.models.coalesce import LOCAL_SECONDS, SSH_SECONDS

    here = isinstance(target, Location)
    return AppSettings(
        folder=target.root.name or "/" if here else target.socket.stem,
        key=target.key if here else folder_key(target.socket),
        root=target.root if here else None,
        tick=SSH_SECONDS if able.ssh else LOCAL_SECONDS,
        theme=options.theme,
        view=options.view,
        mouse=options.mouse,
        ansi=able.colours in ("none", "16"),
    )


def _replayed(options: ScreenOptions, able: Abilities) -> SpiceApp:
    """An app on a recording.

    Raises:
        SpiceError: it is not there, or is no recording.
    """
    from spice_tui.app import SpiceApp
    from spice_tui.models.app_settings import AppSettings
    from spice_tui.recording import read_recording
    from spice_tui.replay import connect_replay

    path = expand(options.replay)
    if options.speed < 0:
        raise InvalidRequest("--speed must not be negative.")
    recording = read_recording(path)

    async def connect() -> AsyncClient:
        return await connect_replay(recording, speed=options.speed)

    settings = AppSettings(
        folder=path.stem,
        key=folder_key(path),
        remember=False,
        theme=options.theme,
        view=options.view,
        mouse=options.mouse,
        replayed=True,
        ansi=able.colours in ("none", "16"),
    )
    return SpiceApp(settings, connect, able)
