"""Python environments by content: made once with uv, used by every server and run that asks.

An environment lies in `environments/<key>/<attempt>/venv` of the state folder, where it was made:
scripts in it name their interpreter by its path, so it cannot be moved. It counts once the file
`ready` is beside the attempts, which names the one that succeeded and is written whole. The work
is a job with a shim: it outlives the engine, and the next one waits for it instead of beginning
anew. The key is a hash of all that decides what comes out; what uv picks is kept as a lock.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from spice_engine.errors import Conflict
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import environment_script as scripts
from spice_engine.runs.environment_folder import (
    READY,
    UNUSED_SECONDS,
    Environment,
    attempts,
    has_python,
    prune,
    read_ready,
    tail,
    write_ready,
)
from spice_engine.runs.environment_interpreter import inspect
from spice_engine.runs.environment_script import EnvironmentFailed
from spice_engine.runs.environment_wishes import check, is_path, lines, stamps
from spice_engine.runs.pip_configuration import uv_variables
from spice_engine.store.disk import storage_error
from spice_engine.workers.jobs import Job
from spice_engine.workers.placement import Placed, Placement, Resources
from spice_engine.workers.shims import Exit, Exited, JobLost
from spice_runtime import process

__all__ = ["BASE", "Environment", "EnvironmentFailed", "Environments"]

log = logging.getLogger(__name__)

BASE = ("starlette", "orjson", "prometheus-client")
"""What every server's environment has beside what its user asks for."""

_OPTIONAL = frozenset({"orjson"})
"""Of the base: left out where it cannot be had."""

BUILD_SECONDS = 3600.0
_AT_ONCE = 4
_LOG_BYTES = 16 * 2**20
_TAIL_BYTES = 16 * 1024
_FORMAT = 1
_ELSEWHERE = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", process.SOFT_FILES)


