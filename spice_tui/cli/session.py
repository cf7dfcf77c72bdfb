"""The app folder a command works on, and the way to its engine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spice_engine.errors import EngineUnavailable, NotFound
from spice_engine.protocol.location import Location, is_locked, locate
from spice_tui.cli.inside import outer_folder
from spice_tui.client import Client

if TYPE_CHECKING:
    import typer

C = TypeVar("C", bound=Client)

FILES = ("spice.config.yaml", "spice.config.yml")


def is_app_folder(folder: Path) -> bool:
    """Whether something of ours is in it.

    A bare `.spice` does not count: the original product kept one in the home directory.
    """
    return (
        (folder / "spicepods").is_dir()
        or any((folder / name).is_file() for name in FILES)
        or (folder / ".spice" / "engine.lock").is_file()
    )


def expand(text: str) -> Path:
    """A path as a person types it, its `~` replaced; that of an unknown user stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def find_folder(start: Path) -> Path:
    """The nearest app folder at or above `start`, else `start`."""
    return next((folder for folder in (start, *start.parents) if is_app_folder(folder)), start)


def await_engine(location: Location, kind: type[C], *, seconds: float = 15.0) -> C:
    """Connect to an engine that is just coming up or being replaced.

    Raises:
        EngineUnavailable: it did not answer in that time, or is gone.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return kind(location)
        except EngineUnavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


class Session:
    """One command's folder and connections."""

    def __init__(self, folder: str = "") -> None:
        self._folder = folder
        self._location: Location | None = None

    @property
    def location(self) -> Location:
        """Where the folder's state and doors are.

        Raises:
            NotFound: the folder that was named does not exist.
        """
        if self._location is None:
            named = expand(self._folder) if self._folder else None
            if named is not None and not named.is_dir():
                raise NotFound(f"there is no folder {self._folder!r}.", hint="Make it first.")
            found = named or outer_folder() or find_folder(Path.cwd())
            self._location = locate(found.absolute())
        return self._location

    @property
    def known(self) -> bool:
        """Whether the folder is an app folder already."""
        location = self.location
        return is_app_folder(location.root) or location.lock.is_file()

    def connect(self, kind: type[C] = Client, *, make: bool = False) -> C:
        """A connection to the folder's engine, which is started when none runs.

        With `make`, any directory becomes an app folder; without, only one that is.

        Raises:
            EngineUnavailable: not an app folder, or the engine cannot be reached.
        """
        location = self.location
        try:
            return kind(location)
        except EngineUnavailable:
            if is_locked(location):
                return await_engine(location, kind)
        if not make and not self.known:
            raise EngineUnavailable(
                f"{location.root} is not an app folder, and no engine runs on it.",
                hint="Begin one here: spice-tui add samples/serverops; or name one with -C.",
            )
        try:
            self.start()
        except EngineUnavailable:
            if not is_locked(location):
                raise
            return await_engine(location, kind)  # somebody else started it at the same moment
        return kind(location)

    def attach(self, kind: type[C] = Client, *, timeout: float = 60.0) -> C:
        """A connection to an engine that runs; none is started.

        Raises:
            EngineUnavailable: there is none.
        """
        return kind(self.location, timeout=timeout)

    def start(self, flags: list[str] | None = None) -> dict[str, Any]:
        """Start the folder's engine in the background; gives `pid` and `http`."""
        from spice_tui.cli import output
        from spice_tui.launch import start_engine

        answer = start_engine(self.location, flags)
        output.note(f"Engine started (process {answer.get('pid')}, {answer.get('http')}).")
        return answer


def session_of(ctx: typer.Context) -> Session:
    """The session the root command made."""
    found = ctx.find_object(Session)
    return found if found is not None else Session()
