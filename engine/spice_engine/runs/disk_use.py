"""What the engine's files take of the disk: by part, by run, and in the object store by owner.

Everything here blocks: call it through `asyncio.to_thread`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spice_engine.protocol.disk_use import DiskUsage, RunUsage, StoredFor, UsagePart
from spice_engine.runs import resource_paths
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.store.objects import ObjectStore

LARGEST = 20
_BLOCK = 512  # what `st_blocks` counts, whatever the file system's own blocks are

_FOLDERS = {
    "objects": "object store",
    "trees": "folders of runs",
    "environments": "environments",
    "models": "models of servers",
}
_OWNERS = {
    "run": "runs",
    "upload": "uploads",
    "model": "models",
    "policy": "policies",
    "server": "servers",
    "search": "searches",
    "workflow": "workflows",
}


@dataclass(slots=True)
class Measure:
    """Counts files and bytes on disk; of a file with several names the first counts."""

    files: int = 0
    bytes: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def add(self, stat: os.stat_result) -> None:
        """One more file."""
        if stat.st_nlink > 1:
            if (stat.st_dev, stat.st_ino) in self.seen:
                return
            self.seen.add((stat.st_dev, stat.st_ino))
        self.files += 1
        self.bytes += stat.st_blocks * _BLOCK


def measured(top: Path, measure: Measure | None = None) -> Measure:
    """What a folder, or a file, takes; what goes away meanwhile takes nothing."""
    measure = measure or Measure()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if not top.is_dir() or top.is_symlink():
            measure.add(top.lstat())
        else:
            for stat in _stats(top):
                measure.add(stat)
    return measure


def _stats(top: Path) -> Iterator[os.stat_result]:
    left = [str(top)]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as found:
            for item in found:
                with contextlib.suppress(FileNotFoundError):
                    if item.is_dir(follow_symlinks=False):
                        left.append(item.path)
                    else:
                        yield item.stat(follow_symlinks=False)


def usage_of(state: Path, objects: ObjectStore, needed: Mapping[str, frozenset[str]]) -> DiskUsage:
    """Everything in the engine's state; `needed` are the objects of each owner."""
    parts: dict[str, Measure] = {}
    shared = set[tuple[int, int]]()  # among all parts

    def part(name: str) -> Measure:
        return parts.setdefault(name, Measure(seen=shared))

    runs: list[RunUsage] = []
    for path in sorted(state.iterdir()):
        if path.name == "runs":
            runs = _runs(path, part("outputs of runs"), part("logs and work of runs"))
        elif path.name in _FOLDERS:
            measured(path, part(_FOLDERS[path.name]))
        elif ".db" in path.name:
            measured(path, part("databases"))
        else:
            measured(path, part("the rest"))
    return DiskUsage(
        str(state),
        sum(one.bytes for one in parts.values()),
        shutil.disk_usage(state).free,
        [UsagePart(name, one.files, one.bytes) for name, one in sorted(parts.items())],
        _stored(objects, needed),
        sorted(runs, key=lambda run: -run.bytes)[:LARGEST],
    )


def _runs(folder: Path, outputs: Measure, others: Measure) -> list[RunUsage]:
    found: list[RunUsage] = []
    for path in sorted(folder.iterdir()):
        before = outputs.bytes, others.bytes
        for inner in sorted(path.iterdir()) if path.is_dir() else [path]:
            measured(inner, outputs if inner.name == OUTPUTS else others)
        left = outputs.bytes - before[0]
        number = resource_paths.run_number(path.name)
        if number is not None:
            found.append(RunUsage(number, left, left + others.bytes - before[1]))
    return found


def _stored(objects: ObjectStore, needed: Mapping[str, frozenset[str]]) -> list[StoredFor]:
    kinds: dict[str, list[str]] = {}
    for owner in needed:
        kinds.setdefault(_OWNERS.get(owner.partition(":")[0], "the rest"), []).append(owner)
    closures = {
        kind: objects.closure({one for owner in owners for one in needed[owner]})
        for kind, owners in kinds.items()
    }
    found: list[StoredFor] = []
    for kind, own in sorted(closures.items()):
        others = set[str]().union(*(one for name, one in closures.items() if name != kind))
        found.append(
            StoredFor(
                kind,
                len(kinds[kind]),
                len(own),
                size_of(objects, own),
                size_of(objects, own - others),
            )
        )
    return found


def size_of(objects: ObjectStore, hashes: Iterable[str]) -> int:
    """Bytes on disk of objects."""
    total = 0
    for digest in hashes:
        with contextlib.suppress(FileNotFoundError):
            total += objects.path_of(digest).stat().st_blocks * _BLOCK
    return total


def open_folders(top: Path) -> None:
    """Let all folders below be written to: a command may have closed them."""
    top.chmod(0o700)
    for path, folders, _ in os.walk(top):
        for name in folders:
            inner = Path(path, name)
            if not inner.is_symlink():
                inner.chmod(0o700)
