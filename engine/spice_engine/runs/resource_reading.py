"""Looks into a resource: the beginning of a file, and how much a folder holds. Blocking."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.runs import resource_files as files
from spice_engine.runs.resource_files import Resource
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore


def beginning(objects: ObjectStore, resource: Resource, limit: int) -> tuple[bytes, int]:
    """The first bytes of a file, and how many it has in all.

    Raises:
        InvalidRequest: it is a folder.
        NotFound, StorageError: it cannot be read.
    """
    if resource.kind == "folder":
        raise InvalidRequest(f"{resource.path} is a folder.", hint="Name a file in it.")
    try:
        if resource.place is None:
            with objects.open(resource.object) as source:
                return source.read(limit), os.fstat(source.fileno()).st_size
        with resource.place.open("rb") as source:
            return source.read(limit), os.fstat(source.fileno()).st_size
    except OSError as error:
        raise storage_error(error, "read the file", resource.path) from error


def text_of(data: bytes) -> str | None:
    """The bytes as text, without a character that was cut off at the end; None if they are none."""
    if b"\0" in data:
        return None
    for cut in range(4):
        try:
            return data[: len(data) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None


def measured(
    objects: ObjectStore, resource: Resource, go_on: Callable[[int], None]
) -> tuple[int, int]:
    """How many files there are, and their bytes; `go_on` is called for each folder on
    disk.

    Raises:
        NotFound, StorageError: a part of it cannot be read.
    """
    if resource.kind == "file":
        return 1, resource.size
    if resource.place is None:
        stored = files.measured(objects, resource.object)
        return stored.files, stored.size
    count = size = 0
    for path, folders, names in os.walk(resource.place):
        hidden = resource.hidden if path == str(resource.place) else frozenset[str]()
        folders[:] = [name for name in folders if name not in hidden]
        for name in names:
            if name not in hidden:
                with contextlib.suppress(FileNotFoundError):
                    size += Path(path, name).lstat().st_size
                    count += 1
        go_on(0)
    return count, size
