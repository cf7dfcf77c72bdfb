"""The archive that `git archive` writes, as a tree of the object store. Blocks."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from spice_engine.store import trees
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.trees import Entry

_FOLDER_MODE = 0o755


def put_archive(objects: ObjectStore, archive: Path) -> tuple[str, int]:
    """The object of an archive's files and folders, and how many files those are.

    Nothing is unpacked: the names in it lead nowhere but into the tree.

    Raises:
        StorageError: the disk is full or the archive is damaged.
    """
    count = 0

    def make(put: Callable[[bytes], str]) -> str:
        nonlocal count
        root: dict[str, object] = {}
        with tarfile.open(archive) as tar:
            for member in tar:
                parts = PurePosixPath(member.name).parts
                if not parts or member.name.startswith("/") or ".." in parts:
                    continue
                place = _folder(root, parts if member.isdir() else parts[:-1])
                mode = member.mode & 0o777
                if member.issym():
                    place[parts[-1]] = Entry(parts[-1], "link", 0o777, member.linkname)
                elif (source := tar.extractfile(member) if member.isfile() else None) is not None:
                    data = source.read()
                    place[parts[-1]] = Entry(parts[-1], "file", mode, put(data), len(data))
                    count += 1
        return _put_folder(root, put)

    try:
        return objects.put_all(make), count
    except (OSError, tarfile.TarError) as error:
        cause = error if isinstance(error, OSError) else OSError(str(error))
        raise storage_error(cause, "take in a commit", archive) from error


def _folder(root: dict[str, object], parts: tuple[str, ...]) -> dict[str, object]:
    for part in parts:
        inner = root.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = root[part] = {}
        root = inner  # pyright: ignore[reportUnknownVariableType]
    return root


def _put_folder(folder: dict[str, object], put: Callable[[bytes], str]) -> str:
    entries: list[Entry] = []
    for name, inner in folder.items():
        if isinstance(inner, Entry):
            entries.append(inner)
        elif isinstance(inner, dict):
            digest = _put_folder(inner, put)  # pyright: ignore[reportUnknownArgumentType]
            entries.append(Entry(name, "folder", _FOLDER_MODE, digest))
    return put(trees.encode(entries))
