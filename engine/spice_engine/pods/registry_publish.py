"""Puts a pod's package into a registry that is a folder; the listing is never half written.

Everything here blocks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from spice_engine.errors import Conflict, NotFound, TooLarge
from spice_engine.pods import registry_git
from spice_engine.pods.deadline import Deadline
from spice_engine.pods.install import Staged
from spice_engine.pods.package import pack
from spice_engine.pods.registry_http import LARGEST
from spice_engine.pods.registry_index import (
    FILE_NAME,
    Index,
    IndexVersion,
    check_name,
    check_version,
    index_bytes,
    read_index,
)
from spice_engine.records import record
from spice_engine.store.disk import storage_error

PACKAGES = "packages"


@record
class NewVersion:
    """What was published; `commit` is empty where the folder is in no git work tree."""

    name: str
    version: str
    file: str
    sha256: str
    commit: str


def publish(
    folder: Path,
    name: str,
    version: str,
    summary: str,
    files: Mapping[str, Path],
    deadline: Deadline,
) -> NewVersion:
    """Add a version of a package to the registry in `folder`, and commit it in a git work tree.

    `files` maps paths in an app folder to the files. Without `version` it is the next whole
    number, or the newest one if that has the same content.

    Raises:
        NotFound: there is no such folder.
        Conflict: the registry has that version with other content.
        InvalidRequest: the name or version has a form that is not allowed.
        StorageError: the folder cannot be written.
    """
    check_name(name)
    if version:
        check_version(version)
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}.", hint="Make it first.")
    data = _zip(files)
    digest = hashlib.sha256(data).hexdigest()
    with _locked(folder):
        index = _index(folder)
        newest = index.find(name)
        if not version and newest is not None and newest.sha256 == digest:
            version = newest.version
        version = version or _next(index, name)
        file = f"{PACKAGES}/{name.replace('/', '-')}-{version}.zip"
        known = _known(index, name, version)
        if known is not None and known.sha256 != digest:
            raise Conflict(
                f"{name} {version} is in the registry already, with other content.",
                hint="A version never changes: publish it under another one.",
            )
        if known is None:
            entry = IndexVersion(version, file, digest, len(data), time.time())
            index = index.with_version(name, summary, entry)
        else:
            file = known.file
        # The listing goes last: it never names what is not there.
        for content in ({file: data}, {FILE_NAME: index_bytes(index)}):
            staged = Staged(folder, content, force=True)
            try:
                staged.commit()
            finally:
                staged.close()
        message = f"Publish {name} {version}"
        commit = registry_git.commit_files(folder, [file, FILE_NAME], message, deadline)
    return NewVersion(name, version, file, digest, commit)


def _zip(files: Mapping[str, Path]) -> bytes:
    total = 0
    contents: dict[str, bytes] = {}
    for path, file in files.items():
        try:
            total += file.stat().st_size
            if total > LARGEST:
                raise TooLarge(f"the pod's files have over {LARGEST} bytes, the limit of packages.")
            contents[path] = file.read_bytes()
        except OSError as error:
            raise storage_error(error, "read the pod's files", file) from error
    return pack(contents, zipfile.ZIP_DEFLATED)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Alone among all that publish into the folder."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise storage_error(error, "publish", folder) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _index(folder: Path) -> Index:
    path = folder / FILE_NAME
    try:
        return read_index(path.read_bytes(), str(folder))
    except FileNotFoundError:
        return Index()
    except OSError as error:
        raise storage_error(error, "read the registry", path) from error


def _known(index: Index, name: str, version: str) -> IndexVersion | None:
    try:
        return index.find(name, version)
    except NotFound:
        return None


def _next(index: Index, name: str) -> str:
    versions = [
        int(one.version)
        for package in index.packages
        if package.name.lower() == name.lower()
        for one in package.versions
        if one.version.isdecimal()
    ]
    return str(max(versions, default=0) + 1)
