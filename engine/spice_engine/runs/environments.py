"""Environments by content: made once, used by every server and run that asks.

A Python environment by uv, a conda environment by rattler, a system by overlays (see `systems`).
The key is a hash of all that decides what comes out; what came out is kept as a lock.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

from spice_engine.protocol.location import runtime_directory
from spice_engine.protocol.servers import Dependencies
from spice_engine.records import record
from spice_engine.runs import conda_activation, conda_file, environment_lock
from spice_engine.runs import environment_folder as folders
from spice_engine.runs import environment_script as scripts
from spice_engine.runs.environment_builds import BUILD_SECONDS, LOG_BYTES, Builds, Recipe
from spice_engine.runs.environment_failure import failure
from spice_engine.runs.environment_folder import UNUSED_SECONDS, Ready, tail
from spice_engine.runs.environment_interpreter import inspect
from spice_engine.runs.environment_record import LOCK, composed
from spice_engine.runs.environment_script import EnvironmentFailed, Plan
from spice_engine.runs.environment_wishes import (
    absolute,
    check,
    has_conda,
    is_path,
    lines,
    stamps,
    stamps_of_commands,
)
from spice_engine.runs.environment_work import (
    Work,
    cache_places,
    check_conda,
    files_of,
    is_python,
    job_variables,
    named_in,
    of_lock,
    pythons,
    refreshed,
)
from spice_engine.runs.system_layers import SystemLayers
from spice_engine.runs.systems import LAYER, System
from spice_engine.workers.jobs import Job
from spice_engine.workers.placement import Placement
from spice_engine.workers.shims import Exit
from spice_runtime import process

__all__ = ["BASE", "Environment", "EnvironmentFailed", "Environments"]

log = logging.getLogger(__name__)

BASE = ("starlette", "orjson", "prometheus-client")
"""What every server's environment has beside what its user asks for."""

CHANNELS = ("conda-forge",)
"""Of conda, where nothing else is set."""

_OPTIONAL = frozenset({"orjson"})
"""Of the base: left out where it cannot be had."""

_FORMAT = 4


@record
class Environment:
    """One environment. `python` may not be there where none was asked for; `packages` are
    `NAME==VERSION` lines, as `pip freeze` writes them. `lock` is the file that holds all versions.
    `cached`: it was there; `seconds` is what it took to make it. `activation` are variables that
    activating it sets beside those that name it."""

    key: str
    python: Path
    packages: str
    system: System | None = None
    conda: bool = False
    lock: Path | None = None
    cached: bool = field(default=True, compare=False)
    seconds: float = 0.0
    activation: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)

    def views(self, beside: Path, state: Path, *more: Path) -> list[dict[str, str]]:
        """What a command in it sees of the system; what it changes there goes to `beside`."""
        return views_of(self.system, beside, state, *more)


def views_of(system: System | None, beside: Path, state: Path, *more: Path) -> list[dict[str, str]]:
    """What a command sees of a system: of this machine, where that is hidden, the state folder,
    sockets, the interpreters that uv installed, and `more`. What it changes goes to `beside`."""
    keep = [*more, state, runtime_directory(), pythons()]
    return [] if system is None else system.views(beside, keep)


