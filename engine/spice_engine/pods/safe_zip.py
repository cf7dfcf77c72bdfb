"""Unpacks ZIP archives that come from elsewhere: into a new folder and within bounds, or not.

Nothing that an archive says of itself is believed: names are checked before anything is
written, and sizes are counted while bytes are read. Everything here blocks.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from spice_engine.errors import InvalidData, Place, TooLarge
from spice_engine.records import record
from spice_engine.store.disk import storage_error

_CHUNK = 2**18
_END = struct.Struct("<4s4H2LH")
_END_MARK, _ZIP64_MARK = b"PK\x05\x06", b"PK\x06\x07"
_ZIP64_LOCATOR = 20
_LONGEST_COMMENT = 2**16
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
_RATIO_FROM = 2**23
# What `zipfile` raises for archives that were cut, changed or made up.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError)


class InvalidPackage(InvalidData):
    """An archive that is damaged, dangerous, or not what it should be; nothing was written."""

    code = "invalid_package"


@record
class Limits:
    """Bounds of one archive: entries, bytes of it, and bytes unpacked in all.

    From 8 MiB on, what is unpacked may be at most `ratio` times as large as the archive.
    """

    entries: int = 2_000
    packed: int = 64 * 2**20
    unpacked: int = 256 * 2**20
    ratio: int = 100
    listing: int = 2**20


DEFAULT_LIMITS = Limits()


def unpack(
    source: BinaryIO,
    into: Path,
    name: str,
    limits: Limits = DEFAULT_LIMITS,
    wanted: Callable[[str], bool] | None = None,
) -> list[str]:
    """Unpack an archive into the folder `into`, which is made; the files' paths, sorted.

    `name` is what messages call the archive. What `wanted` says False to is left out, whatever
    it is. After an error the folder is gone again.

    Raises:
        InvalidPackage: it is no ZIP archive, is damaged, or holds what must not be unpacked.
        TooLarge: it goes over a limit.
        StorageError: the folder is there already or cannot be written.
    """
    place = Place(name)
    size = _check_size(source, place, limits)
    try:
        into.mkdir(parents=True)
    except OSError as error:
        raise storage_error(error, "unpack the archive", into) from error
    try:
        with zipfile.ZipFile(source) as archive:
            entries = _checked(archive, place, limits, wanted)
            _write(archive, entries, into, place, limits, size)
    except (*_DAMAGE, NotImplementedError) as error:
        shutil.rmtree(into, ignore_errors=True)
        raise InvalidPackage(
            f"it is damaged, or no ZIP archive: {error or 'it ends too early'}.",
            hint="Get or make it again.",
            place=place,
        ) from error
    except OSError as error:
        shutil.rmtree(into, ignore_errors=True)
        raise storage_error(error, "unpack the archive", into) from error
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return sorted(path for path, _ in entries)


def check_path(path: str, place: Place) -> None:
    """Refuse a relative path that could lead elsewhere, or that not every machine can hold.

    Raises:
        InvalidPackage: it is absolute, holds `..`, or characters that files must not have here.
    """
    parts = path.split("/")
    reason = ""
    if not path or path.startswith("/") or "\\" in path or ":" in path:
        reason = "is no relative path with slashes"
    elif any(part in {"", ".", ".."} for part in parts):
        reason = "leads out of its folder"
    elif any(part.startswith(".") for part in parts):
        reason = "is hidden"
    elif not path.isprintable() or any(part != part.strip() or part[-1] == "." for part in parts):
        reason = "holds characters that no file's name should have"
    elif len(parts) > 16 or any(len(os.fsencode(part)) > 200 for part in parts):
        reason = "is too long"
    if reason:
        raise InvalidPackage(
            f"the path {path[:200]!r} {reason}.",
            hint="Such an archive is not made by this program: do not trust its source.",
            place=place,
        )


def _check_size(source: BinaryIO, place: Place, limits: Limits) -> int:
    """The archive's size, once what `zipfile` reads at once of its end is known to be bounded."""
    size = source.seek(0, os.SEEK_END)
    if size > limits.packed:
        raise TooLarge(f"it has {size} bytes, over the limit of {limits.packed}.", place=place)
    start = max(0, size - _LONGEST_COMMENT - _END.size - _ZIP64_LOCATOR)
    source.seek(start)
    tail = source.read()
    at = len(tail) - _END.size
    if at < 0 or tail[at : at + 4] != _END_MARK or tail[-2:] != b"\0\0":
        at = tail.rfind(_END_MARK)
    if at < 0 or at + _END.size > len(tail):
        raise InvalidPackage("it is no ZIP archive.", place=place)
    if tail[max(0, at - _ZIP64_LOCATOR) : at].startswith(_ZIP64_MARK):
        raise TooLarge("it is in the form for archives over 4 GiB.", place=place)
    _, _, _, _, entries, listing, _, _ = _END.unpack_from(tail, at)
    if entries > limits.entries or listing > limits.listing:
        raise TooLarge(
            f"it holds {entries} entries, over the limit of {limits.entries}.", place=place
        )
    source.seek(0)
    return size


