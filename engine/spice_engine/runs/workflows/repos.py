"""Further code for a workflow's runs: folders as they are, and git repositories at a commit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.location import Location
from spice_engine.runs.folder_ignore import FolderIgnore
from spice_engine.runs.preparation import MOST_BYTES
from spice_engine.store.objects import ObjectStore

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Repos:
    """Takes them in."""

    def __init__(self, location: Location, objects: ObjectStore) -> None:
        self._location = location
        self._objects = objects

    async def take(self, wanted: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """For each label its source and the object of its code.

        Raises:
            InvalidRequest: a label or a source cannot be used.
            StorageError: a folder cannot be kept as it is.
        """
        found: dict[str, tuple[str, str]] = {}
        for label, source in wanted.items():
            if not _LABEL.fullmatch(label):
                raise InvalidRequest(f"{label[:100]!r} cannot label a repository.")
            found[label] = (source, await asyncio.to_thread(self._folder, source))
        return found

    def _folder(self, source: str) -> str:
        folder = Path(self._location.root / source)
        if "\0" in source or not folder.is_dir():
            raise InvalidRequest(f"{source[:200]!r} is no directory.", hint="Give a path.")
        return self._objects.put_tree(folder, FolderIgnore(folder, most_bytes=MOST_BYTES)).hash
