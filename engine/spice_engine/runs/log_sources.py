"""Which logs an app folder has, by name, and where they lie: runs', servers', the engine's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.location import Location
from spice_engine.runs.logs import LOG_NAME
from spice_engine.runs.rank_jobs import log_of
from spice_engine.workers.pool import ChildPool
from spice_runtime import replica_ahead
from spice_runtime.process import EXIT

ENGINE = "engine"
REQUESTS = "requests.log"
"""In a server's folder: a line for each request, where that is kept."""
_MOST_REPLICAS = 30
_SERVER = re.compile(r"([A-Za-z0-9-]{1,63})/([0-9]{1,9}|requests)", re.ASCII)
_RUN = re.compile(r"([0-9]{1,18})(?:/([0-9]{1,4}))?", re.ASCII)
"""A run, or one of its ranks."""
_CHILD = re.compile(r"[a-z]+(?:-[a-z]+)*-[0-9]{1,6}", re.ASCII)


class LogFiles:
    """The files of all logs. `folder` gives a run's folder. Methods look at the disk."""

    def __init__(
        self, location: Location, folder: Callable[[int], Path], pools: Mapping[str, ChildPool]
    ) -> None:
        self._location = location
        self._folder = folder
        self._pools = pools

    def path(self, source: str) -> Path:
        """Where the log lies; it may not be begun.

        Raises:
            NotFound: there is no such log.
            InvalidRequest: no log can have this name.
        """
        if source == ENGINE:
            return self._location.log
        kind, _, name = source.partition("/")
        if kind == "run" and (found := _RUN.fullmatch(name)):
            folder = self._folder(int(found[1]))
            place = folder if found[2] is None else log_of(folder, int(found[2])).parent
            if place.is_dir():
                return place / LOG_NAME
        elif kind == "child" and _CHILD.fullmatch(name):
            path = self._children / f"{name}.log"
            if path.is_file():
                return path
        elif kind == "server" and (found := _SERVER.fullmatch(name)):
            folder = self._servers / found[1]
            if found[2] == "requests":
                if folder.is_dir():
                    return folder / REQUESTS
            elif (folder / "replicas" / found[2]).is_dir():
                return folder / "replicas" / found[2] / LOG_NAME
        else:
            raise InvalidRequest(
                f"{source[:80]!r} is no name of a log.",
                hint="Logs are `engine`, `run/12`, `run/12/RANK`, `server/NAME/3`, "
                "`server/NAME/requests`, `child/trainer-0`; logs.sources lists them.",
            )
        raise NotFound(f"there is no log {source!r}.", hint="logs.sources lists the logs.")

    def children(self) -> list[tuple[str, int, bool]]:
        """The name, size and whether it lives, of each child that has a log."""
        living = {path for pool in self._pools.values() for path in pool.logs}
        found: list[tuple[str, int, bool]] = []
        for path in sorted(self._children.glob("*.log")):
            if _CHILD.fullmatch(path.stem):
                found.append((path.stem, size_of(path), path in living))
        return found

    def servers(self) -> list[tuple[str, str, int, bool]]:
        """Name, title, size and whether it may grow, of the logs of servers' newest replicas."""
        found: list[tuple[str, str, int, bool]] = []
        for folder in sorted(self._servers.glob("*")):
            replicas = [
                one
                for one in folder.glob("replicas/*")
                if one.name.isdecimal() and not replica_ahead.waits(one)
            ]
            replicas.sort(key=lambda one: int(one.name), reverse=True)
            for one in replicas[:_MOST_REPLICAS]:
                live = not (one / EXIT).exists()
                title = f"{folder.name}, replica {one.name}"
                found.append((f"{folder.name}/{one.name}", title, size_of(one / LOG_NAME), live))
            requests = folder / REQUESTS
            if requests.is_file():
                title = f"{folder.name}, requests"
                found.append((f"{folder.name}/requests", title, size_of(requests), True))
        return found

    @property
    def _servers(self) -> Path:
        return self._location.state / "servers"

    @property
    def _children(self) -> Path:
        return self._location.state / "trainers"


def size_of(path: Path) -> int:
    """The size of a log; 0 while it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
