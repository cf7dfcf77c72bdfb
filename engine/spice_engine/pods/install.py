"""Puts files into an app folder: all of them or none, and over other content only when told to.

Everything here blocks.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from spice_engine.errors import Conflict, Forbidden
from spice_engine.pods.manifests import SUFFIXES
from spice_engine.store.disk import storage_error, sync_folder

Content = bytes | Path
"""A file's content, or a file that holds it."""


class Exists(Conflict):
    """A file of that name with other content is there; nothing was written."""

    code = "file_exists"


class Staged:
    """Files that lie beside their places, ready to go there with `commit`; close it at the end.

    `changed` are the paths, relative to the app folder, that are new or get other content.
    """

    def __init__(self, root: Path, files: Mapping[str, Content], *, force: bool = False) -> None:
        """Write the files beside their places. `files` maps paths relative to `root` to content.

        Raises:
            Exists: one is there with other content, and `force` is not set.
            Forbidden: a link leads one of them out of the app folder.
            StorageError: the disk is full, or a folder cannot be written; nothing is left.
        """
        self._root = root
        self._waiting: list[tuple[Path, Path]] = []
        self._undo: list[tuple[Path, Path | None]] = []
        try:
            changed = {path for path, content in files.items() if self._differs(path, content)}
            clashes = [path for path in sorted(changed) if os.path.lexists(root / path)]
            if clashes and not force:
                raise Exists(
                    f"{', '.join(clashes[:5])} is there already, with other content."
                    if len(clashes) == 1
                    else f"{', '.join(clashes[:5])} are there already, with other content.",
                    hint="Move it away, or write over it with --force.",
                )
            self.changed = tuple(sorted(changed))
            # Manifests come last: when the engine sees one, what it reads is there.
            for path in sorted(changed, key=lambda path: Path(path).suffix in SUFFIXES):
                self._write_beside(root / path, files[path])
        except OSError as error:
            self.close()
            raise storage_error(error, "write into the app folder", root) from error
        except BaseException:
            self.close()
            raise

    def commit(self) -> None:
        """Put every file into its place.

        Raises:
            StorageError: one could not be put there; all is as it was before.
        """
        try:
            for beside, target in self._waiting:
                backup: Path | None = None
                if os.path.lexists(target):
                    backup = _beside(target)
                    _keep(target, backup)
                self._undo.append((target, backup))
                beside.replace(target)
            for folder in {target.parent for _, target in self._waiting}:
                sync_folder(folder)
        except OSError as error:
            self._roll_back()
            raise storage_error(error, "write into the app folder", self._root) from error
        for _, backup in self._undo:
            if backup is not None:
                backup.unlink(missing_ok=True)
        self._waiting, self._undo = [], []

    def close(self) -> None:
        """Remove what was not committed."""
        for beside, _ in self._waiting:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        self._waiting = []

    def _roll_back(self) -> None:
        for target, backup in reversed(self._undo):
            with contextlib.suppress(OSError):
                if backup is not None:
                    backup.replace(target)
                else:
                    target.unlink(missing_ok=True)
        self._undo = []
        self.close()

    def _differs(self, path: str, content: Content) -> bool:
        target = self._root / path
        parent = target.parent.resolve()
        if not parent.is_relative_to(self._root.resolve()):
            raise Forbidden(
                f"{path} would be written to {parent}, outside of the app folder.",
                hint="Remove the link, or add to another folder.",
            )
        if target.is_symlink() or not target.exists():
            return True
        if not target.is_file():
            raise Exists(f"{path} is there already, and is no file.", hint="Move it away.")
        if isinstance(content, bytes):
            return target.read_bytes() != content
        return not filecmp.cmp(target, content, shallow=False)

    def _write_beside(self, target: Path, content: Content) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = _beside(target)
        self._waiting.append((beside, target))
        with beside.open("xb") as out:
            if isinstance(content, bytes):
                out.write(content)
            else:
                with content.open("rb") as source:
                    shutil.copyfileobj(source, out)
            out.flush()
            os.fsync(out.fileno())


def _keep(target: Path, backup: Path) -> None:
    """A second name for what is there, or a copy on file systems without such."""
    try:
        os.link(target, backup, follow_symlinks=False)
    except OSError:
        shutil.copy2(target, backup, follow_symlinks=False)


def _beside(target: Path) -> Path:
    """A hidden name in the same folder, which no manifest, data file or watcher has."""
    return target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex[:12]}.new")
