"""Which app folders may run code of their own: the owner says so, outside of the folder.

What is trusted is a folder by its real path and the owner of its files, kept in the user's
configuration. Nothing that lies in the folder, or comes with a package, can say so for itself.
Everything here blocks on one small file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, cast

from spice_engine.app_folder import write_atomically
from spice_engine.errors import Forbidden
from spice_engine.records import record
from spice_engine.store.disk import storage_error

FILE_NAME = "trust.json"
VERSION = 1
_LARGEST = 2**20


def config_home() -> Path:
    """The user's configuration directory for this product (XDG base directory specification)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".config"
    return home / "spice-tui"


@record
class TrustedFolder:
    """A folder that may run its code; `owner` is a user id, `since` Unix seconds."""

    path: str
    owner: int
    since: float


class Trust:
    """The user's list of trusted folders. A list that cannot be read trusts nothing."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds the list; by default the user's configuration directory."""
        self._given = folder

    @property
    def file(self) -> Path:
        """Where the list is."""
        return (self._given or config_home()) / FILE_NAME

    def is_trusted(self, root: Path) -> bool:
        """Whether code of the app folder may run: it is listed, and still its owner's."""
        try:
            path, owner = _identity(root)
        except OSError:
            return False
        known = self._read().get(path)
        return known is not None and known.owner == owner

    def listed(self) -> list[TrustedFolder]:
        """All trusted folders, by path."""
        return sorted(self._read().values(), key=lambda folder: folder.path)

    def grant(self, root: Path) -> None:
        """Trust the folder from now on.

        Raises:
            Forbidden: it belongs to another user, who could change the code at any time.
            StorageError: the folder is not there, or the list cannot be written.
        """
        try:
            path, owner = _identity(root)
        except OSError as error:
            raise storage_error(error, "trust the folder", root) from error
        if owner not in {os.getuid(), 0}:
            raise Forbidden(
                f"{path} belongs to another user, who could change its code at any time.",
                hint="Copy it into a folder of your own and trust that.",
            )
        with self._locked():
            folders = self._read()
            folders[path] = TrustedFolder(path, owner, time.time())
            self._write(folders)

    def revoke(self, root: Path) -> bool:
        """Trust the folder no more; whether it was trusted.

        Raises:
            StorageError: the list cannot be written.
        """
        path = os.path.realpath(root)
        if path not in self._read():
            return False
        with self._locked():
            folders = self._read()
            found = folders.pop(path, None)
            self._write(folders)
        return found is not None

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        """Alone among all processes that change the list."""
        file = self.file
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(
                file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise storage_error(error, "change the list of trusted folders", file) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, TrustedFolder]:
        """The list; empty where the file is missing, damaged, or not its owner's alone to write."""
        try:
            with self.file.open("rb") as source:
                status = os.fstat(source.fileno())
                # Whoever else can write the list could trust anything in this user's name.
                if status.st_uid not in {os.getuid(), 0} or status.st_mode & 0o022:
                    return {}
                data: Any = json.loads(source.read(_LARGEST))
            if data["version"] != VERSION:
                return {}
            folders = cast("Mapping[str, Mapping[str, Any]]", data["folders"])
            return {
                path: TrustedFolder(path, int(one["owner"]), float(one["since"]))
                for path, one in folders.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _write(self, folders: Mapping[str, TrustedFolder]) -> None:
        content = {
            "version": VERSION,
            "folders": {
                path: {"owner": one.owner, "since": one.since}
                for path, one in sorted(folders.items())
            },
        }
        write_atomically(self.file, json.dumps(content, indent=2) + "\n", mode=0o600)


def _identity(root: Path) -> tuple[str, int]:
    path = os.path.realpath(root)
    return path, Path(path).stat().st_uid