class Environments:
    """The environments of one app folder. Not thread-safe: it belongs to the engine's loop."""

    def __init__(self, state: Path, root: Path, placement: Placement) -> None:
        """`state` is the engine's state folder, `root` the app folder, in which setup commands
        run and relative paths of packages begin."""
        self._folder = state / "environments"
        self._root = root
        self._placement = placement
        self._builds: dict[str, asyncio.Task[Environment]] = {}
        self._running: dict[str, Placed] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    @property
    def building(self) -> tuple[str, ...]:
        """The keys of those being made now."""
        return tuple(self._builds)

    def key(self, dependencies: Dependencies, base: Collection[str] = BASE) -> str:
        """The environment's key: 16 hexadecimal digits. Those of a given interpreter do not
        depend on what is in it.

        Raises:
            InvalidRequest: what is asked for cannot be had; the message says why.
        """
        check(dependencies)
        if is_path(dependencies.python):
            named: object = str(self._interpreter(dependencies))
        else:
            named = dependencies.python or [*sys.version_info[:3], sys.base_prefix]
        content = [
            _FORMAT,
            sys.implementation.name if not dependencies.python else "",
            named,
            _platform(),
            sorted(dependencies.pip),
            lines(dependencies.requirements),
            stamps(self._root, [*dependencies.pip, *lines(dependencies.requirements)]),
            list(dependencies.setup),
            sorted(base),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    async def ensure(self, dependencies: Dependencies, base: Collection[str] = BASE) -> Environment:
        """The environment that has these packages, made if there is none.

        Requests for the same one share the work; it goes on where one of them is cancelled. An
        interpreter that is given by its path is used as it is: nothing is installed into it.

        Raises:
            InvalidRequest: what is asked for cannot be had.
            EnvironmentFailed: uv or a setup command failed; the message says at what.
            StorageError: the disk is full or broken.
        """
        key = self.key(dependencies, base)
        if is_path(dependencies.python):
            found = await inspect(self._uv(), self._interpreter(dependencies))
            return Environment(key, found.python, found.packages)
        if key in self._builds:
            return await asyncio.shield(self._builds[key])
        ready = await asyncio.to_thread(read_ready, self._folder / key)
        if ready is not None:
            return ready
        if key not in self._builds:
            work = self._make(key, dependencies, tuple(base))
            task = self._builds[key] = asyncio.create_task(work, name=f"environment {key}")
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(self._builds[key])

    async def prune(
        self, in_use: Collection[str] = (), *, unused_seconds: float = UNUSED_SECONDS
    ) -> int:
        """Remove the environments nobody asked for in that time; gives how many went.

        `in_use` are the keys of those that somebody runs on.
        """
        kept = {*in_use, *self._builds}
        return await asyncio.to_thread(prune, self._folder, kept, unused_seconds)

    async def keep(self, keys: Collection[str]) -> None:
        """Count these as used now: somebody runs on them."""

        def touch() -> None:
            for key in keys:
                with suppress(OSError):
                    os.utime(self._folder / key / READY)

        await asyncio.to_thread(touch)

    async def close(self, *, leave: bool = False) -> None:
        """Wait for nothing more. With `leave` the next engine takes the work up."""
        if not leave:
            for placed in list(self._running.values()):
                with suppress(Conflict):
                    await self._placement.kill(placed)
        for task in list(self._builds.values()):
            task.cancel()
        await asyncio.gather(*self._builds.values(), return_exceptions=True)

    # -- making one

    def _ended(self, key: str, task: asyncio.Task[Environment]) -> None:
        self._builds.pop(key, None)
        # Those who waited may all have gone; then nobody else asks how it ended.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("environment %s: %s", key, error)

    async def _make(
        self, key: str, dependencies: Dependencies, base: tuple[str, ...]
    ) -> Environment:
        folder = self._folder / key
        async with self._room:
            begin = time.perf_counter()
            taken_up = await self._take_up(folder)
            attempt, ended = taken_up or await self._attempt(folder, dependencies, base)
            less = await asyncio.to_thread(_less, base, attempt) if _cannot_install(ended) else ()
            if less:
                attempt, ended = await self._attempt(folder, dependencies, less)
            if ended.exit_code or ended.reason != "exited":
                raise await asyncio.to_thread(_failure, attempt, ended, dependencies)
            await asyncio.to_thread(write_ready, folder, attempt)
            ready = await asyncio.to_thread(read_ready, folder)
        if ready is None:
            raise EnvironmentFailed(
                f"the environment was made in {attempt}, but there is no Python in it.",
                hint="Remove that folder, and try again.",
            )
        log.info("environment %s made in %.2f s", key, time.perf_counter() - begin)
        return ready

    async def _take_up(self, folder: Path) -> tuple[Path, Exit] | None:
        """The attempt that an earlier engine left, if it goes on or went well."""
        for attempt in await asyncio.to_thread(attempts, folder):
            found = await self._placement.find(attempt)
            if isinstance(found, Placed):
                return attempt, await self._wait(folder.name, found)
            if isinstance(found, Exited) and not found.exit.exit_code and has_python(attempt):
                return attempt, found.exit
            await asyncio.to_thread(shutil.rmtree, attempt, ignore_errors=True)
        return None

    async def _attempt(
        self, folder: Path, dependencies: Dependencies, base: tuple[str, ...]
    ) -> tuple[Path, Exit]:
        job, attempt = await asyncio.to_thread(self._prepare, folder, dependencies, base)
        # No room is counted for it: it is short, and steps back for what serves.
        reservation = self._placement.reserve([Resources(slots=0)])
        try:
            placed = await self._placement.start(reservation, 0, attempt, job)
            return attempt, await self._wait(folder.name, placed)
        finally:
            self._placement.release(reservation)

    async def _wait(self, key: str, placed: Placed) -> Exit:
        self._running[key] = placed
        try:
            return await self._placement.wait(placed)
        except JobLost as lost:
            raise EnvironmentFailed(
                f"the work on the environment was lost: {lost.message}.", hint="Try again."
            ) from lost
        finally:
            self._running.pop(key, None)

    def _prepare(
        self, folder: Path, dependencies: Dependencies, base: tuple[str, ...]
    ) -> tuple[Job, Path]:
        """The job of one attempt, and its folder. Blocks."""
        attempt = folder / f"{time.time_ns() // 1_000_000:x}"
        wanted = [*dependencies.pip, *lines(dependencies.requirements), *base]
        text = scripts.script(
            self._uv(),
            dependencies.python or sys.executable,
            self._root,
            attempt,
            packages=bool(wanted),
            exact=scripts.all_exact([*dependencies.pip, *lines(dependencies.requirements)]),
            setup=list(dependencies.setup),
        )
        try:
            attempt.mkdir(parents=True)
            (attempt / scripts.REQUIREMENTS).write_text("\n".join([*wanted, ""]), encoding="utf-8")
            (attempt / "make.sh").write_text(text, encoding="utf-8")
        except OSError as error:
            raise storage_error(error, "make an environment", attempt) from error
        return (
            Job(
                argv=("/bin/sh", str(attempt / "make.sh")),
                env=_variables(os.environ),
                timeout_s=BUILD_SECONDS,
                log_max_bytes=_LOG_BYTES,
                grace_s=2.0,
                nice=5,
            ),
            attempt,
        )

    def _uv(self) -> str:
        from uv import find_uv_bin

        try:
            return find_uv_bin()
        except FileNotFoundError:
            raise EnvironmentFailed(
                "uv, which makes environments, is not installed.",
                hint="Install it beside spice-tui: pip install uv.",
            ) from None

    def _interpreter(self, dependencies: Dependencies) -> Path:
        # Not resolved: a virtual environment's python is a link, and another place without it.
        return self._root / Path(dependencies.python).expanduser()


@functools.cache
def _platform() -> list[str]:
    return [sys.platform, platform.machine(), *platform.libc_ver()]


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of the job: ours, without what names another environment. Blocks."""
    kept = {name: value for name, value in environment.items() if name not in _ELSEWHERE}
    kept |= uv_variables(kept)
    if not kept.get("UV_CONFIG_FILE"):
        # The user's configuration counts, that of a project around the folder does not: it is
        # about the project's own environment.
        config = Path(kept.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"
        places = [place for place in (config, Path("/etc/uv/uv.toml")) if place.is_file()]
        kept.update({"UV_CONFIG_FILE": str(places[0])} if places else {"UV_NO_CONFIG": "1"})
    return kept | {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


def _cannot_install(ended: Exit) -> bool:
    return ended.reason == "exited" and ended.exit_code == scripts.NOT_INSTALLED


def _less(base: tuple[str, ...], attempt: Path) -> tuple[str, ...]:
    """The base without what is optional, where the log says that it was at fault; else nothing."""
    said = tail(attempt / process.LOG)
    less = tuple(name for name in base if name not in _OPTIONAL or name not in said)
    return less if less != base else ()


def _failure(attempt: Path, ended: Exit, dependencies: Dependencies) -> EnvironmentFailed:
    file = attempt / process.LOG
    if ended.reason != "exited":
        return EnvironmentFailed(
            f"the environment was not made: uv or a setup command was ended ({ended.reason}"
            f"{': ' + ended.message if ended.message else ''}).",
            hint=f"The whole log: {file}.",
        )
    return scripts.failure(ended.exit_code, tail(file), list(dependencies.setup), file)
