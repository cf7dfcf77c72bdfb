"""Where workspaces keep their token and Jupyter's settings: a folder each. Everything blocks."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from spice_engine.store.disk import storage_error

FOLDER, TOKEN = "workspaces", "token"
TOKEN_FILE, CONFIG, DATA, RUNTIME = (
    f"JUPYTER_{name}" for name in ("TOKEN_FILE", "CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
)
VARIABLES = frozenset({TOKEN_FILE, CONFIG, DATA, RUNTIME})
"""What tells a notebook server of its folder."""


class WorkspaceFolders:
    """The folders of all workspaces of one app folder; `state` is the engine's folder there."""

    def __init__(self, state: Path) -> None:
        self._root = state / FOLDER

    def variables(self, name: str) -> dict[str, str]:
        """What tells a notebook server of its folder. The token itself is in no variable."""
        folder = self._root / name
        return {
            TOKEN_FILE: str(folder / TOKEN),
            CONFIG: str(folder / "config"),
            DATA: str(folder / "data"),
            RUNTIME: str(folder / "runtime"),
        }

    def make(self, name: str) -> None:
        """Make a workspace's folder, with a new token that only this user can read.

        Raises:
            StorageError: the disk is full or read-only.
        """
        folder = self._root / name
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            token = folder / TOKEN
            token.unlink(missing_ok=True)
            token.touch(mode=0o600)
            token.write_text(secrets.token_urlsafe(32), encoding="ascii")
        except OSError as error:
            raise storage_error(error, "make a workspace's folder", folder) from error

    def token(self, name: str) -> str:
        """The token of a workspace; empty where it has gone."""
        try:
            return (self._root / name / TOKEN).read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def remove(self, name: str) -> None:
        """Remove a workspace's folder.

        Raises:
            StorageError: it cannot be removed.
        """
        folder = self._root / name
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise storage_error(error, "remove a workspace's settings", folder) from error
