"""Stored folders laid out on disk once, for all runs that see them under an overlay.

Nobody writes into them: what a run changes goes to its own folder. Files that several of them
have in common are one file on disk. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Collection
from pathlib import Path

from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.removal import remove, sweep
from spice_engine.store.trees import Entry

AGE_SECONDS = 3600.0
"""A folder that was asked for so lately stays: the run that needs it may not be noted yet."""


class TreeFolders:
    """The folders below `trees/` of the engine's state, and `trees/files/` they share."""

    def __init__(self, state: Path, objects: ObjectStore) -> None:
        self._folder = state / "trees"
        self._files = self._folder / "files"
        self._objects = objects

    def ensure(self, tree: str) -> Path:
        """The folder of a stored tree, made where it is not; whole or not at all.

        Raises:
            NotFound: an object is missing.
            StorageError: the disk is full or the folder cannot be written.
        """
        folder = self._folder / tree
        with contextlib.suppress(FileNotFoundError):
            os.utime(folder)
            return folder
        beside = self._folder / f".{uuid.uuid4().hex}.tmp"
        try:
            self._files.mkdir(parents=True, exist_ok=True)
            self._objects.build(tree, beside, place=self._place)
            os.utime(beside)
            with contextlib.suppress(OSError):  # somebody else made it meanwhile: it is the same
                beside.rename(folder)
        except OSError as error:
            raise storage_error(error, "lay out a run's files", folder) from error
        finally:
            remove(beside)
        return folder

    def ensure_file(self, content: str) -> Path:
        """A file with the content of an object.

        Raises:
            NotFound: it is missing.
            StorageError: the disk is full or the folder cannot be written.
        """
        try:
            self._files.mkdir(parents=True, exist_ok=True)
            return self._share(Entry("", "file", 0o644, content))
        except OSError as error:
            raise storage_error(error, "lay out a run's files", self._files) from error

    def sweep(self, needed: Collection[str], age: float = AGE_SECONDS) -> int:
        """Remove folders that nobody needs, and files that are in none; gives how many folders.
        `needed` are hashes of folders and files.

        Raises:
            StorageError: one cannot be removed.
        """
        if not self._folder.is_dir():
            return 0
        before = time.time() - age
        try:
            removed = sweep(self._folder, needed, before)
            for file in list(self._files.iterdir()) if self._files.is_dir() else []:
                # A new name, too, counts as a change of the file.
                status = file.stat()
                unused = status.st_nlink == 1 and status.st_ctime <= before
                if unused and file.name.partition("-")[0] not in needed:
                    file.unlink()
        except OSError as error:
            raise storage_error(error, "remove old runs' files", self._folder) from error
        return removed

    def _place(self, entry: Entry, path: Path) -> None:
        """Make a file, as one more name of the file with this content and these permissions."""
        try:
            os.link(self._share(entry), path)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            self._objects.place(entry, path)

    def _share(self, entry: Entry) -> Path:
        shared = self._files / f"{entry.content}-{entry.mode:o}"
        if shared.exists():
            return shared
        beside = shared.with_name(f".{uuid.uuid4().hex}")
        try:
            self._objects.place(entry, beside)
            beside.rename(shared)
        finally:
            beside.unlink(missing_ok=True)
        return shared
