"""The files of one run: laid out before it begins, and what it made or changed kept at its end.

In the run's folder: `work` is where the command runs, `outputs` what it left. Where the kernel
lets us, `work` shows the app folder as it was under an overlay, and what the command writes goes
to `changes`; otherwise `work` is a copy, and `laid.json` says how it began. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import spice_runtime
from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.runs import kept_files, made_places
from spice_engine.runs.logs import LOG_NAME
from spice_engine.runs.mount_places import is_folder
from spice_engine.runs.systems import LAYER
from spice_engine.runs.tree_folders import TreeFolders
from spice_engine.store.copying import clone_or_copy
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.removal import remove
from spice_engine.store.runs import MountRow, OutputsRow
from spice_runtime import ranks, views

WORK, CHANGES, SPARE, LAID, OUTPUTS = "work", "changes", "spare", "laid.json", "outputs"
INNER = frozenset({WORK, CHANGES, SPARE, LAID, ranks.FILES, LAYER})
"""Names in a run's folder that are gone when it is over."""

_PROBE_SECONDS = 20.0


@record
class LaidOut:
    """Where a run's command begins, and the views of the disk it needs."""

    cwd: Path
    views: tuple[dict[str, str], ...]


class RunFiles:
    """Lays out and saves the files of all runs of one app folder."""

    def __init__(self, state: Path, objects: ObjectStore) -> None:
        self._state = state
        self._objects = objects
        self.trees = TreeFolders(state, objects)
        self._ways: dict[str, bool] | None = None

    def ways(self) -> dict[str, bool]:
        """Whether commands can have overlays and binds here; found out once."""
        if self._ways is None:
            self._ways = ways_in(self._state / "tmp")
        return self._ways

    def lay_out(
        self, folder: Path, *, code: str, inner: str, mounts: Sequence[MountRow]
    ) -> LaidOut:
        """Make everything that a run sees. `code` is the stored folder, `inner` where in it the
        command begins; without code it begins in an empty folder.

        Raises:
            NotFound: an object is missing.
            InvalidRequest: a mount cannot appear at its place.
            StorageError: the disk is full or a folder cannot be written.
        """
        ways, work = self.ways(), folder / WORK
        found: list[dict[str, str]] = []
        try:
            if ways[views.OVERLAY]:
                lower = self.trees.ensure(code)
                for name in (WORK, CHANGES, SPARE):
                    (folder / name).mkdir(parents=True)
                (folder / CHANGES).chmod(lower.stat().st_mode & 0o777)
                found.append(
                    views.overlay(str(work), str(lower), str(folder / CHANGES), str(folder / SPARE))
                )
            else:
                folder.mkdir(parents=True, exist_ok=True)
                self._objects.materialize(code, work)
                (folder / LAID).write_text(json.dumps(_stamps(work)), encoding="utf-8")
            for mount in mounts:
                found += self._mount(mount, work, ways)
        except OSError as error:
            raise storage_error(error, "lay out a run's files", folder) from error
        return LaidOut(work / inner, tuple(found))

    def show_in_place(
        self, folder: Path, cwd: Path, mounts: Sequence[MountRow]
    ) -> tuple[dict[str, str], ...]:
        """The views of a run in the app folder itself, which has no copy: its mounts alone. A
        place that is not there is made, and noted in the run's folder.

        Raises:
            InvalidRequest: this machine has no private mounts.
            StorageError: a place cannot be made.
        """
        if mounts and not self.ways()[views.BIND]:
            raise InvalidRequest(
                "mounts in the app folder itself need private mounts, which this machine has not.",
                hint="Copy what you need: spice-tui cp RESOURCE. `spice-tui doctor` says more.",
            )
        found: list[dict[str, str]] = []
        try:
            for mount in mounts:
                place, source = cwd / mount.path, self._shared(mount.object)
                if not mount.path.startswith("/") and not os.path.lexists(place):
                    made_places.make(folder, place, is_folder=source.is_dir())
                found.append(views.bind(str(place), str(source)))
        except OSError as error:
            raise storage_error(error, "make a place for a mount", cwd) from error
        return tuple(found)

    def _mount(self, mount: MountRow, work: Path, ways: dict[str, bool]) -> list[dict[str, str]]:
        if ways[views.BIND]:
            # A path from / on stays what it is.
            return [views.bind(str(work / mount.path), str(self._shared(mount.object)))]
        if mount.path.startswith("/"):
            raise InvalidRequest(
                f"{mount.resource} cannot appear at {mount.path}: this machine has no private "
                "mounts.",
                hint="Give it a path in the run's folder: "
                f"{mount.resource}:{PurePosixPath(mount.path).name}. `spice-tui doctor` says more.",
            )
        place = work / mount.path
        if os.path.lexists(place):
            remove(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        if is_folder(self._objects, mount.object):
            self._objects.materialize(mount.object, place)
        else:
            with self._objects.open(mount.object) as source, place.open("xb+") as target:
                clone_or_copy(source, target)
        return []

    def _shared(self, content: str) -> Path:
        if is_folder(self._objects, content):
            return self.trees.ensure(content)
        return self.trees.ensure_file(content)

    # -- at the end

    def save(self, folder: Path, *, code: str, mounts: Sequence[MountRow]) -> OutputsRow:
        """Keep what the command made or changed, and remove the rest. Done again, it goes on. What
        cannot be kept is told in the log.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        mounted, lost = {mount.path for mount in mounts}, kept_files.Lost()
        try:
            if (folder / CHANGES).is_dir():
                before = self.trees.ensure(code)
                fresh = kept_files.changed(folder / CHANGES, before, mounted, lost)
                kept_files.move(folder / CHANGES, fresh, folder / OUTPUTS, lost)
            elif (folder / WORK).is_dir():
                laid: dict[str, list[int]] = {}
                with contextlib.suppress(FileNotFoundError):
                    laid = json.loads((folder / LAID).read_text(encoding="utf-8"))
                fresh = [
                    path
                    for path in kept_files.files_of(folder / WORK, mounted, lost)
                    if laid.get(str(path)) != _stamp(folder / WORK / path)
                ]
                kept_files.move(folder / WORK, fresh, folder / OUTPUTS, lost)
            self.drop(folder)
            if lost:
                with (folder / LOG_NAME).open("a", encoding="utf-8", errors="replace") as log:
                    log.write(kept_files.in_words(lost))
            return _size(folder / OUTPUTS)
        except OSError as error:
            raise storage_error(error, "save a run's outputs", folder) from error

    def drop(self, folder: Path) -> None:
        """Remove what a run that is over does not need any more, and was not saved.

        Raises:
            StorageError: it cannot be removed.
        """
        try:
            for name in INNER:
                remove(folder / name)
        except OSError as error:
            raise storage_error(error, "remove a run's files", folder) from error


def ways_in(folder: Path) -> dict[str, bool]:
    """Whether commands can have overlays and binds in a folder, which is made where it is not.

    Asks a process of its own, for it forks and mounts.
    """
    nothing = {views.OVERLAY: False, views.BIND: False}
    path = Path(spice_runtime.__file__).parent.parent
    words = [sys.executable, "-S", "-c", _PROBE, str(path), str(folder)]
    try:
        folder.mkdir(exist_ok=True)
        answer = subprocess.run(
            words, capture_output=True, check=True, timeout=_PROBE_SECONDS, text=True
        ).stdout
        return nothing | json.loads(answer)
    except (OSError, ValueError, subprocess.SubprocessError):
        return nothing


_PROBE = """
import json, sys
sys.path.append(sys.argv[1])
from spice_runtime import views
sys.stdout.write(json.dumps(views.possible(sys.argv[2])))
"""


def _size(outputs: Path) -> OutputsRow:
    files = size = 0
    for path, _, names in os.walk(outputs):
        for name in names:
            files += 1
            size += Path(path, name).lstat().st_size
    return OutputsRow(files, size)


def _stamps(work: Path) -> dict[str, list[int]]:
    return {str(path): _stamp(work / path) for path in kept_files.files_of(work, (), [])}


def _stamp(path: Path) -> list[int]:
    status = path.lstat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]
