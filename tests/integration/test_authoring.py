"""What an editor asks of a real engine: reading, checking and saving manifests."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spice_engine.errors import (
    ChangedOnDisk,
    InvalidManifest,
    InvalidRequest,
    NotFound,
    StorageError,
    TooLarge,
)
from tests.conftest import REPOSITORY, EngineFixture, wait_for

pytestmark = pytest.mark.e2e

GARDENER = REPOSITORY / "sample_pods" / "gardener"
PATH = "spicepods/gardener.yaml"


@pytest.fixture(scope="module")
def garden(shared_engine: EngineFixture) -> EngineFixture:
    """An engine on which the gardener is trained."""
    shutil.copytree(GARDENER, shared_engine.location.root, dirs_exist_ok=True)
    wait_for(lambda: state(shared_engine) == "ready", "the gardener")
    return shared_engine


def state(engine: EngineFixture) -> str:
    pods = {pod["name"]: pod for pod in engine.call("pods.list")["pods"]}
    return pods.get("gardener", {}).get("state", "")


def test_a_manifest_is_read_by_pod_and_by_path(garden: EngineFixture) -> None:
    by_pod = garden.call("manifests.read", pod="gardener")
    assert by_pod == garden.call("manifests.read", path=PATH)
    assert by_pod["text"] == (garden.location.root / PATH).read_text()
    assert (by_pod["pod"], by_pod["path"]) == ("gardener", PATH)
    assert by_pod["exists"]
    assert by_pod["writable"]
    new = garden.call("manifests.read", path="spicepods/new.yaml")
    assert (new["exists"], new["text"], new["digest"], new["writable"]) == (False, "", "", True)


@pytest.mark.parametrize(
    "path",
    [
        "data/garden.csv", "../x.yaml", "spicepods/../data/x.yaml", "spicepods/x.txt",
        "/etc/x.yaml", "spicepods/a/b.yaml", "spicepods/.x.yaml", "spicepods", "a\0b.yaml", "",
    ],
)  # fmt: skip
def test_only_manifests_are_read_and_saved(garden: EngineFixture, path: str) -> None:
    with pytest.raises(InvalidRequest):
        garden.call("manifests.read", path=path)
    with pytest.raises(InvalidRequest):
        garden.call("manifests.save", path=path, text="name: x\n")
    with pytest.raises(NotFound):
        garden.call("manifests.read", pod="nobody")


def test_what_is_no_text_is_not_read(garden: EngineFixture) -> None:
    folder = garden.location.root / "spicepods"
    (folder / "bytes.yaml").write_bytes(b"\xff\xfe")
    (folder / "large.yaml").write_bytes(b"# " * 2**20)
    try:
        with pytest.raises(InvalidManifest, match="UTF-8"):
            garden.call("manifests.read", path="spicepods/bytes.yaml")
        with pytest.raises(TooLarge):
            garden.call("manifests.read", path="spicepods/large.yaml")
        with pytest.raises(TooLarge):
            garden.call("manifests.save", path=PATH, text="# " * 2**20, force=True)
    finally:
        (folder / "bytes.yaml").unlink()
        (folder / "large.yaml").unlink()


def test_a_save_is_taken_up_at_once_and_keeps_the_mode(garden: EngineFixture) -> None:
    path = garden.location.root / PATH
    before = garden.call("manifests.read", pod="gardener")
    path.chmod(0o660)
    text = before["text"].replace("seed: 0", "seed: 3")
    number = garden.call("pods.get", pod="gardener")["last_training"]
    saved = garden.call("manifests.save", path=PATH, text=text, base=before["digest"])
    assert (saved["pod"], saved["path"], saved["problems"]) == ("gardener", PATH, [])
    assert path.read_text() == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert [one.name for one in path.parent.iterdir()] == ["gardener.yaml"]
    assert saved["digest"] == garden.call("manifests.read", pod="gardener")["digest"]
    wait_for(
        lambda: garden.call("pods.get", pod="gardener")["last_training"] == number + 1,
        "the training of what was saved",
    )
    wait_for(lambda: state(garden) == "ready", "its end")


def test_what_changed_on_disk_is_not_overwritten(garden: EngineFixture) -> None:
    path = garden.location.root / PATH
    before = garden.call("manifests.read", pod="gardener")
    path.write_text(before["text"] + "# of somebody else\n")
    mine = before["text"] + "# mine\n"
    with pytest.raises(ChangedOnDisk, match="changed meanwhile") as refused:
        garden.call("manifests.save", path=PATH, text=mine, base=before["digest"])
    assert refused.value.code == "changed_on_disk"
    assert path.read_text().endswith("somebody else\n")
    with pytest.raises(ChangedOnDisk, match="made meanwhile"):
        garden.call("manifests.save", path=PATH, text=mine)
    garden.call("manifests.save", path=PATH, text=mine, base=before["digest"], force=True)
    assert path.read_text() == mine
    again = garden.call("manifests.save", path=PATH, text=mine, base="whatever")
    assert again["digest"] == garden.call("manifests.read", pod="gardener")["digest"]


def test_a_removed_file_is_told_and_a_new_one_is_made(garden: EngineFixture) -> None:
    path = "spicepods/fresh.yaml"
    saved = garden.call("manifests.save", path=path, text="name: fresh\n")
    assert saved["pod"] == "fresh"
    assert {one["code"] for one in saved["problems"]} == {"no_dataspaces", "no_actions"}
    (garden.location.root / path).unlink()
    with pytest.raises(ChangedOnDisk, match="removed meanwhile"):
        garden.call("manifests.save", path=path, text="name: x\n", base=saved["digest"])


def test_what_is_read_only_is_refused(garden: EngineFixture) -> None:
    path = garden.location.root / PATH
    before = garden.call("manifests.read", pod="gardener")
    path.chmod(0o444)
    try:
        assert not garden.call("manifests.read", pod="gardener")["writable"]
        with pytest.raises(StorageError, match="the file is read-only"):
            garden.call("manifests.save", path=PATH, text="name: x\n", base=before["digest"])
    finally:
        path.chmod(0o644)
    assert path.read_text() == before["text"]


def test_a_link_goes_on_leading_to_its_file(garden: EngineFixture, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.yaml"
    target.write_text("name: linked\n")
    link = garden.location.root / "spicepods" / "linked.yaml"
    link.symlink_to(target)
    try:
        read = garden.call("manifests.read", path="spicepods/linked.yaml")
        text = "name: linked\n# more\n"
        garden.call("manifests.save", path="spicepods/linked.yaml", text=text, base=read["digest"])
        assert link.is_symlink()
        assert target.read_text() == text
    finally:
        link.unlink()


def test_an_unsaved_text_is_checked_with_places_and_fixes(garden: EngineFixture) -> None:
    text = (GARDENER / PATH).read_text()
    good = garden.call("manifests.check", text=text, path=PATH)
    assert (good["valid"], good["pod"], good["problems"]) == (True, "gardener", [])
    assert "sensors_garden_sun" in good["fields"]
    assert good["actions"] == ["close_valve", "open_valve_half", "open_valve_full"]
    parts = [(part["kind"], part["name"]) for part in good["outline"]]
    assert parts[:2] == [("dataspace", "sensors/garden"), ("field", "sensors_garden_temperature")]
    assert ("reward", "open_valve_half") in parts
    assert ("test", "open_valve_full") in parts
    wrong = text.replace("name: csv", "name: cvs").replace("garden_moisture", "garden_moistur", 1)
    found = garden.call("manifests.check", text=wrong, path=PATH)
    assert not found["valid"]
    processor = next(one for one in found["problems"] if "cvs" in one["message"])
    lines = wrong.splitlines()
    line = lines[processor["line"] - 1]
    assert line[processor["column"] - 1 : processor["end_column"] - 1] == "cvs"
    fix = processor["fix"]
    assert (fix["text"], fix["line"], fix["column"]) == (
        "csv",
        processor["line"],
        processor["column"],
    )
    broken = garden.call("manifests.check", text="name: x\nactions: [{name: a}, {na", path=PATH)
    assert not broken["valid"]
    assert (broken["pod"], broken["actions"]) == ("x", ["a"])
    assert [one["code"] for one in broken["problems"]] == ["invalid_yaml"]
    large = garden.call("manifests.check", text="# " * 2**20, path=PATH)
    assert [one["code"] for one in large["problems"]] == ["too_large"]


def test_completion_and_explanations_come_through_the_door(garden: EngineFixture) -> None:
    text = (GARDENER / PATH).read_text()
    line = text.splitlines().index("          path: data/garden.csv") + 1
    at = {"text": text.replace("data/garden.csv", ""), "path": PATH, "line": line, "column": 17}
    answer = garden.call("manifests.complete", **at)
    assert answer["start_column"] == 17
    assert [one["insert"] for one in answer["items"]] == ["data/garden.csv"]
    told = garden.call("manifests.hover", text=text, line=1, column=5, path=PATH)
    assert told["title"] == ""
    told = garden.call("manifests.hover", text=text, line=line, column=12, path=PATH)
    assert told["title"] == "dataspaces[].data.connector(file).params.path"
    assert (told["line"], told["column"], told["end_column"]) == (line, 11, 15)


FULL = """
import resource, sys
from pathlib import Path
from spice_engine.errors import StorageError
from spice_engine.pods.manifest_texts import save_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save_text(Path(sys.argv[1]), "# much\\n" * 1000, "", force=True)
except StorageError as error:
    print(error)
"""


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """The kernel refuses to let a file grow, as a full disk does."""
    path = tmp_path / "x.yaml"
    path.write_text("name: x\n")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=60
    )
    assert "cannot save x.yaml: the disk is full" in done.stdout
    assert path.read_text() == "name: x\n"
    assert list(tmp_path.iterdir()) == [path]
