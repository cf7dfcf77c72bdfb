"""Files go into an app folder all or none; the lock file says where they came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from spice_engine.errors import Forbidden, StorageError
from spice_engine.pods import lockfile
from spice_engine.pods.install import Exists, Staged
from spice_engine.pods.lockfile import ChecksumMismatch, InvalidLockFile, LockedPackage


def everything(root: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def put(root: Path, files: dict[str, bytes | Path], *, force: bool = False) -> tuple[str, ...]:
    staged = Staged(root, files, force=force)
    try:
        staged.commit()
    finally:
        staged.close()
    return staged.changed


def test_files_are_put_and_unchanged_ones_left_alone(tmp_path: Path) -> None:
    files: dict[str, bytes | Path] = {"spicepods/a.yaml": b"a", "data/x.csv": b"x"}
    assert put(tmp_path, files) == ("data/x.csv", "spicepods/a.yaml")
    before = (tmp_path / "data/x.csv").stat().st_ino
    assert put(tmp_path, {**files, "new.py": b"1"}) == ("new.py",)
    assert (tmp_path / "data/x.csv").stat().st_ino == before
    assert everything(tmp_path) == {"spicepods/a.yaml": b"a", "data/x.csv": b"x", "new.py": b"1"}


def test_other_content_is_never_written_over_unasked(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_bytes(b"mine")
    with pytest.raises(Exists, match=r"b\.py is there already"):
        put(tmp_path, {"a.py": b"a", "b.py": b"b"})
    assert everything(tmp_path) == {"b.py": b"mine"}
    assert put(tmp_path, {"a.py": b"a", "b.py": b"b"}, force=True) == ("a.py", "b.py")
    assert everything(tmp_path) == {"a.py": b"a", "b.py": b"b"}


def test_nothing_is_left_of_what_was_not_committed(tmp_path: Path) -> None:
    staged = Staged(tmp_path, {"a.py": b"a"})
    staged.close()
    assert everything(tmp_path) == {}


def test_when_one_cannot_be_put_all_is_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"old")
    staged = Staged(tmp_path, {"a.py": b"new", "b.py": b"b", "z.yaml": b"z"}, force=True)
    (tmp_path / "z.yaml").mkdir()  # it comes last, when the others are in place
    (tmp_path / "z.yaml" / "in the way").touch()
    with pytest.raises(StorageError):
        staged.commit()
    staged.close()
    assert everything(tmp_path) == {"a.py": b"old", "z.yaml/in the way": b""}


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Forbidden, match="outside of the app folder"):
        put(tmp_path / "app", {"data/x.csv": b"x"}, force=True)
    (tmp_path / "elsewhere" / "secret").write_bytes(b"s")
    (tmp_path / "app" / "x.csv").symlink_to(tmp_path / "elsewhere" / "secret")
    put(tmp_path / "app", {"x.csv": b"x"}, force=True)
    assert (tmp_path / "elsewhere" / "secret").read_bytes() == b"s"
    assert not (tmp_path / "app" / "x.csv").is_symlink()


PACKAGE = LockedPackage("garden", "2", "https://host", "org/garden@2", "a" * 64, {"x": "b" * 64})


def test_the_lock_file_keeps_packages_in_order(tmp_path: Path) -> None:
    assert lockfile.read(tmp_path) == {}
    other = dataclasses.replace(PACKAGE, name="a")
    lockfile.note(tmp_path, PACKAGE)
    lockfile.note(tmp_path, other)
    text = (tmp_path / "spice.lock").read_text()
    assert list(lockfile.read(tmp_path).values()) == [other, PACKAGE]
    lockfile.note(tmp_path, PACKAGE)
    assert (tmp_path / "spice.lock").read_text() == text


def test_a_version_that_changed_is_noticed(tmp_path: Path) -> None:
    lockfile.note(tmp_path, PACKAGE)
    lockfile.check(tmp_path, PACKAGE)
    for change in ({"version": "3"}, {"source": "https://other"}, {"name": "other"}):
        lockfile.check(tmp_path, dataclasses.replace(PACKAGE, sha256="c" * 64, **change))
    with pytest.raises(ChecksumMismatch):
        lockfile.check(tmp_path, dataclasses.replace(PACKAGE, sha256="c" * 64))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 2}', '{"version": 1, "packages": {"a": 1}}']
)
def test_a_damaged_lock_file_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "spice.lock").write_text(text)
    with pytest.raises(InvalidLockFile, match=r"spice\.lock"):
        lockfile.note(tmp_path, PACKAGE)
    assert (tmp_path / "spice.lock").read_text() == text
