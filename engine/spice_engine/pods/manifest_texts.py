"""The texts of manifests as an editor reads and writes them: whole files, never half of one."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from spice_engine.errors import (
    ChangedOnDisk,
    InvalidManifest,
    InvalidRequest,
    NotFound,
    StorageError,
    TooLarge,
)
from spice_engine.pods.manifests import FOLDER, MAX_MANIFEST_BYTES, SUFFIXES
from spice_engine.protocol.authoring import ManifestText
from spice_engine.store.disk import storage_error, sync_folder, write_all

DEFAULT_MODE = 0o644


def manifest_path(root: Path, path: str) -> Path:
    """The file of a manifest by its `path` relative to the app folder. Blocks.

    Raises:
        InvalidRequest: it does not name a manifest in `spicepods/` of the app folder.
    """
    shown = repr(path[:200])
    try:
        given = Path(os.path.normpath(root / path))
        folder = given.parent.resolve()
        inside = (root / FOLDER).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a null byte
        raise InvalidRequest(f"{shown} is no path: {error}.") from error
    if folder != inside or not given.name or given.name.startswith("."):
        raise InvalidRequest(
            f"{shown} is no manifest of this app folder.",
            hint=f"Manifests lie in {FOLDER}/, as in {FOLDER}/mine.yaml.",
        )
    if given.suffix not in SUFFIXES:
        raise InvalidRequest(
            f"{shown} is no manifest: its name ends in none of {', '.join(sorted(SUFFIXES))}.",
            hint=f"Write {FOLDER}/{given.stem}.yaml.",
        )
    return root / FOLDER / given.name


def digest_of(data: bytes) -> str:
    """What tells this text from any other."""
    return hashlib.sha256(data).hexdigest()


def read_text(root: Path, path: Path, pod: str) -> ManifestText:
    """A manifest as it is on disk. Blocks.

    Raises:
        TooLarge: it is larger than a manifest may be.
        InvalidManifest: it is not UTF-8 text.
        NotFound: it is no file, or cannot be read.
    """
    shown = str(path.relative_to(root))
    data = _content(path)
    if data is None:
        folder = next(one for one in path.parents if one.exists())
        return ManifestText(pod, shown, "", "", exists=False, writable=os.access(folder, os.W_OK))
    if len(data) > MAX_MANIFEST_BYTES:
        raise TooLarge(f"{shown} is over {MAX_MANIFEST_BYTES} bytes.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"{shown} is not UTF-8 text.") from error
    return ManifestText(pod, shown, text, digest_of(data), writable=_refusal(path) == "")


def save_text(path: Path, text: str, base: str, *, force: bool) -> str:
    """Write a manifest in place of the text whose digest is `base`; the new digest. Blocks.

    The file keeps its mode, and a link goes on leading to it.

    Raises:
        InvalidRequest: the text holds half a character.
        TooLarge: it is larger than a manifest may be.
        ChangedOnDisk: the file is another by now, and `force` does not say to replace it.
        StorageError: it must not be written, or the disk is full or broken; what was there is
            untouched.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("the text holds half a character (a lone surrogate).") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise TooLarge(f"the text is over {MAX_MANIFEST_BYTES} bytes.")
    digest = digest_of(data)
    there = _content(path)
    now = "" if there is None else digest_of(there)
    if now == digest:
        return digest
    if now != base and not force:
        what = "was removed" if there is None else "was changed" if base else "was made"
        raise ChangedOnDisk(
            f"{path.name} {what} meanwhile by somebody else.",
            hint="Look at it, then save again over it, or take what is there.",
        )
    if refusal := _refusal(path):
        raise StorageError(
            f"{path.name} cannot be saved: {refusal}.",
            hint="Make it writable (chmod u+w), or save it under another name.",
        )
    try:
        path.parent.mkdir(exist_ok=True)
        _replace(path.resolve(), data)
    except OSError as error:
        raise storage_error(error, f"save {path.name}", path) from error
    return digest


def _content(path: Path) -> bytes | None:
    """The bytes of a file, cut just over the limit; None where there is none."""
    try:
        if path.exists() and not path.is_file():  # a pipe would block for ever on open
            raise NotFound(f"{path.name} is no regular file.")
        with path.open("rb") as source:
            return source.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotFound(f"{path.name} cannot be read: {error.strerror}.") from error


def _refusal(path: Path) -> str:
    """Why a file must not be written; empty where it may be."""
    target = path.resolve()
    with suppress(FileNotFoundError):
        # Renaming over it would work, but whoever took the write bits off did not mean that.
        if not target.stat().st_mode & 0o222 or not os.access(target, os.W_OK):
            return "the file is read-only"
    folder = next(one for one in target.parents if one.exists())
    return "" if os.access(folder, os.W_OK) else "the folder is read-only"


def _replace(target: Path, data: bytes) -> None:
    """Write the file beside, then rename it over the old one."""
    try:
        mode = target.stat().st_mode & 0o7777
    except FileNotFoundError:
        mode = DEFAULT_MODE
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            write_all(descriptor, data)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.rename(target)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
