"""What of a folder is no code: by its .gitignore and .spiceignore files, by name, and by size."""

from __future__ import annotations

import contextlib
import os
import re
import stat
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

_MOST_BYTES = 2**20

_GROUP = re.compile(r"\(\?P<\w+>")
_ANYWHERE = "^(?:.+/)?"
"""How pathspec's expressions begin of patterns that hold at any depth."""


class FolderIgnore:
    """Which entries of a folder to leave out: called with each one's path inside it.

    Raises (when called):
        StorageError: what is not left out is over `most_bytes` in all.
    """

    def __init__(self, root: Path, *, most_bytes: int, largest_file: int | None = None) -> None:
        self._root = root
        self._most_bytes = most_bytes
        self._largest_file = largest_file
        self._chains: dict[str, tuple[_Rules, ...]] = {}
        self.left_out: list[str] = []
        """Files that are larger than `largest_file`."""
        self.bytes = 0

    def __call__(self, path: PurePosixPath, is_folder: bool) -> bool:
        text = str(path)
        parent, _, name = text.rpartition("/")
        if name in NEVER:
            return True
        slash = "/" if is_folder else ""
        for rules in self._chain(parent):
            matched = rules.matched(f"{text[rules.begin :]}{slash}", f"{name}{slash}")
            if matched is not None:
                # The file nearest to the entry decides.
                if matched:
                    return True
                break
        if is_folder:
            return False
        size = 0
        with contextlib.suppress(OSError):
            size = os.lstat(f"{self._root}/{text}").st_size
        if self._largest_file is not None and size > self._largest_file:
            self.left_out.append(text)
            return True
        self.bytes += size
        if self.bytes > self._most_bytes:
            raise StorageError(
                f"the app folder's code is over {self._most_bytes / 2**30:g} GiB.",
                hint="Have data ignored (.gitignore, .spiceignore): models and data are mounted, "
                "not copied.",
            )
        return False

    def _chain(self, folder: str) -> tuple[_Rules, ...]:
        """The rules that hold for what is in a folder, the nearest first."""
        found = self._chains.get(folder)
        if found is None:
            above = self._chain(folder.rpartition("/")[0]) if folder else ()
            own = self._read(folder)
            found = above if own is None else (own, *above)
            self._chains[folder] = found
        return found

    def _read(self, folder: str) -> _Rules | None:
        lines: list[str] = []
        for name in FILES:
            with contextlib.suppress(OSError):
                lines += _text_of(self._root / folder / name).splitlines()
        spec = _parsed(lines)
        return None if spec is None else _Rules(spec, len(folder) + 1 if folder else 0)


class _Rules:
    """The patterns of one folder, whose path is `begin` characters of those of what is in it.

    Most entries match none of many patterns, which a few expressions made of all of them tell at
    once. Folders that are left out are not entered: of a pattern for names only the last matters.
    """

    def __init__(self, spec: pathspec.GitIgnoreSpec, begin: int) -> None:
        self.begin = begin
        self._spec = spec
        names: list[str] = []
        paths: list[str] = []
        for pattern in spec.patterns:
            regex: re.Pattern[str] | None = getattr(pattern, "regex", None)
            if pattern.include is None or regex is None:
                continue
            text = _GROUP.sub("(?:", regex.pattern)
            name = text.removeprefix(_ANYWHERE)
            only = name != text and "/" not in name.replace("(?:/)", "").replace("[^/]", "")
            (names if only else paths).append(f"(?:{name if only else text})")
        self._name = re.compile("|".join(names)).match if names else _never
        self._path = re.compile("|".join(paths)).search if paths else _never

    def matched(self, path: str, name: str) -> bool | None:
        """Whether they leave an entry out, or take it back; None where they say nothing of it."""
        if self._name(name) is None and self._path(path) is None:
            return None
        return self._spec.check_file(path).include


def _never(_: str) -> None:
    return None


def _text_of(path: Path) -> str:
    """What a file of patterns says; nothing if it is none: one that is a pipe would be waited for,
    a device read without end.

    Raises:
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(_MOST_BYTES).decode("utf-8", errors="replace")


def _parsed(lines: list[str]) -> pathspec.GitIgnoreSpec | None:
    if not lines:
        return None
    import pathspec  # not before it is wanted: the engine's start would wait for it

    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except (ValueError, re.error):
        # As with git, a line that is no pattern takes nothing from the others.
        return pathspec.GitIgnoreSpec.from_lines(filter(_is_pattern, lines))


def _is_pattern(line: str) -> bool:
    import pathspec

    try:
        pathspec.GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True
