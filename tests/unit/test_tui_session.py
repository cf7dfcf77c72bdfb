"""What is remembered of a folder's screen, and files that are not as they were written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from spice_tui.models.session import SavedSession, load_session, save_session, session_file

SESSION = SavedSession(
    view="runs",
    pod="shop",
    theme="nord",
    pages={"pod": "data"},
    filters={"runs": "state:running"},
    sorts={"runs": "-id"},
    sizes={"pods": 30},
    history=["train shop"],
    tutorial_seen=True,
)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "session.json"
    save_session(path, SESSION)
    assert load_session(path) == SESSION
    assert [file.name for file in path.parent.iterdir()] == ["session.json"]


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert session_file("abc") == tmp_path / "spice-tui" / "sessions" / "abc.json"


def test_nothing_is_kept_without_a_place(tmp_path: Path) -> None:
    save_session(None, SESSION)
    assert load_session(None) == SavedSession()
    assert load_session(tmp_path / "none.json") == SavedSession()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "\x00\x01",
        '{"view": 3}',
        '{"view": null}',
        '{"pages": []}',
        '{"pages": {"pod": 3}}',
        '{"filters": "x"}',
        '{"sizes": {"pods": "wide"}}',
        '{"sizes": {"pods": -4}}',
        '{"sizes": {"pods": 0}}',
        '{"sizes": {"pods": true}}',
        '{"history": "abc"}',
        '{"history": [3]}',
        '{"history": null}',
        '{"tutorial_seen": "no"}',
    ],
)
def test_a_damaged_file_is_like_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "session.json"
    path.write_text(text)
    assert load_session(path) == SavedSession()


def test_a_newer_programs_file_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    path.write_text(json.dumps({"view": "runs", "mood": "sunny"}))
    assert load_session(path) == SavedSession(view="runs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        save_session(tmp_path / "session.json", SESSION)
        assert list(tmp_path.iterdir()) == []
    finally:
        tmp_path.chmod(0o700)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("in the way")
    save_session(tmp_path / "sessions" / "session.json", SESSION)
    assert (tmp_path / "sessions").read_text() == "in the way"
