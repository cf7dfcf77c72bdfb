"""Payloads too large for a frame: handed to children as files, in a folder of their own. Blocks."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from spice_engine.store.disk import storage_error


class Spool:
    """The folder; whoever wrote a file removes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def clear(self) -> None:
        """Makes the folder anew, without what an earlier engine left in it.

        Raises:
            StorageError: it cannot be made.
        """
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise storage_error(error, "make the folder", self.folder) from error

    def write(self, data: bytes) -> Path:
        """A new file of these bytes, for this user only.

        Raises:
            StorageError: it cannot be written.
        """
        path: Path | None = None
        try:
            descriptor, name = tempfile.mkstemp(dir=self.folder)
            path = Path(name)
            with open(descriptor, "wb") as file:
                file.write(data)
        except OSError as error:
            if path is not None:
                path.unlink(missing_ok=True)
            raise storage_error(error, "hand the payload over", self.folder) from error
        return path
