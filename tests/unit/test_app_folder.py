"""The app folder: where its state goes, the one-engine lock, the token."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spice_engine.app_folder import (
    FolderLock,
    ensure_token,
    forget,
    prepare,
    read_holder,
    remember,
    remembered,
)
from spice_engine.errors import EngineUnavailable, StorageError
from spice_engine.protocol.location import MAX_SOCKET_PATH, file_system_of, is_locked, locate

MOUNTS = """\
proc /proc proc rw 0 0
/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/me/fast tmpfs rw 0 0
/dev/vdb /mnt/with\\040space xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/app", "nfs4"),
        ("/home/me/fast/app", "tmpfs"),
        ("/homestead", "ext4"),
        ("/mnt/with space/app", "xfs"),
    ],
)
def test_the_nearest_mount_point_gives_the_file_system(path: str, kind: str):
    assert file_system_of(Path(path), MOUNTS) == kind


def test_state_goes_to_the_state_home_on_network_file_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from spice_engine.protocol import location

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(location, "file_system_of", lambda path: "nfs4")
    (tmp_path / "app").mkdir()
    found = locate(tmp_path / "app")
    assert found.state.is_relative_to(tmp_path / "state" / "spice-tui" / "folders")
    prepare(found)
    assert not (tmp_path / "app" / ".spice").exists()


def test_a_long_path_gets_a_short_socket_that_others_cannot_reach(tmp_path: Path):
    deep = tmp_path.joinpath(*["a-rather-long-name"] * 8)
    deep.mkdir(parents=True)
    location = locate(deep)
    assert len(os.fsencode(location.socket)) <= MAX_SOCKET_PATH
    prepare(location)
    assert stat.S_IMODE(location.socket.parent.stat().st_mode) == 0o700


def test_the_state_is_private_and_ignores_itself_in_git(tmp_path: Path):
    location = locate(tmp_path)
    location.state.mkdir(mode=0o755)
    prepare(location)
    assert (location.state / ".gitignore").read_text() == "*\n"
    assert stat.S_IMODE(location.state.stat().st_mode) == 0o700


def test_one_engine_a_folder_and_the_lock_goes_with_its_process(tmp_path: Path):
    location = locate(tmp_path)
    prepare(location)
    script = (
        "import sys, time\n"
        "from spice_engine.app_folder import FolderLock\n"
        "from spice_engine.protocol.location import locate\n"
        "lock = FolderLock.acquire(locate(sys.argv[1]))\n"
        "lock.describe(version='1', http='http://x')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert is_locked(location)
        with pytest.raises(EngineUnavailable, match=str(other.pid)):
            FolderLock.acquire(location)
        other.kill()
        other.wait()
    assert not is_locked(location)
    lock = FolderLock.acquire(location)
    lock.describe(version="2", http="http://y")
    holder = read_holder(location)
    assert holder is not None
    assert (holder.pid, holder.version) == (os.getpid(), "2")
    lock.release()
    assert not is_locked(location)


def test_the_token_is_for_the_owner_alone_and_stays(tmp_path: Path):
    location = locate(tmp_path)
    prepare(location)
    token = ensure_token(location)
    assert len(token) >= 32
    assert stat.S_IMODE(location.token.stat().st_mode) == 0o600
    location.token.chmod(0o644)
    assert ensure_token(location) == token
    assert stat.S_IMODE(location.token.stat().st_mode) == 0o600


def test_a_folder_that_is_none_is_refused_with_advice(tmp_path: Path):
    with pytest.raises(StorageError, match="not a directory"):
        prepare(locate(tmp_path / "missing"))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="not a directory"):
        prepare(locate(tmp_path / "file"))


def test_folders_are_remembered_until_they_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "app").mkdir()
    location = locate(tmp_path / "app")
    prepare(location)
    remember(location)
    assert [found.root for found in remembered()] == [tmp_path / "app"]
    forget(location)
    assert list(remembered()) == []
