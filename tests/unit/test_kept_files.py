"""What a command may leave: closed folders, odd permissions, paths that are too long."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spice_engine.runs import kept_files
from spice_engine.store.removal import remove

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of somebody whom permissions keep out, unlike root."""
    top = Path(tempfile.mkdtemp())
    was = os.geteuid()
    if was == 0:
        os.chown(top, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield top
    finally:
        os.seteuid(was)
        remove(top)


def deep(folder: Path, count: int) -> None:
    """A file so many folders down, made as a command makes it that goes from one to the next."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(count):
        os.mkdir("d" * 10, dir_fd=here)
        inner = os.open("d" * 10, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_closed_folders_and_files_are_kept(folder: Path) -> None:
    before, changes, outputs = folder / "before", folder / "changes", folder / "outputs"
    for name in ("same", "other"):
        (before / "in").mkdir(parents=True, exist_ok=True)
        (before / "in" / name).write_text("old")
    (changes / "in").mkdir(parents=True)
    (changes / "new").write_text("new")
    (changes / "in" / "same").write_text("old")
    (changes / "in" / "other").write_text("oth")
    for closed in (changes / "new", *(changes / "in").iterdir(), changes / "in"):
        closed.chmod(0)
    lost = kept_files.Lost()
    found = kept_files.changed(changes, before, (), lost)
    kept_files.move(changes, found, outputs, lost)
    assert sorted(map(str, found)) == ["in/other", "new"]
    assert (outputs / "in" / "other").read_text() == "oth"
    assert (outputs / "new").stat().st_size == 3
    assert not lost


def test_what_is_too_deep_is_told_and_nothing_else_is_lost(folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    (work / "a").write_text("a")
    deep(work, 1500)
    lost = kept_files.Lost()
    found = list(kept_files.files_of(work, (), lost))
    kept_files.move(work, found, folder / "outputs", lost)
    assert [path.name for path in (folder / "outputs").iterdir()] == ["a"]
    assert kept_files.in_words(lost).endswith("...: File name too long]\n")


def test_an_error_that_passes_is_not_taken_for_a_file_that_cannot_be_kept(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(kept_files.files_of(folder / "gone", (), []))


def test_any_folder_can_be_removed(folder: Path) -> None:
    top = folder / "top"
    (top / "closed" / "in").mkdir(parents=True)
    (top / "closed" / "in" / "file").write_text("x")
    outside = folder / "outside"
    outside.mkdir()
    (outside / "stays").write_text("x")
    (top / "link").symlink_to(outside)
    (top / os.fsdecode(b"\xff")).write_text("x")
    deep(top, 1500)
    for closed in (top / "closed" / "in", top / "closed", top):
        closed.chmod(0)
    remove(top)
    assert not top.exists()
    assert (outside / "stays").exists()
