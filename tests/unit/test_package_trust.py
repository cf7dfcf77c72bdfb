"""Trust is a word of the owner's, kept outside of the folder, and lost with the owner."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from spice_engine.errors import Forbidden, StorageError
from spice_engine.pods.trust import Trust, config_home


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    (tmp_path / "app").mkdir()
    return Trust(tmp_path / "config")


def test_a_folder_is_trusted_from_grant_to_revoke(trust: Trust, tmp_path: Path) -> None:
    app = tmp_path / "app"
    assert not trust.is_trusted(app)
    trust.grant(app)
    assert trust.is_trusted(app)
    assert Trust(tmp_path / "config").is_trusted(app)
    assert not trust.is_trusted(tmp_path)
    assert [one.path for one in trust.listed()] == [str(app.resolve())]
    assert trust.revoke(app)
    assert not trust.revoke(app)
    assert not trust.is_trusted(app)


def test_a_link_is_the_folder_it_leads_to(trust: Trust, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("app")
    trust.grant(link)
    assert trust.is_trusted(tmp_path / "app")
    (tmp_path / "other").mkdir()
    link.unlink()
    link.symlink_to("other")
    assert not trust.is_trusted(link)


def test_nothing_is_trusted_that_is_gone(trust: Trust, tmp_path: Path) -> None:
    trust.grant(tmp_path / "app")
    (tmp_path / "app").rmdir()
    assert not trust.is_trusted(tmp_path / "app")
    with pytest.raises(StorageError):
        trust.grant(tmp_path / "app")
    assert trust.revoke(tmp_path / "app")


def test_the_list_is_the_owners_alone(trust: Trust, tmp_path: Path) -> None:
    trust.grant(tmp_path / "app")
    assert stat.S_IMODE(trust.file.stat().st_mode) == 0o600
    trust.file.chmod(0o622)
    assert not trust.is_trusted(tmp_path / "app")


def test_trust_goes_with_the_owner(trust: Trust, tmp_path: Path) -> None:
    trust.grant(tmp_path / "app")
    content = json.loads(trust.file.read_text())
    content["folders"][str((tmp_path / "app").resolve())]["owner"] += 1
    trust.file.write_text(json.dumps(content))
    assert not trust.is_trusted(tmp_path / "app")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_trusted(trust: Trust, tmp_path: Path) -> None:
    os.chown(tmp_path / "app", 12345, 12345)
    with pytest.raises(Forbidden, match="another user"):
        trust.grant(tmp_path / "app")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 9, "folders": {}}', "null", "\x00"])
def test_a_damaged_list_trusts_nothing_and_is_made_anew(
    trust: Trust, tmp_path: Path, text: str
) -> None:
    trust.grant(tmp_path / "app")
    trust.file.write_text(text)
    assert not trust.is_trusted(tmp_path / "app")
    assert trust.listed() == []
    trust.grant(tmp_path / "app")
    assert trust.is_trusted(tmp_path / "app")


def test_it_lies_in_the_users_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere")
    assert Trust().file == Path("/somewhere/spice-tui/trust.json")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert config_home() == Path.home() / ".config" / "spice-tui"
