"""Further code for a workflow's runs: folders as they are, and git repositories at a commit."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.runs.folder_ignore import FolderIgnore
from spice_engine.runs.git_sources import GitSources, address_of
from spice_engine.runs.preparation import MOST_BYTES
from spice_engine.store.objects import ObjectStore

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Repos:
    """Takes them in. Paths are from `root` on."""

    def __init__(self, root: Path, objects: ObjectStore, sources: GitSources) -> None:
        self._root = root
        self._objects = objects
        self._sources = sources

    async def take(self, wanted: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """For each label its source and the object of its code: of `PATH` the folder as it is, of
        `PATH:COMMIT` and `URL[:REF]` what the repository has there.

        Raises:
            InvalidRequest: a label or a source cannot be used.
            NotFound: there is no such repository or commit.
            GitFailed: git cannot get it.
            StorageError: a folder cannot be kept as it is.
        """
        found: dict[str, tuple[str, str]] = {}
        for label, source in wanted.items():
            if not _LABEL.fullmatch(label):
                raise InvalidRequest(
                    f"{label[:100]!r} cannot label a repository.",
                    hint="Letters, digits, '.', '_' and '-'.",
                )
            found[label] = await self._one(source)
        return found

    async def _one(self, source: str) -> tuple[str, str]:
        if "\0" in source or not source:
            raise InvalidRequest(f"{source[:200]!r} is no repository.")
        folder = self._root / _expanded(source)
        if await asyncio.to_thread(os.path.isdir, folder):  # also False for what is no path
            return source, await asyncio.to_thread(self._folder, folder)
        place, ref = split(source)
        if not address_of(place if "://" in place or "@" in place else str(self._root / place)):
            folder = self._root / _expanded(place)
            if not await asyncio.to_thread(os.path.isdir, folder):
                raise InvalidRequest(
                    f"{place[:200]!r} is no directory.", hint="PATH[:COMMIT], or URL[:REF]."
                )
            place = str(folder)
        got = await self._sources.take(place, ref)
        return got.source, got.tree

    def _folder(self, folder: Path) -> str:
        return self._objects.put_tree(folder, FolderIgnore(folder, most_bytes=MOST_BYTES)).hash


def _expanded(text: str) -> Path:
    """A path, its `~` replaced; that of an unknown user stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def split(source: str) -> tuple[str, str]:
    """`PLACE[:REF]` in two: the colons of `https://host:8080/` and `git@host:` are the place's."""
    start = 0
    if "://" in source:
        start = source.find("/", source.index("://") + 3)
    elif "@" in source.partition("/")[0] and ":" in source:
        start = source.index(":") + 1
    colon = source.find(":", max(0, start))
    return (source, "") if colon < 0 or start < 0 else (source[:colon], source[colon + 1 :])
