"""Which files of a folder make a pod's package, and where in an app folder they go.

Everything here blocks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from spice_engine.errors import NotFound, Place, TooLarge
from spice_engine.pods import plan
from spice_engine.pods.manifests import FOLDER, SUFFIXES, find_manifests, read_manifest
from spice_engine.pods.model import Manifest
from spice_engine.pods.safe_zip import DEFAULT_LIMITS, InvalidPackage, check_path
from spice_engine.store.disk import storage_error

DATA = "data"
ALLOWED = frozenset(
    SUFFIXES
    | {".py", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt", ".md"}
    | {".parquet", ".arrow", ".arrows", ".feather", ".ipc", ".db", ".sqlite", ".sqlite3"}
)
"""Types of files that packages are made of: manifests, code, data and words."""
_UNTYPED = frozenset({"LICENSE", "NOTICE", "README"})


def is_wanted(path: str) -> bool:
    """Whether a file of a repository may be part of a package: of a known type, not hidden."""
    pure = PurePosixPath(path)
    if any(part.startswith(".") or part == "__pycache__" for part in pure.parts):
        return False
    return pure.suffix.lower() in ALLOWED or pure.name in _UNTYPED


def app_files(folder: Path) -> dict[str, Path]:
    """The files of a package by where they go, relative to the app folder.

    Those of an app folder are `spicepods/`, `data/`, and what its manifests name. In the original
    product's layout the manifests lie at the top, and all goes to `spicepods/`.

    Raises:
        NotFound: there is no manifest in it.
        InvalidPackage: it holds a file that must not come with a package.
        TooLarge: it is over the limits of packages.
    """
    place = Place(folder.name)
    if (folder / FOLDER).is_dir():
        paths = {*_below(folder, FOLDER), *_below(folder, DATA)}
        for text in find_manifests(folder).values():
            manifest, _ = read_manifest(text.text, "", text.unreadable)
            if manifest is not None:
                paths.update(named_files(manifest, folder))
        files = {path: folder / path for path in paths}
    else:
        files = {f"{FOLDER}/{path}": folder / path for path in _below(folder, "")}
    if not any(_is_manifest(path) for path in files):
        raise NotFound(
            f"there is no pod in {folder}.",
            hint=f"A package is a folder with {FOLDER}/NAME.yaml, or NAME.yaml, in it.",
        )
    _check(folder, files, place)
    return dict(sorted(files.items()))


def named_files(manifest: Manifest, root: Path) -> list[str]:
    """The data and reward files of a manifest that are there and inside `root`, relative to it."""
    base = Path(os.path.normpath(root.absolute()))
    return [
        path.relative_to(base).as_posix()
        for path in plan.files(manifest, root)
        if path.is_relative_to(base) and path.is_file()
    ]


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file.

    Raises:
        StorageError: one cannot be read.
    """
    found: dict[str, str] = {}
    for path, file in files.items():
        try:
            with file.open("rb") as source:
                found[path] = hashlib.file_digest(source, "sha256").hexdigest()
        except OSError as error:
            raise storage_error(error, "read the package", file) from error
    return found


def tree_digest(sums: Mapping[str, str]) -> str:
    """One SHA-256 for all files: of lines `<digest>  <path>`, by path."""
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _is_manifest(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder == FOLDER and PurePosixPath(name).suffix in SUFFIXES


def _below(folder: Path, part: str) -> list[str]:
    """The files below a part of the folder, those left out that never belong to a package."""
    found: list[str] = []
    for path, folders, names in os.walk(folder / part):
        folders[:] = [name for name in folders if not _left_out(name)]
        found += [
            (Path(path) / name).relative_to(folder).as_posix()
            for name in names
            if not _left_out(name)
        ]
    return found


def _left_out(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _check(folder: Path, files: Mapping[str, Path], place: Place) -> None:
    if len(files) > DEFAULT_LIMITS.entries:
        raise TooLarge(f"it has {len(files)} files, over {DEFAULT_LIMITS.entries}.", place=place)
    base = folder.resolve()
    total = 0
    for path, file in files.items():
        check_path(path, place)
        if not is_wanted(path):
            raise InvalidPackage(
                f"{path!r} is of a type that does not come with pods.",
                hint="Packages hold manifests, Python code, data and texts only.",
                place=place,
            )
        try:
            if not file.resolve(strict=True).is_relative_to(base) or not file.is_file():
                raise InvalidPackage(f"{path!r} leads out of the package.", place=place)
            total += file.stat().st_size
        except (OSError, RuntimeError) as error:
            raise InvalidPackage(f"{path!r} cannot be read: {error}.", place=place) from error
    if total > DEFAULT_LIMITS.unpacked:
        raise TooLarge(
            f"its files have {total} bytes, over the limit of {DEFAULT_LIMITS.unpacked}.",
            place=place,
        )
