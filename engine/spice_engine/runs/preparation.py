"""What a run needs before its command begins: the folder as it is, mounts, an environment.

`take` freezes all of it when a run is asked for, `make` lays it out when the run has a machine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from spice_engine.errors import InvalidRequest, NotFound, StorageError
from spice_engine.protocol.location import Location
from spice_engine.protocol.runs import StartRun
from spice_engine.protocol.servers import Dependencies
from spice_engine.records import record
from spice_engine.runs import conda_activation, environment_record, mount_places
from spice_engine.runs import mounts as mount_texts
from spice_engine.runs.environment_views import own_environment
from spice_engine.runs.environment_wishes import absolute
from spice_engine.runs.environments import Environment, EnvironmentFailed, Environments
from spice_engine.runs.folder_ignore import FolderIgnore
from spice_engine.runs.git_sources import GitSources, address_of
from spice_engine.runs.resuming import with_outputs
from spice_engine.runs.run_files import OUTPUTS, LaidOut, RunFiles
from spice_engine.runs.snapshots import Snapshots
from spice_engine.runs.systems import LAYER
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.runs import MountRow, OutputsRow, RunRow
from spice_runtime import views

log = logging.getLogger(__name__)

MOST_BYTES = 10 * 2**30
"""Of a folder that runs get a copy of."""

Resolve = Callable[[str], Awaitable[str]]


@record
class Taken:
    """What a run was asked for with, as it is stored. `seconds` is what the snapshot took,
    `source` the address and commit of a folder that came from git."""

    code: str = ""
    dependencies: dict[str, Any] | None = None
    mounts: tuple[MountRow, ...] = ()
    seconds: float = 0.0
    source: str = ""


@record
class Prepared:
    """Where a run's command begins, the views of the disk it needs, variables of its own, and the
    seconds of each stage."""

    cwd: Path
    views: tuple[Mapping[str, str], ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    environment: str = ""
    stages: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])


class Preparation:
    """Prepares all runs of one app folder. Belongs to the engine's loop."""

    def __init__(
        self, location: Location, objects: ObjectStore, environments: Environments
    ) -> None:
        self._location = location
        self._objects = objects
        self.environments = environments
        self.snapshots = Snapshots(
            location.root, objects, lambda: FolderIgnore(location.root, most_bytes=MOST_BYTES)
        )
        self.files = RunFiles(location.state, objects)
        environments.layers.overlays = lambda: self.files.ways()[views.OVERLAY]
        self.sources = GitSources(location.state, objects)
        self.resolve: Resolve = _no_resources
        """Gives the object of a resource; set when there are resources."""
        self.follow: Resolve = _as_it_is
        """Follows the references and links of a resource; set together with it."""

    async def take(self, request: StartRun, cwd: Path, code: str = "") -> Taken:
        """Freeze what a run asks for, with the folder as it is now, or with `code`.

        Raises:
            InvalidRequest: what it asks for cannot be had, `cwd` is left out of the snapshot, or a
                mount cannot appear at its place.
            NotFound: a mount's resource is not there.
            StorageError: the folder cannot be read or is too large, or the disk is full.
        """
        wanted = request.dependencies
        if wanted is not None and wanted == Dependencies():
            wanted = None
        itself = not code and (request.in_place or not cwd.is_relative_to(self._location.root))
        if wanted is not None:
            await asyncio.to_thread(self.environments.key, wanted, (), cwd if itself else None)
        found = await self.mounts_of(request.mounts)
        seconds = 0.0
        if not itself and not code:
            begin = time.perf_counter()
            await self.snapshots.check(cwd)
            code = await self.snapshots.take()
            seconds = time.perf_counter() - begin
        elif itself and found:
            raise InvalidRequest(
                "mounts need a copy of the app folder: a run in the folder itself has none.",
                hint="Leave --in-place out.",
            )
        if code and found:
            await self._check_places(code, found, wanted)
        plain = None if wanted is None else dataclasses.asdict(wanted)
        return Taken(code, plain, found, seconds)

    async def take_commit(self, request: StartRun) -> tuple[Path, Taken]:
        """Freeze what a run asks for, with a commit's folder; and where it begins, as if that
        folder were the app folder.

        Raises:
            InvalidRequest, NotFound, StorageError: as `take`.
            GitFailed: the commit cannot be had.
        """
        begin = time.perf_counter()
        root = self._location.root
        cwd = Path(os.path.normpath(root / request.cwd))
        if request.in_place:
            raise InvalidRequest("a run on a commit is never in the folder itself.")
        is_address = bool(address_of(request.git))
        place = request.git if is_address else str(absolute(root, request.git))
        got = await self.sources.take(place, request.git_ref)
        inside = cwd.is_relative_to(root) and await asyncio.to_thread(
            self._objects.has_folder, got.tree, PurePosixPath(cwd.relative_to(root))
        )
        if not inside:
            raise InvalidRequest(
                f"{request.cwd[:200]} is no folder of {got.source}.",
                hint="Set another cwd, or none to begin in its first folder.",
            )
        taken = await self.take(request, cwd, got.tree)
        seconds = time.perf_counter() - begin
        return cwd, dataclasses.replace(taken, seconds=seconds, source=got.source)

    async def snapshot(self) -> str:
        """The object of the app folder as it is now, for several runs.

        Raises:
            StorageError: as `take`.
        """
        return await self.snapshots.take()

    async def mounts_of(self, texts: Sequence[str]) -> tuple[MountRow, ...]:
        """What these mounts show, as it is now.

        Raises:
            InvalidRequest: one is no mount.
            NotFound: its resource is not there.
        """
        return tuple(
            [
                MountRow(mount.resource, mount.path, *await self._found(mount.resource))
                for mount in mount_texts.parse(texts)
            ]
        )

    async def mounts_in_place(self, request: StartRun, cwd: Path) -> tuple[MountRow, ...]:
        """Those of a command that works in `cwd` itself.

        Raises:
            InvalidRequest: one is no mount, or cannot appear at its place.
            NotFound: its resource is not there.
        """
        found = await self.mounts_of(request.mounts)
        await self._check_places(cwd, found, request.dependencies)
        return found

    async def _check_places(
        self, code: str | Path, found: Sequence[MountRow], wanted: Dependencies | None
    ) -> None:
        state = self._location.state
        system = wanted is not None and bool(wanted.apt or wanted.image)
        await asyncio.to_thread(
            mount_places.check, self._objects, code, found, state, system=system
        )

    async def _found(self, resource: str) -> tuple[str, str]:
        """Its object, and where it lies, with references and links followed."""
        try:
            place = await self.follow(resource)
            return await self.resolve(place), place
        except NotFound as error:
            raise NotFound(
                f"Cannot mount resource {resource[:200]!r}: {error.message}", hint=error.hint
            ) from None

    async def is_cached(self, row: RunRow) -> bool:
        """Whether a run's environment is there already, as far as that is known at once."""
        if row.dependencies is None:
            return False
        return await asyncio.to_thread(
            self.environments.is_there, Dependencies(**row.dependencies), ()
        )

    async def make(self, row: RunRow, folder: Path) -> Prepared:
        """Make a run's environment and files, in its folder.

        Raises:
            EnvironmentFailed: the environment cannot be made.
            InvalidRequest, NotFound, StorageError: as `RunFiles.lay_out`.
        """
        stages: dict[str, float] = {}
        key, variables = "", dict[str, str]()
        system: tuple[Mapping[str, str], ...] = ()
        if row.dependencies is not None:
            begin = time.perf_counter()
            try:
                made = await self.environments.ensure(Dependencies(**row.dependencies), ())
            except (InvalidRequest, NotFound) as error:
                # Its interpreter may have gone since it was asked for.
                raise EnvironmentFailed(error.message, hint=error.hint) from error
            key, variables = made.key, _variables_of(made)
            stages["environment"] = time.perf_counter() - begin
            system = tuple(made.views(folder / LAYER, self._location.state, *self._itself(row)))
            if made.lock is not None:  # it is one that others have, too
                ways = await asyncio.to_thread(self.files.ways)
                system += own_environment(made.python, folder / LAYER, ways)
            await asyncio.to_thread(_note, folder, made, stages["environment"])
        if not row.code:
            cwd = Path(row.cwd)
            shown = await asyncio.to_thread(self.files.show_in_place, folder, cwd, row.mounts)
            return Prepared(cwd, (*system, *shown), variables, key, stages)
        begin = time.perf_counter()
        with self.environments.hold(key):
            laid = await asyncio.to_thread(self._lay_out, row, folder)
        stages["files"] = time.perf_counter() - begin
        # The system goes first: mounts may appear in it.
        return Prepared(laid.cwd, (*system, *laid.views), variables, key, stages)

    def _itself(self, row: RunRow) -> tuple[Path, ...]:
        """What a command without a copy works in, also where it sees another system."""
        if row.code:
            return ()
        root, cwd = self._location.root, Path(row.cwd)
        return (root if cwd.is_relative_to(root) else cwd,)

    def _lay_out(self, row: RunRow, folder: Path) -> LaidOut:
        inner = str(Path(row.cwd).relative_to(self._location.root))
        return self.files.lay_out(folder, code=row.code, inner=inner, mounts=row.mounts)

    async def save(self, row: RunRow, folder: Path) -> OutputsRow:
        """Keep a run's outputs.

        Raises:
            StorageError: the disk is full or broken.
        """
        return await asyncio.to_thread(self.files.save, folder, code=row.code, mounts=row.mounts)

    async def code_after(self, row: RunRow, folder: Path) -> str:
        """The stored folder of a run with what it left in it; the folder as it was where that
        cannot be had."""
        if not row.code:
            return ""
        outputs = folder / OUTPUTS
        try:
            return await asyncio.to_thread(with_outputs, self._objects, row.code, outputs)
        except (NotFound, StorageError) as error:
            log.warning("run %s: it is resumed without its files: %s", row.id, error)
            return row.code

    async def drop(self, folder: Path) -> None:
        """Remove what a run made.

        Raises:
            StorageError: it cannot be removed.
        """
        await asyncio.to_thread(self.files.drop, folder)


