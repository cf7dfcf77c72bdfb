"""The file that one run travels in, from one engine to another: written and read. Blocking.

A compressed tar file with `run.json` (what is known of it), `metrics.jsonl` (a point a line: name,
index, time, value), `logs.txt` and `outputs/`. What is read may come from anybody: nothing of it is
written but below the folder it is read into.
"""

from __future__ import annotations

import json
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from spice_engine.errors import InvalidRequest
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.store.disk import storage_error
from spice_runtime import process

FORMAT = 1
ABOUT, POINTS = "run.json", "metrics.jsonl"
LARGEST_ABOUT = 16 * 2**20
LONGEST_LINE = 2**20
MOST_FILES = 1_000_000
_FILES = frozenset({ABOUT, POINTS, process.LOG})
_CHUNK = 2**20

Point = tuple[str, int, float, float | str]
GoOn = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A run's archive in a folder."""

    about: dict[str, Any]
    points: Path
    log: Path
    outputs: Path


def write(target: Path, about: dict[str, Any], points: Path, run: Path, go_on: GoOn) -> int:
    """Write a run whose folder is `run`; gives the bytes of the file. `go_on` is told the bytes of
    each part, and ends the writing by what it raises.

    Raises:
        StorageError: the disk is full, or something cannot be read.
    """
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    told = points.with_name(ABOUT)
    try:
        told.write_text(json.dumps({"format": FORMAT, "run": about}, indent=1), encoding="utf-8")
        with tarfile.open(beside, "x:gz", compresslevel=3) as archive:
            for name, path in ((ABOUT, told), (POINTS, points), (process.LOG, run / process.LOG)):
                if path.is_file():
                    go_on(path.stat().st_size)
                    archive.add(path, name, filter=_plain)
            for path in _below(run / OUTPUTS):
                go_on(path.lstat().st_size)
                at = PurePosixPath(OUTPUTS) / path.relative_to(run / OUTPUTS).as_posix()
                archive.add(path, str(at), recursive=False, filter=_plain)
        beside.replace(target)
        return target.stat().st_size
    except OSError as error:
        raise storage_error(error, "write the run", target) from error
    finally:
        beside.unlink(missing_ok=True)


def _below(top: Path) -> Iterator[Path]:
    """Folders before what they hold; links are not followed."""
    for path, folders, names in os.walk(top):
        folders.sort()
        for name in sorted([*folders, *names]):
            yield Path(path, name)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who they belong to here."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(source: Path, folder: Path, go_on: GoOn) -> Unpacked:
    """Read a run's archive into an empty folder.

    Raises:
        InvalidRequest: it is no archive of a run, is damaged, or leads out of the folder.
        StorageError: it cannot be read, or the disk is full.
    """
    try:
        with tarfile.open(source, "r:gz") as archive:
            _unpack(archive, folder, go_on)
        text = (folder / ABOUT).read_text(encoding="utf-8")
        told = cast("dict[str, Any]", json.loads(text))
        if not isinstance(told, dict) or told.get("format") != FORMAT:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _no_archive(source, "its form is of another version")
        about = cast("dict[str, Any]", told["run"])
    except (tarfile.TarError, EOFError, zlib.error, ValueError, KeyError) as error:
        raise _no_archive(source, str(error)) from error
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        # A part is missing, or there twice.
        raise _no_archive(source, str(error)) from error
    except OSError as error:
        raise storage_error(error, "read the run", source) from error
    return Unpacked(about, folder / POINTS, folder / process.LOG, folder / OUTPUTS)


def _unpack(archive: tarfile.TarFile, folder: Path, go_on: GoOn) -> None:
    links: list[tuple[Path, str]] = []
    for count, member in enumerate(archive):
        at = PurePosixPath(member.name)
        named = member.name in _FILES and member.isreg()
        if count >= MOST_FILES or not (named or (at.parts[0] == OUTPUTS and _is_inside(at))):
            raise InvalidRequest(f"{member.name[:200]!r} is no part of a run.")
        if member.name == ABOUT and member.size > LARGEST_ABOUT:
            raise InvalidRequest("what is told of the run is too large.")
        go_on(member.size)
        path = folder / at
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.issym():
            links.append((path, member.linkname))
        elif member.isreg() and (read := archive.extractfile(member)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                while data := read.read(_CHUNK):
                    out.write(data)
            path.chmod((member.mode & 0o777) | 0o600)
    # At the end: nothing is written through one.
    for path, target in links:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


def _is_inside(at: PurePosixPath) -> bool:
    return not at.is_absolute() and ".." not in at.parts


def points_of(path: Path, at_once: int) -> Iterator[list[Point]]:
    """The points of a run, many at once.

    Raises:
        InvalidRequest: a line is no point.
        StorageError: the file cannot be read.
    """
    batch: list[Point] = []
    try:
        with path.open(encoding="utf-8") as lines:
            while line := lines.readline(LONGEST_LINE):
                batch.append(_point(line))
                if len(batch) == at_once:
                    yield batch
                    batch = []
    except FileNotFoundError:
        pass  # a run without any
    except ValueError as error:
        raise InvalidRequest(f"the run's metrics are damaged: {error}.") from error
    except OSError as error:
        raise storage_error(error, "read the run's metrics", path) from error
    if batch:
        yield batch


def _point(line: str) -> Point:
    match json.loads(line):
        case [str(name), int(index), int() | float() as time, int() | float() | str() as value]:
            return name, index, float(time), value if isinstance(value, str) else float(value)
        case _:
            raise ValueError(f"{line[:80]!r} is no point")


def _no_archive(source: Path, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"{source.name!r} holds no run: {reason[:200]}.",
        hint="`spice-tui export runs/3 FILE` writes such a file.",
    )
