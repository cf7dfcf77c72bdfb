"""A disk that fills up: errors in words, nothing confirmed is lost, and writing goes on after."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spice_engine.app_folder import write_atomically
from spice_engine.errors import StorageError
from spice_engine.store import values
from spice_engine.store.database import Database
from spice_engine.store.framedlog import FramedLog, read_frames
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore
from spice_engine.store.series import Point

MEBIBYTE = 2**20


def mount(folder: Path, *options: str) -> None:
    if sys.platform != "linux" or os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root on Linux")
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder, "-t", "tmpfs", "-o", "size=8m", "none")
    yield folder
    unmount(folder)


@pytest.fixture
def ballast(small_disk: Path) -> Path:
    """Where the rest of the small disk goes when a test fills it."""
    return small_disk / "ballast"


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


async def test_the_database_goes_on_when_space_returns(small_disk: Path, ballast: Path) -> None:
    db = await Database.open(small_disk / "engine.db", "engine")
    await db.write(lambda c: values.put(c, "before", 1))
    fill(ballast)

    def large(connection: sqlite3.Connection) -> None:
        values.put(connection, "large", "x" * MEBIBYTE)

    results = await asyncio.gather(*(db.write(large) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, StorageError) for result in results)
    assert "disk is full" in str(results[0])
    assert "nothing stored is lost" in str(results[0])
    assert await db.read(lambda c: values.get(c, "before")) == 1
    assert await db.read(lambda c: values.get(c, "large")) is None
    ballast.unlink()
    await db.write(large)
    assert await db.read(lambda c: len(values.get(c, "large"))) == MEBIBYTE
    assert await db.check() == ()
    await db.close()


async def test_metrics_wait_in_memory_for_space(small_disk: Path, ballast: Path) -> None:
    store = await MetricStore.open(small_disk / "metrics.db")
    fill(ballast)
    store.add("run:1", [Point("text", "x" * 200, float(n)) for n in range(4000)])
    with pytest.raises(StorageError, match="disk is full"):
        await store.flush()
    assert store.waiting == 4000
    ballast.unlink()
    await store.flush()
    assert len(await store.points("run:1", "text")) == 4000
    await store.close()


def test_a_framed_log_takes_back_a_group_that_did_not_fit(small_disk: Path, ballast: Path) -> None:
    log = FramedLog(small_disk / "a.log")
    log.append([b"kept"])
    fill(ballast)
    with pytest.raises(StorageError, match="disk is full"):
        log.append([b"y" * 100_000 for _ in range(20)])
    assert log.path.stat().st_size == log.size
    ballast.unlink()
    log.append([b"after"])
    log.close()
    assert [payload for _, payload in read_frames(log.path)] == [b"kept", b"after"]


def test_an_object_that_does_not_fit_leaves_nothing(
    small_disk: Path, ballast: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(2 * MEBIBYTE))
    store = ObjectStore(small_disk / "objects")
    fill(ballast)
    with pytest.raises(StorageError, match="disk is full"):
        store.put_tree(source)
    with pytest.raises(StorageError, match="disk is full"):
        store.put_bytes(b"z" * MEBIBYTE)
    assert list((store.folder / "tmp").iterdir()) == []
    ballast.unlink()
    store.verify(store.put_tree(source).hash)
    store.close()


def test_a_file_is_replaced_whole_or_not_at_all(small_disk: Path, ballast: Path) -> None:
    path = small_disk / "state.json"
    write_atomically(path, "old")
    fill(ballast)
    with pytest.raises(StorageError, match="No space left"):
        write_atomically(path, "n" * MEBIBYTE)
    assert path.read_bytes() == b"old"
    ballast.unlink()
    write_atomically(path, "new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in small_disk.iterdir()] == ["state.json"]


async def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "readonly"
    folder.mkdir()
    db = await Database.open(folder / "engine.db", "engine")
    await db.close()
    mount(folder, "--bind", str(folder))
    try:
        mount(folder, "-o", "remount,bind,ro")
        with pytest.raises(StorageError, match="cannot"):
            await Database.open(folder / "engine.db", "engine")
        with pytest.raises(StorageError, match="cannot be written"):
            FramedLog(folder / "a.log")
        with pytest.raises(StorageError, match="cannot be written"):
            ObjectStore(folder / "objects")
    finally:
        unmount(folder)


FILE_LIMIT = """
import asyncio, resource, sys
from pathlib import Path
from spice_engine.errors import StorageError
from spice_engine.store import values
from spice_engine.store.database import Database
from spice_engine.store.framedlog import FramedLog, read_frames

async def main():
    folder = Path(sys.argv[1])
    db = await Database.open(folder / "engine.db", "engine")
    log = FramedLog(folder / "a.log")
    log.append([b"kept"])
    await db.write(lambda c: values.put(c, "before", 1))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        await db.write(lambda c: values.put(c, "large", "x" * 600_000))
    except StorageError as error:
        print(error.message)
    try:
        log.append([b"y" * 500_000])
    except StorageError as error:
        print(error.message)
    assert await db.read(lambda c: values.get(c, "before")) == 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await db.write(lambda c: values.put(c, "large", "x" * 600_000))
    log.append([b"after"])
    assert [payload for _, payload in read_frames(log.path)] == [b"kept", b"after"]
    assert await db.check() == ()
    await db.close()
    log.close()
    print("done")

asyncio.run(main())
"""


def test_a_write_the_system_refuses_is_an_error_and_no_more(tmp_path: Path) -> None:
    """The same without root: a limit on the size of files stands for the full disk."""
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0].startswith("cannot use the database: the disk")
    assert lines[1] == "cannot append to the log: the disk is full."
    assert lines[2] == "done"