def _variables_of(environment: Environment) -> dict[str, str]:
    """What activating it would set. Blocks for a moment."""
    variables = environment.system.environment() if environment.system is not None else {}
    path = variables.get("PATH") or os.environ.get("PATH", os.defpath)
    variables = conda_activation.activated({**variables, "PATH": path}, environment.activation)
    if environment.python == Path():
        return variables
    folder = environment.python.parent
    variables["PATH"] = os.pathsep.join([str(folder), variables["PATH"]])
    if environment.conda:
        variables["CONDA_PREFIX"] = str(folder.parent)
    elif (folder.parent / "pyvenv.cfg").exists():
        variables["VIRTUAL_ENV"] = str(folder.parent)
    return variables


def _note(folder: Path, made: Environment, waited: float) -> None:
    """Keep in a run's folder what its environment holds. Blocks.

    Raises:
        StorageError: the disk is full or broken.
    """
    lock = environment_record.lock_of(made.system, made.lock, made.packages)
    try:
        environment_record.note(
            folder, made.key, lock, cached=made.cached, waited=waited, made=made.seconds
        )
    except OSError as error:
        raise storage_error(error, "note a run's environment", folder) from error


async def _as_it_is(path: str) -> str:
    return path


async def _no_resources(path: str) -> str:
    raise NotFound(f"there is no resource {path[:200]!r}.")