def _checked(
    archive: zipfile.ZipFile,
    place: Place,
    limits: Limits,
    wanted: Callable[[str], bool] | None,
) -> list[tuple[str, zipfile.ZipInfo]]:
    """The files of the archive by path, folders left out, after looking at every name."""
    infos = archive.infolist()
    if len(infos) > limits.entries:
        raise TooLarge(
            f"it holds {len(infos)} entries, over the limit of {limits.entries}.", place=place
        )
    found: list[tuple[str, zipfile.ZipInfo]] = []
    known: dict[str, str] = {}
    for info in infos:
        # `orig_filename` is what the archive says; `filename` is cut at a NUL.
        path = info.orig_filename.removesuffix("/")
        if wanted is not None and not wanted(path):
            continue
        check_path(path, place)
        folder = info.orig_filename.endswith("/")
        mode = stat.S_IFMT(info.external_attr >> 16)
        if mode not in ({0, stat.S_IFDIR} if folder else {0, stat.S_IFREG}):
            raise InvalidPackage(f"{path!r} is a link or device, not a file.", place=place)
        if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
            raise InvalidPackage(
                f"{path!r} is encrypted, or packed by a method that is not read here.", place=place
            )
        if not folder:
            found.append((path, info))
        _tell_apart(known, path, folder=folder, place=place)
    return found


def _tell_apart(known: dict[str, str], path: str, *, folder: bool, place: Place) -> None:
    """Refuse what some file system takes for one file, though the archive holds two.

    `known` maps what such a file system would look for to the path that came first; those of
    folders end with a slash. A folder may come several times, in one spelling.
    """
    parts = path.split("/")
    paths = ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts))]
    for one in [*paths, f"{path}/" if folder else path]:
        key = unicodedata.normalize("NFC", one.removesuffix("/")).casefold()
        again = one == path and key in known
        first = known.setdefault(key, one)
        if first != one or again:
            raise InvalidPackage(
                f"{path!r} and {first!r} cannot both be files here.",
                hint="Names must differ in more than case, and be there once.",
                place=place,
            )


def _write(
    archive: zipfile.ZipFile,
    entries: list[tuple[str, zipfile.ZipInfo]],
    into: Path,
    place: Place,
    limits: Limits,
    size: int,
) -> None:
    """Write the files, counting what is read; `size` is that of the archive."""
    most = min(limits.unpacked, max(_RATIO_FROM, size * limits.ratio))
    total = 0
    for path, info in entries:
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("xb") as out:
            while chunk := source.read(_CHUNK):
                total += len(chunk)
                if total > most:
                    raise TooLarge(
                        f"unpacked it has more than {most} bytes, far more than it should.",
                        hint="It may be made to fill the disk: do not trust its source.",
                        place=place,
                    )
                out.write(chunk)
