"""The file that runs travel in, from one engine to another: written and read. Blocking.

A compressed tar file. `archive.json` holds what they belong to; `objects/HASH` are the folders that
they began with, as the object store has them. Of each run, below `runs/N/`, there are `run.json`
(what is known of it), `metrics.jsonl` (a point a line: name, index, time, value), `logs.txt` and
`outputs/`. What is read may come from anybody: nothing of it is written but below the folder it is
read into.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.runs import resource_paths
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.runs.search_plan import is_text
from spice_engine.store.blobs import HASH, Told
from spice_engine.store.disk import storage_error
from spice_runtime import process, run_metrics

FORMAT = 2
HEAD, ABOUT, POINTS = "archive.json", "run.json", "metrics.jsonl"
RUNS, OBJECTS = "runs", "objects"
LARGEST_ABOUT = 64 * 2**20
LONGEST_LINE = 2**20
MOST_FILES = 1_000_000
_FILES = frozenset({ABOUT, POINTS, process.LOG})
_CHUNK = 2**20
_NULL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A null byte as JSON writes it; not a backslash that is followed by the same."""

Point = tuple[str, float | str, int, float]
"""Name, value, index and time, in the order that the store takes."""


@record
class Packed:
    """A run on its way into an archive: what is told of it, the file of its points, its folder."""

    number: int
    about: Mapping[str, Any]
    points: Path
    folder: Path


@record
class Unpacked:
    """A run of an archive, in a folder of its own."""

    number: int
    about: dict[str, Any]
    folder: Path

    @property
    def points(self) -> Path:
        """The file of its points, which need not be there; as the log and the outputs."""
        return self.folder / POINTS

    @property
    def log(self) -> Path:
        """The file of its log."""
        return self.folder / process.LOG

    @property
    def outputs(self) -> Path:
        """The folder of what it left."""
        return self.folder / OUTPUTS


@record
class Archive:
    """An archive in a folder; `objects` by their hashes, which nobody looked at yet."""

    head: dict[str, Any]
    runs: list[Unpacked]
    objects: dict[str, Path]


def write(
    target: Path,
    head: Mapping[str, Any],
    objects: Mapping[str, Path],
    runs: Iterable[Packed],
    space: Path,
    go_on: Told,
) -> int:
    """Write an archive; gives the bytes of the file. `space` is an empty folder for what is made on
    the way; `go_on` is told the bytes of each part, and ends the writing by what it raises.

    Raises:
        StorageError: the disk is full, or something cannot be read.
    """
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    told = space / HEAD
    try:
        with tarfile.open(beside, "x:gz", compresslevel=3) as archive:

            def add(path: Path, name: str) -> None:
                member = _plain(archive.gettarinfo(path, name))
                go_on(member.size)
                if member.islnk():  # of a file with several names each is written
                    member.type, member.linkname = tarfile.REGTYPE, ""
                    member.size = path.lstat().st_size
                if not member.isreg():
                    archive.addfile(member)
                    return
                with path.open("rb") as source:
                    archive.addfile(member, source)

            told.write_text(json.dumps({"format": FORMAT, **head}), encoding="utf-8")
            add(told, HEAD)
            for digest, path in sorted(objects.items()):
                add(path, f"{OBJECTS}/{digest}")
            for run in runs:
                told.write_text(json.dumps(dict(run.about)), encoding="utf-8")
                top = f"{RUNS}/{run.number}"
                log = run.folder / process.LOG
                for name, path in ((ABOUT, told), (POINTS, run.points), (process.LOG, log)):
                    if path.is_file():
                        add(path, f"{top}/{name}")
                for path in _below(run.folder / OUTPUTS):
                    add(path, f"{top}/{path.relative_to(run.folder).as_posix()}")
        beside.replace(target)
        return target.stat().st_size
    except OSError as error:
        raise storage_error(error, "write the archive", target) from error
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


def unpack(source: Path, folder: Path, go_on: Told) -> Archive:
    """Read an archive into an empty folder.

    Raises:
        InvalidRequest: it is no archive of runs, is damaged, or leads out of the folder.
        StorageError: it cannot be read, or the disk is full.
    """
    try:
        with tarfile.open(source, "r:gz") as archive:
            _unpack(archive, folder, go_on)
        head = _object(folder / HEAD)
        if head.get("format") != FORMAT:
            raise _no_archive(source, "its form is of another version")
        places = sorted((folder / RUNS).iterdir(), key=lambda path: int(path.name))
        runs = [Unpacked(int(path.name), _object(path / ABOUT), path) for path in places]
        kept = folder / OBJECTS
        objects = {path.name: path for path in kept.iterdir()} if kept.is_dir() else {}
    except (tarfile.TarError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise _no_archive(source, str(error)) from error
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        # A part is missing, or there twice.
        raise _no_archive(source, str(error)) from error
    except OSError as error:
        raise storage_error(error, "read the archive", source) from error
    return Archive(head, runs, objects)


def _object(path: Path) -> dict[str, Any]:
    found = _real(json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is no object")
    return cast("dict[str, Any]", found)


def _real(found: Any) -> Any:
    """What was read, if it is text that can be stored: JSON has half characters, too.

    Raises:
        ValueError: it is not.
    """
    told = json.dumps(found, ensure_ascii=False)
    told.encode()
    if _NULL.search(told):
        raise ValueError("a text holds a null byte")
    return found


def _unpack(archive: tarfile.TarFile, folder: Path, go_on: Told) -> None:
    links: list[tuple[Path, str]] = []
    for count, member in enumerate(archive):
        if count >= MOST_FILES or not _is_part(member):
            raise InvalidRequest(f"{member.name[:200]!r} is no part of an archive of runs.")
        at = PurePosixPath(member.name)
        if at.name in {HEAD, ABOUT} and len(at.parts) < 4 and member.size > LARGEST_ABOUT:
            raise InvalidRequest("what is told of the runs is too large.")
        path = folder / at
        go_on(0)
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.issym():
            links.append((path, member.linkname))
        elif member.isreg() and (read := archive.extractfile(member)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                while data := read.read(_CHUNK):
                    out.write(data)
                    go_on(len(data))
            path.chmod((member.mode & 0o777) | 0o600)
    # At the end: nothing is written through one.
    for path, target in links:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


def _is_part(member: tarfile.TarInfo) -> bool:
    parts = member.name.split("/")
    match parts:
        case [name]:
            return name == HEAD and member.isreg()
        case ["objects", digest]:
            return HASH.fullmatch(digest) is not None and member.isreg()
        case ["runs", number, name] if name in _FILES:
            return resource_paths.run_number(number) is not None and member.isreg()
        case ["runs", number, "outputs", *rest]:
            whole = not {"", ".", ".."} & set(rest)
            return resource_paths.run_number(number) is not None and whole
        case _:
            return False


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
            told = value if isinstance(value, str) else float(value)
            named = 0 < len(name) <= run_metrics.LONGEST_NAME and is_text(name)
            real = not isinstance(value, str) or is_text(value)
            largest = run_metrics.LARGEST_INDEX
            if named and real and abs(index) <= largest and abs(time) < largest:
                return name, told, index, float(time)
        case _:
            pass
    raise ValueError(f"{line[:80]!r} is no point")


def _no_archive(source: Path, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"{source.name!r} holds no runs: {reason[:200]}.",
        hint="`spice-tui export runs/3 FILE` writes such a file.",
    )
