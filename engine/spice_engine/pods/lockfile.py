"""`spice.lock`: where the packages of an app folder came from, and what they held.

JSON in a fixed order, meant to be committed. Everything here blocks.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from spice_engine.app_folder import write_atomically
from spice_engine.errors import Conflict, Place, StorageError
from spice_engine.records import record
from spice_engine.store.disk import storage_error

FILE_NAME = "spice.lock"
VERSION = 1


class InvalidLockFile(StorageError):
    """The lock file cannot be read."""

    code = "invalid_lock_file"


class ChecksumMismatch(Conflict):
    """A package is not what it was, or not what its registry says."""

    code = "checksum_mismatch"


@record
class LockedPackage:
    """A package as it was added: `sha256` is that of all its files, `files` those of each.

    `reference` adds it again: what was asked for, with the version that was found.
    """

    name: str
    version: str
    source: str
    reference: str
    sha256: str
    files: Mapping[str, str]


def read(root: Path) -> dict[str, LockedPackage]:
    """The packages of an app folder by name; none where there is no file.

    Raises:
        InvalidLockFile: it is damaged or of another version.
    """
    path = root / FILE_NAME
    try:
        content = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']!r} is not known")
        return {
            str(name): LockedPackage(
                str(name),
                str(one["version"]),
                str(one["source"]),
                str(one["reference"]),
                str(one["sha256"]),
                {str(file): str(digest) for file, digest in one["files"].items()},
            )
            for name, one in cast("dict[str, Any]", content["packages"]).items()
        }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise storage_error(error, "read the lock file", path) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidLockFile(
            f"it cannot be read ({error!r}).",
            hint="Take it back from version control, or remove it and add the packages again.",
            place=Place(FILE_NAME),
        ) from error


def check(root: Path, package: LockedPackage) -> None:
    """Compare a package with what the lock file says of the same version of the same source.

    Raises:
        ChecksumMismatch: it was something else when it was added.
        InvalidLockFile: see `read`.
    """
    known = read(root).get(package.name)
    if (
        known is not None
        and package.version
        and (known.source, known.version) == (package.source, package.version)
        and known.sha256 != package.sha256
    ):
        raise ChecksumMismatch(
            f"{package.name} {package.version} is not what it was when it was added here.",
            hint="A version should never change: ask its publisher. --force takes it anyway.",
            place=Place(FILE_NAME),
        )


def note(root: Path, package: LockedPackage) -> None:
    """Write down what was added, in place of what was known of that name.

    Raises:
        InvalidLockFile: see `read`.
        StorageError: it cannot be written.
    """
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise storage_error(error, "write the lock file", root) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        packages = {**read(root), package.name: package}
        content = {
            "version": VERSION,
            "packages": {
                name: {
                    "version": one.version,
                    "source": one.source,
                    "reference": one.reference,
                    "sha256": one.sha256,
                    "files": dict(sorted(one.files.items())),
                }
                for name, one in sorted(packages.items())
            },
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        write_atomically(root / FILE_NAME, text)
    finally:
        os.close(handle)
