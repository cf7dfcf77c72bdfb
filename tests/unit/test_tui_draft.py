"""Drafts on disk: kept, found, damaged, and what happens when the disk does not take them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from spice_engine.errors import StorageError
from spice_tui.models.draft import Draft, Drafts

DRAFT = Draft("spicepods/a.yaml", "name: a\n", "digest", "name: b\n", "a", 5.0)


def test_a_draft_is_found_by_its_path_until_it_is_dropped(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path / "drafts")
    assert drafts.find(DRAFT.path) is None
    drafts.keep(DRAFT)
    assert drafts.find(DRAFT.path) == DRAFT
    assert drafts.find("spicepods/b.yaml") is None
    drafts.drop(DRAFT.path)
    drafts.drop(DRAFT.path)
    assert drafts.find(DRAFT.path) is None


def test_paths_with_the_same_name_have_drafts_of_their_own(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    other = Draft("spicepods/sub/a.yaml", "other")
    drafts.keep(DRAFT)
    drafts.keep(other)
    assert drafts.find(DRAFT.path) == DRAFT
    assert drafts.find(other.path) == other


def test_drafts_lie_with_the_users_state_and_others_cannot_read_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    Drafts.of_folder("app-1").keep(DRAFT)
    folder = tmp_path / "spice-tui" / "drafts" / "app-1"
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"path": "x"}', b"\xff\xfe", b'{"text": 3}']
)
def test_a_damaged_draft_is_put_aside(tmp_path: Path, content: bytes) -> None:
    drafts = Drafts(tmp_path)
    drafts.keep(DRAFT)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert drafts.find(DRAFT.path) is None
    assert [one.suffix for one in tmp_path.iterdir()] == [".damaged"]


def test_a_full_disk_is_told_and_the_older_draft_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = Drafts(tmp_path)
    drafts.keep(DRAFT)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        drafts.keep(Draft(DRAFT.path, "newer"))
    assert drafts.find(DRAFT.path) == DRAFT
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Drafts(tmp_path / "file" / "drafts").keep(DRAFT)
