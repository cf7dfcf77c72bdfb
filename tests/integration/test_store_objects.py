"""The object store: snapshots come back as they were, and collecting removes nothing needed."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from spice_engine.errors import NotFound, StorageError
from spice_engine.store import trees
from spice_engine.store.objects import ObjectStore
from spice_engine.store.stat_cache import StatCache


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    made = ObjectStore(tmp_path / "objects")
    yield made
    made.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "pkg" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "main.py").write_text("print('hi')\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "pkg" / "deep" / "data.bin").write_bytes(bytes(range(256)) * 5000)
    (root / "pkg" / "same.py").write_text("print('hi')\n")
    (root / "link").symlink_to("./pkg/same.py")
    (root / "nowhere").symlink_to("/does/not/exist")
    with open(os.fsencode(root) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"not utf-8")
    for path in root.rglob("*"):  # long ago, so that the stat cache may remember them
        os.utime(path, (1e9, 1e9), follow_symlinks=False)
    return root


def listing(root: Path) -> dict[str, tuple[int, bytes | str | None]]:
    found: dict[str, tuple[int, bytes | str | None]] = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = (0, os.readlink(path))  # noqa: PTH115 - keeps './'
        else:
            mode = path.stat().st_mode & 0o777
            found[name] = (mode, None if path.is_dir() else path.read_bytes())
    return found


def age(store: ObjectStore) -> None:
    """Makes every object an hour old."""
    for path in store.folder.glob("??/*"):
        os.utime(path, (time.time() - 3600,) * 2)


def test_bytes_and_files_are_kept_once_and_read_only(store: ObjectStore, tmp_path: Path) -> None:
    digest = store.put_bytes(b"hello")
    source = tmp_path / "a.txt"
    source.write_bytes(b"hello")
    assert store.put_file(source) == digest == store.put_bytes(b"hello")
    assert digest == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert store.read_bytes(digest, verify=True) == b"hello"
    assert digest in store
    assert store.path_of(digest).stat().st_mode & 0o777 == 0o444
    source.write_bytes(b"other")
    assert store.read_bytes(digest) == b"hello"
    assert list((store.folder / "tmp").iterdir()) == []


def test_a_folder_comes_back_as_it_was(store: ObjectStore, project: Path, tmp_path: Path) -> None:
    snapshot = store.put_tree(project)
    assert (snapshot.files, snapshot.skipped) == (5, ())
    store.verify(snapshot.hash)
    made = tmp_path / "runs" / "1"
    store.materialize(snapshot.hash, made)
    assert listing(made) == listing(project)
    (made / "main.py").write_text("changed")  # its own file: the object is untouched
    store.verify(snapshot.hash)
    (tmp_path / "runs" / "2").mkdir()
    store.materialize(snapshot.hash, tmp_path / "runs" / "2")
    assert listing(tmp_path / "runs" / "2") == listing(project)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"1", "2"}


def test_the_same_content_has_the_same_hash_and_a_changed_file_another(
    store: ObjectStore, project: Path
) -> None:
    first = store.put_tree(project).hash
    assert store.put_tree(project).hash == first
    (project / "main.py").chmod(0o600)
    second = store.put_tree(project).hash
    assert second != first
    (project / "main.py").write_text("print('ho')\n")
    third = store.put_tree(project)
    assert third.hash not in {first, second}
    names = {entry.name: entry.kind for entry in store.list_tree(third.hash)}
    assert names["pkg"] == "folder"
    assert names["link"] == "link"


def test_ignored_and_odd_files_stay_out(store: ObjectStore, project: Path) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(project / "door.sock"))
    os.mkfifo(project / "pipe")
    asked: list[str] = []

    def ignore(path: PurePosixPath, is_folder: bool) -> bool:
        asked.append(str(path))
        return is_folder and path.name == "pkg"

    snapshot = store.put_tree(project, ignore)
    assert snapshot.skipped == ("door.sock", "pipe")
    assert "pkg" in asked
    assert not any(path.startswith("pkg/") for path in asked)


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(
    store: ObjectStore, project: Path
) -> None:
    def swap(path: PurePosixPath, _: bool) -> bool:
        if str(path) == "main.py":  # listed as a file just before
            (project / path).unlink()
            os.mkfifo(project / path)
        return False

    snapshot = store.put_tree(project, swap)
    assert snapshot.skipped == ("main.py",)
    assert "main.py" not in [entry.name for entry in store.list_tree(snapshot.hash)]


def test_unchanged_files_are_not_read_again(
    store: ObjectStore, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ctime cannot be set back, so the window in which a file counts as fresh is made empty.
    monkeypatch.setattr("spice_engine.store.stat_cache.RACY_NANOSECONDS", -(10**12))
    first = store.put_tree(project).hash

    def no_reading(*_: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr("spice_engine.store.blobs.cloned", no_reading)
    assert store.put_tree(project).hash == first
    (project / "main.py").write_text("x")
    with pytest.raises(AssertionError, match="was read"):
        store.put_tree(project)


def test_a_fresh_file_is_not_trusted_to_its_times(store: ObjectStore, project: Path) -> None:
    path = project / "main.py"
    first = store.put_tree(project).hash
    stat = path.stat()
    path.write_text("print('HI')\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert store.put_tree(project).hash != first


def test_a_damaged_stat_cache_is_thrown_away(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    folder.mkdir()
    (folder / "stat-cache.db").write_bytes(b"garbage" * 1000)
    store = ObjectStore(folder)
    store.verify(store.put_tree(project).hash)
    store.close()
    StatCache(folder / "stat-cache.db").close()


def test_missing_and_damaged_objects_are_said(
    store: ObjectStore, project: Path, tmp_path: Path
) -> None:
    snapshot = store.put_tree(project)
    entry = next(entry for entry in store.list_tree(snapshot.hash) if entry.name == "main.py")
    path = store.path_of(entry.content)
    path.chmod(0o600)
    path.write_bytes(b"bit rot")
    with pytest.raises(StorageError, match="not what was stored"):
        store.verify(snapshot.hash)
    path.unlink()
    with pytest.raises(NotFound, match="has no object"):
        store.verify(snapshot.hash)
    with pytest.raises(NotFound):
        store.materialize(snapshot.hash, tmp_path / "made")
    assert not (tmp_path / "made").exists()
    assert not list(tmp_path.glob(".made*"))
    for wrong in ("../../etc/passwd", "", "AB" * 32):
        with pytest.raises(NotFound, match="not the hash"):
            store.read_bytes(wrong)
    with pytest.raises(NotFound, match="no file"):
        store.put_file(tmp_path / "none")
    with pytest.raises(NotFound, match="no folder"):
        store.put_tree(tmp_path / "none")


def test_a_folder_with_content_is_not_overwritten(
    store: ObjectStore, project: Path, tmp_path: Path
) -> None:
    snapshot = store.put_tree(project)
    with pytest.raises(StorageError, match="not empty"):
        store.materialize(snapshot.hash, project)
    assert (project / "main.py").exists()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\0b"])
def test_a_manifest_cannot_lead_out_of_its_folder(
    store: ObjectStore, tmp_path: Path, name: str
) -> None:
    content = store.put_bytes(b"x")
    bad = store.put_bytes(trees.encode([trees.Entry(name, "file", 0o644, content, 1)]))
    with pytest.raises(StorageError, match="damaged"):
        store.materialize(bad, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_users_file_that_looks_like_a_manifest_is_a_file(store: ObjectStore) -> None:
    fake = store.put_bytes(trees.HEADER + b"[nonsense")
    store.verify(fake)
    age(store)
    assert store.collect([fake], 60).removed == 0


def test_collecting_keeps_what_is_needed_and_what_is_young(
    store: ObjectStore, project: Path
) -> None:
    snapshot = store.put_tree(project)
    needed = store.closure([snapshot.hash])
    lonely = store.put_bytes(b"nobody needs me")
    assert store.collect([snapshot.hash], 60).removed == 0
    age(store)
    young = store.put_bytes(b"young")
    (store.folder / "tmp" / "left").write_bytes(b"by a process that died")
    done = store.collect([snapshot.hash], 60)
    assert (done.removed, done.size, done.kept, done.busy) == (1, 15, len(needed) + 1, False)
    assert lonely not in store
    assert young in store
    assert list((store.folder / "tmp").iterdir()) == []
    store.verify(snapshot.hash)
    age(store)
    assert store.put_bytes(b"young") == young  # put again: its age starts anew
    assert store.collect([], 60).removed == len(needed)
    assert young in store


def test_collecting_waits_for_no_put_and_disturbs_none(store: ObjectStore, project: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(path: PurePosixPath, is_folder: bool) -> bool:
        inside.set()
        assert go_on.wait(30)
        return False

    taken: list[str] = []
    thread = threading.Thread(target=lambda: taken.append(store.put_tree(project, slow).hash))
    thread.start()
    assert inside.wait(30)
    assert store.collect([], 0).busy
    go_on.set()
    thread.join()
    store.verify(taken[0])
    assert not store.collect(taken, 0).busy
    store.verify(taken[0])


def test_many_threads_put_the_same(store: ObjectStore, project: Path) -> None:
    hashes: list[str] = []
    threads = [
        threading.Thread(target=lambda: hashes.append(store.put_tree(project).hash))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hashes) == 8
    assert len(set(hashes)) == 1
    store.verify(hashes[0])
    assert list((store.folder / "tmp").iterdir()) == []


def test_folders_nested_too_deep_are_refused(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "deep"
    path.joinpath(*["d"] * 220).mkdir(parents=True)
    with pytest.raises(StorageError, match="nested deeper"):
        store.put_tree(path)
