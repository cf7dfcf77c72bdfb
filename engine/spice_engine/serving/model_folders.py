"""Read-only folders with the files of models, one an object, shared by all who load them."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Collection
from pathlib import Path

from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.removal import remove, sweep

FOLDER = "models"
AGE_SECONDS = 3600.0
"""A folder that was asked for so lately stays: who needs it may not be noted yet."""


class ModelFolders:
    """The folders below `models/` of the engine's state. Everything here blocks."""

    def __init__(self, state: Path, objects: ObjectStore) -> None:
        self._folder = state / FOLDER
        self._objects = objects

    def ensure(self, tree: str) -> Path:
        """The folder of a stored tree, made where it is not; whole or not at all.

        Reflinks where the file system has them, copies where not.

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
            self._folder.mkdir(exist_ok=True)
            self._objects.materialize(tree, beside)
            _make_read_only(beside)
            os.utime(beside)
            # Somebody else may have made it meanwhile: it is the same.
            if not folder.exists():
                beside.rename(folder)
        except OSError as error:
            if not folder.is_dir():
                raise storage_error(error, "make a model's files", folder) from error
        finally:
            remove(beside)
        return folder

    def sweep(self, needed: Collection[str], age: float = AGE_SECONDS) -> int:
        """Remove folders whose object nobody needs; gives how many there were.

        Raises:
            StorageError: one cannot be removed.
        """
        if not self._folder.is_dir():
            return 0
        try:
            return sweep(self._folder, needed, time.time() - age)
        except OSError as error:
            raise storage_error(error, "remove a model's files", self._folder) from error


def _make_read_only(folder: Path) -> None:
    """Take write permission from everything in a folder, and from the folder."""
    folder.chmod(0o700)  # whatever it was stored with, it can be walked through
    with os.scandir(folder) as found:
        items = list(found)
    for item in items:
        if item.is_symlink():
            continue
        if item.is_dir():
            _make_read_only(Path(item.path))
        else:
            Path(item.path).chmod(0o555 if item.stat().st_mode & 0o100 else 0o444)
    folder.chmod(0o555)
