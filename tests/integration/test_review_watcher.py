"""The watcher where folders come late, go away or are replaced, and where its caller fails."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from spice_engine.pods.watcher import Watcher


class Seen:
    """What a watcher told."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.fails = False

    async def __call__(self, paths: frozenset[Path]) -> None:
        self.paths += paths
        if self.fails:
            self.fails = False
            raise KeyError("a defect")


@asynccontextmanager
async def watching(*folders: Path) -> AsyncIterator[Seen]:
    seen = Seen()
    watcher = Watcher(seen)
    watcher.watch(folders)
    try:
        await until(lambda: seen.paths, "the folders at the beginning")
        seen.paths.clear()
        yield seen
    finally:
        await watcher.close()


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


async def test_a_folder_made_later_is_watched(tmp_path: Path):
    late = tmp_path / "late"
    async with watching(tmp_path, late) as seen:
        late.mkdir()
        await until(lambda: late in seen.paths, "the folder")
        (late / "file").write_text("1")
        await until(lambda: late / "file" in seen.paths, "the file in it")


async def test_a_folder_that_is_replaced_is_watched_on(tmp_path: Path):
    data, other = tmp_path / "data", tmp_path / "other"
    data.mkdir()
    async with watching(tmp_path, data) as seen:
        other.mkdir()
        data.rename(tmp_path / "old")
        other.rename(data)
        await until(lambda: data in seen.paths, "the new folder")
        seen.paths.clear()
        (data / "file").write_text("1")
        await until(lambda: data / "file" in seen.paths, "the file in the new one")
        shutil.rmtree(data)
        await until(lambda: tmp_path in seen.paths, "that it is gone")
        data.mkdir()
        (data / "file").write_text("2")
        await until(lambda: data in seen.paths, "the third folder")


async def test_a_change_that_cannot_be_taken_in_does_not_end_the_watching(tmp_path: Path):
    async with watching(tmp_path) as seen:
        seen.fails = True
        (tmp_path / "one").write_text("1")
        await until(lambda: not seen.fails, "the failure")
        (tmp_path / "two").write_text("2")
        await until(lambda: tmp_path / "two" in seen.paths, "the next change")


async def test_what_changes_while_the_set_of_folders_does_is_not_lost(tmp_path: Path):
    folders = [tmp_path / str(number) for number in range(8)]
    for folder in folders:
        folder.mkdir()
    seen = Seen()
    watcher = Watcher(seen)
    try:
        for number, folder in enumerate(folders):
            watcher.watch(folders[: number + 1])
            await asyncio.sleep(0.003 * number)
            (folder / "file").write_text("1")
            await until(
                lambda folder=folder: {folder, folder / "file"} & set(seen.paths), f"{folder}"
            )
    finally:
        await watcher.close()
