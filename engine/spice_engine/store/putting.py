"""The files of one put: named at its end, when all their bytes are on disk, with one sync for many.

Everything here blocks.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from spice_engine.store.disk import sync_folder

FEW = 16
"""So many files are synced one by one: others' writes on the same disk need not be waited for."""
AT_ONCE = 2000
"""So many wait for their names at most, so that a put that is cut short was not for nothing."""


class Put:
    """Files that were written under other names, by their hashes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched: set[Path] = set()
        """Folders in which names were made; they are synced at the end."""
        self._waiting: dict[str, Path] = {}

    def add(self, beside: Path, digest: str) -> None:
        """A file that is whole; those that a folder's manifest names come before it."""
        if digest in self._waiting:
            beside.unlink()
            return
        self._waiting[digest] = beside
        if len(self._waiting) >= AT_ONCE:
            self._name_all()

    def finish(self) -> None:
        """Have all of them on disk, under their names."""
        self._name_all()
        for folder in self.touched:
            sync_folder(folder)

    def drop(self) -> None:
        """Remove what has no name yet."""
        for beside in self._waiting.values():
            beside.unlink(missing_ok=True)
        self._waiting.clear()

    def _name_all(self) -> None:
        if len(self._waiting) > FEW:
            _sync_disk_of(self.folder)
        else:
            for beside in self._waiting.values():
                _sync(beside)
        for digest, beside in self._waiting.items():
            final = self.folder / digest[:2] / digest[2:]
            beside.chmod(0o444)
            os.utime(beside)
            final.parent.mkdir(exist_ok=True)
            beside.replace(final)
            self.touched |= {self.folder, final.parent}
        self._waiting.clear()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_disk_of(folder: Path) -> None:
    """Wait until all that was written to the folder's file system is on disk.

    Raises:
        OSError: some of it could not be written.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:  # not on Linux
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if call(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
