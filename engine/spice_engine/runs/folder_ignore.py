"""What of a folder is no code: by its .gitignore and .spiceignore files, by name, and by size."""

from __future__ import annotations

import contextlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from spice_engine.errors import StorageError

if TYPE_CHECKING:
    import pathspec

NEVER = frozenset(
    {".git", ".hg", ".svn", ".spice", ".venv", "node_modules", "__pycache__"}
    | {".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox"}
)
"""Folders that hold no code."""

FILES = (".gitignore", ".spiceignore")
"""Both have git's patterns; the second is read after the first, so that it may take one back."""


class FolderIgnore:
    """Which entries of a folder to leave out: called with each one's path inside it.

    Raises (when called):
        StorageError: what is not left out is over `most_bytes` in all.
    """

    def __init__(self, root: Path, *, most_bytes: int, largest_file: int | None = None) -> None:
        self._root = root
        self._most_bytes = most_bytes
        self._largest_file = largest_file
        self._specs: dict[PurePosixPath, pathspec.GitIgnoreSpec | None] = {}
        self.left_out: list[str] = []
        """Files that are larger than `largest_file`."""
        self.bytes = 0

    def __call__(self, path: PurePosixPath, is_folder: bool) -> bool:
        if path.name in NEVER:
            return True
        for folder in path.parents:
            spec = self._spec(folder)
            if spec is not None:
                inner = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
                matched = spec.check_file(inner).include
                if matched is not None:
                    # The file nearest to the entry decides.
                    if matched:
                        return True
                    break
        if is_folder:
            return False
        size = 0
        with contextlib.suppress(OSError):
            size = (self._root / path).lstat().st_size
        if self._largest_file is not None and size > self._largest_file:
            self.left_out.append(path.as_posix())
            return True
        self.bytes += size
        if self.bytes > self._most_bytes:
            raise StorageError(
                f"the app folder's code is over {self._most_bytes / 2**30:g} GiB.",
                hint="Have data ignored (.gitignore, .spiceignore): models and data are mounted, "
                "not copied.",
            )
        return False

    def _spec(self, folder: PurePosixPath) -> pathspec.GitIgnoreSpec | None:
        if folder not in self._specs:
            lines: list[str] = []
            for name in FILES:
                with contextlib.suppress(OSError):
                    text = (self._root / folder / name).read_text("utf-8", errors="replace")
                    lines += text.splitlines()
            self._specs[folder] = _parsed(lines)
        return self._specs[folder]


def _parsed(lines: list[str]) -> pathspec.GitIgnoreSpec | None:
    if not lines:
        return None
    import pathspec  # not before it is wanted: the engine's start would wait for it

    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return None