class Environments:
    """The environments of one app folder. Not thread-safe: it belongs to the engine's loop."""

    def __init__(
        self,
        state: Path,
        root: Path,
        placement: Placement,
        *,
        channels: Sequence[str] = CHANNELS,
    ) -> None:
        """`state` is the engine's state folder, `root` the app folder, in which setup commands
        run and relative paths of packages begin. `channels` are conda's, where none are named."""
        self.folder = state / "environments"
        self._state = state
        self._root = root
        self._channels = tuple(channels)
        self._builds = Builds(self.folder, placement)
        self.layers = SystemLayers(self._builds, state, root)

    @property
    def building(self) -> tuple[str, ...]:
        """The keys of those being made now."""
        return self._builds.keys

    @property
    def busy(self) -> set[str]:
        """The keys of those being made now, and of those that are held."""
        return self._builds.busy

    def hold(self, *keys: str) -> AbstractContextManager[None]:
        """Meanwhile these stay, though nobody runs on them yet."""
        return self._builds.hold(*keys)

    def key(
        self,
        dependencies: Dependencies,
        base: Collection[str] = BASE,
        itself: Path | None = None,
    ) -> str:
        """The environment's key: 16 hexadecimal digits; of one with a system of its own, only
        until that is made. Those of a given interpreter do not depend on what is in it. `itself` is
        the folder in which a command works that has no copy. Blocks.

        Raises:
            InvalidRequest: what is asked for cannot be had; the message says why.
        """
        check(dependencies)
        wanted = of_lock(dependencies)[0]
        self.layers.check(wanted, itself)
        check_conda(dependencies)
        return self._key(dependencies, base, None)

    def is_there(self, dependencies: Dependencies, base: Collection[str] = BASE) -> bool:
        """Whether it is made already; False where only its system could tell. Blocks."""
        if dependencies.apt or dependencies.image or is_path(dependencies.python):
            return False
        key = self._key(dependencies, base, None)
        return folders.read_ready(self.folder / key) is not None

    def _key(self, dependencies: Dependencies, base: Collection[str], system: System | None) -> str:
        if is_path(dependencies.python):
            named: object = str(self._interpreter(dependencies))
        else:
            named = dependencies.python or [*sys.version_info[:3], sys.base_prefix]
        wanted = [*dependencies.pip, *lines(dependencies.requirements)]
        content: list[object] = [
            _FORMAT,
            sys.implementation.name if not dependencies.python else "",
            named,
            _platform(),
            sorted(dependencies.pip),
            lines(dependencies.requirements),
            stamps(self._root, wanted),
            list(dependencies.setup),
            sorted(base),
        ]
        content += [stamps_of_commands(self._root, dependencies.setup)]
        if has_conda(dependencies):
            content += [sorted(dependencies.conda), dependencies.conda_file, self._of(dependencies)]
        if dependencies.apt or dependencies.image:
            own = [*system.keys, system.image_id] if system is not None else []
            content += [sorted(dependencies.apt), dependencies.image, own]
        if dependencies.lock:
            content += [environment_lock.read(dependencies.lock).text()]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    async def ensure(self, dependencies: Dependencies, base: Collection[str] = BASE) -> Environment:
        """The environment that has these packages, made if there is none.

        Requests for the same one share the work; it goes on where one of them is cancelled. An
        interpreter that is given by its path is used as it is: nothing is installed into it.

        Raises:
            InvalidRequest: what is asked for cannot be had.
            EnvironmentFailed: uv, rattler, apt or a setup command failed; the message says at what.
            StorageError: the disk is full or broken.
        """
        check(dependencies)
        check_conda(dependencies)
        wanted, lock = of_lock(dependencies)
        variables = await asyncio.to_thread(job_variables, os.environ)
        await asyncio.to_thread(self.layers.check, wanted)
        system = await self.layers.ensure(wanted, variables, lock.image_id if lock else "")
        key = await asyncio.to_thread(self._key, dependencies, base, system)
        if is_path(wanted.python):
            found = await inspect(self._uv(), self._interpreter(wanted))
            return Environment(key, found.python, found.packages, system)
        work = Work(wanted, tuple(base), system, lock, variables)
        if work.is_bare:
            return await asyncio.to_thread(_bare, key, work)

        async def recipe() -> Recipe:
            below = () if system is None else system.keys
            before = await self._before(dependencies, work)
            return Recipe(
                lambda attempt: self._write(attempt, work, before),
                lambda attempt, ended: self._failed(attempt, ended, work, before),
                lambda attempt: composed(attempt, wanted, system),
                {**asdict(wanted), "lock": lock is not None},
                below,
            )

        with self.hold(*(() if system is None else system.keys)):
            ready, cached = await self._builds.made(key, work.is_whole, recipe)
        return await asyncio.to_thread(_made, ready, work, cached)

    async def prune(
        self, in_use: Collection[str] = (), *, unused_seconds: float = UNUSED_SECONDS
    ) -> list[str]:
        """Remove the environments nobody asked for in that time; gives the keys of those.

        `in_use` are the keys of those that somebody runs on.
        """
        kept = {*in_use, *self.busy}
        return await asyncio.to_thread(folders.prune, self.folder, kept, unused_seconds)

    async def keep(self, keys: Collection[str]) -> None:
        """Count these as used now: somebody runs on them."""

        def use() -> None:
            for key in folders.needed(folders.all_ready(self.folder), keys) if keys else ():
                folders.use(self.folder / key)

        await asyncio.to_thread(use)

    async def close(self, *, leave: bool = False) -> None:
        """Wait for nothing more. With `leave` the next engine takes the work up."""
        await self._builds.close(leave=leave)

    # -- making one

    async def _before(self, dependencies: Dependencies, work: Work) -> Environment | None:
        """What setup commands stand on: the same without them, so that another command does not
        ask again for what its packages are."""
        if not work.wanted.setup or work.lock is not None or not work.has_packages:
            return None
        return await self.ensure(replace(dependencies, setup=[]), work.base)

    def _write(self, attempt: Path, work: Work, before: Environment | None) -> Job:
        """The job of one attempt. Blocks."""
        wanted, lock = work.wanted, work.lock
        asked = [*work.pip, *lines(wanted.requirements)]
        locked = list(lock.pip) if lock is not None else []
        if before is not None:
            locked, asked = list(environment_lock.lines_of(before.packages)), []
        more = [*asked, *(work.base if before is None else ())]
        plan = Plan(
            self._uv(),
            self._root,
            attempt,
            python=work.python,
            conda=work.conda,
            locked=bool(locked),
            packages=bool(more),
            exact=scripts.all_exact(asked),
            fresh=refreshed(self._root, asked),
            setup=tuple(wanted.setup),
        )
        files = {
            scripts.REQUIREMENTS: more,
            scripts.LOCKED: locked,
            "make.sh": [scripts.script(plan)],
        }
        if work.conda:
            files[scripts.CONDA] = [json.dumps(self._conda(work, before))]
        for name, text in files.items():
            (attempt / name).write_text("\n".join([*text, ""]), encoding="utf-8")
        views: list[dict[str, str]] = []
        variables = work.variables
        if work.system is not None:
            places = cache_places(variables)
            keep = [self._root, self._state, Path(self._uv()).parent, *places.values()]
            for place in places.values():
                place.mkdir(parents=True, exist_ok=True)
            keep += [*files_of(variables), *named_in(self._root, [*work.pip, *asked, *locked])]
            views = work.system.views(attempt / LAYER, keep)
            variables = {**variables, **work.system.environment()}
            variables |= {name: str(path) for name, path in places.items()}
        return Job(
            argv=("/bin/sh", str(attempt / "make.sh")),
            env=variables,
            views=tuple(views),
            timeout_s=BUILD_SECONDS,
            log_max_bytes=LOG_BYTES,
            grace_s=2.0,
            nice=5,
        )

    def _conda(self, work: Work, before: Environment | None) -> dict[str, Any]:
        if work.lock is not None:
            return {"records": list(work.lock.conda)}
        if before is not None and before.lock is not None:
            lock = environment_lock.read(before.lock.read_text(encoding="utf-8"))
            return {"records": list(lock.conda)}
        file = conda_file.read(work.wanted.conda_file)
        specs = [*file.specs, *work.wanted.conda]
        if work.wanted.python:
            specs.append(f"python={work.wanted.python}.*")
        elif work.needs_python and not any(is_python(spec) for spec in specs):
            specs.append("python")
        return {"channels": self._of(work.wanted), "specs": specs}

    def _of(self, dependencies: Dependencies) -> list[str]:
        """The channels of conda's packages."""
        file = conda_file.read(dependencies.conda_file)
        return [*(dependencies.channels or file.channels or self._channels)]

    def _failed(
        self, attempt: Path, ended: Exit, work: Work, before: Environment | None
    ) -> Callable[[Path], Job] | None:
        """Another way to make it. Blocks."""
        file = attempt / process.LOG
        if ended.reason != "exited":
            raise EnvironmentFailed(
                f"the environment was not made: uv or a setup command was ended ({ended.reason}"
                f"{': ' + ended.message if ended.message else ''}).",
                hint=f"The whole log: {file}.",
            )
        said = f"{tail(file)}{ended.log_error}"
        less = tuple(name for name in work.base if name not in _OPTIONAL or name not in said)
        if ended.exit_code == scripts.NOT_INSTALLED and less != work.base:
            without = replace(work, base=less)
            return lambda other: self._write(other, without, before)
        raise failure(ended.exit_code, said, work.wanted.setup, file)

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
        return absolute(self._root, dependencies.python)


def _bare(key: str, work: Work) -> Environment:
    return Environment(key, Path(), "", work.system)


def _made(ready: Ready, work: Work, cached: bool) -> Environment:
    """Blocks."""
    attempt, system = ready.attempt, work.system
    if system is not None and work.wanted.setup:
        system = system.over(attempt / LAYER)
    return Environment(
        ready.key,
        attempt / scripts.VENV / "bin" / "python",
        (attempt / scripts.LOCK).read_text(encoding="utf-8"),
        system,
        work.conda,
        attempt / LOCK,
        cached,
        ready.seconds,
        conda_activation.read(attempt) if work.conda else {},
    )


@functools.cache
def _platform() -> list[str]:
    return [sys.platform, platform.machine(), *platform.libc_ver()]
