"""`model`, `ls`, `cp`, `upload`, `rm`, `link`, `unlink` as a person uses them, on a real engine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spice_tui.cli import resource_text
from spice_tui.cli.main import main
from tests.conftest import EngineFixture

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(
    shared_engine: EngineFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Cli:
    """Calls commands in a folder of its own, which holds `data/a.txt` and `data/sub/b.bin`."""
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_text("hello\n")
    (tmp_path / "data" / "sub" / "b.bin").write_bytes(b"x" * 5000)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["-C", str(shared_engine.location.root), *arguments])
        out, err = capsys.readouterr()
        return int(code), out, err

    return call


def test_an_upload_is_listed_copied_and_removed(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("upload", "data", "-n", "images")
    assert (code, out.splitlines()) == (
        0,
        ["Total upload size: 4.9K", "Upload of images (data) to 'uploads/images' complete."],
    )
    _, out, _ = cli("ls", "uploads")
    assert out.split() == ["-", "-", "images/", "(2", "files)"]
    _, out, _ = cli("ls", "uploads/images/sub")
    assert out.split()[0::4] == ["5000", "b.bin"]
    _, out, _ = cli("ls", "-h", "uploads/images/sub/b.bin")
    assert out.split()[0] == "4.9K"
    assert cli("cp", "uploads/images", "out")[1] == "Copied 2 files. Skipped 0 files.\n"
    assert (tmp_path / "out" / "sub" / "b.bin").stat().st_size == 5000
    code, out, err = cli("cp", "uploads/images", "out")
    assert (code, out) == (6, "")
    assert "'a.txt', 'sub/b.bin'" in err
    assert cli("cp", "uploads/images/", "out", "-i")[1] == "Copied 0 files. Skipped 2 files.\n"
    assert cli("cp", "uploads/images/a.txt", "out", "-f")[1] == "Copied 1 file. Skipped 0 files.\n"
    assert cli("cp", "uploads/images", "out", "-f", "-i")[0] == 2
    assert cli("cp", "/etc", ".")[0] == 2
    assert cli("upload", "data", "--name", "images")[0] == 6
    assert cli("upload", "data", "--name", "images", "--replace")[0] == 0
    code, out, err = cli("rm", "uploads/images", "uploads/none")
    assert (code, out) == (1, "Removed uploads/images\n")
    assert "'none'" in err
    code, _, err = cli("rm", "runs/1")
    assert code == 2
    assert "You must specify an uploaded resource".lower() in err


def test_uploads_that_are_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert cli("upload", "none")[0] == 5
    assert cli("upload", "empty")[0] == 2
    assert cli("upload", "data", "-n", "a/b")[0] == 2
    code, _, err = cli("upload", "data/a.txt")
    assert code == 2
    assert "-n NAME" in err
    assert cli("upload", "data/a.txt", "-n", "single")[0] == 0
    assert cli("ls", "uploads/single")[1].split()[-1] == "a.txt"


def test_links(cli: Cli) -> None:
    cli("upload", "data", "-n", "linked")
    code, out, _ = cli("link", "short", "uploads/linked/sub")
    assert (code, out.splitlines()[0]) == (0, "Successfully created symlink:")
    assert "uploads/linked/sub" in cli("link", "short")[1]
    assert cli("link")[1].splitlines()[0].split() == ["ALIAS", "RESOURCE", "CREATED"]
    lines = cli("ls", "short")[1].splitlines()
    assert lines[0].endswith("b.bin")
    assert set(lines[1]) == {"-"}
    assert lines[2].startswith("short ")
    assert any("short" in line and "uploads/linked" in line for line in cli("ls")[1].splitlines())
    for alias in ("a.b", "runs", "public", "a=b"):
        assert cli("link", alias, "uploads/linked")[0] == 2
    assert cli("link", "none")[0] == 5
    assert cli("unlink", "short")[1] == "Successfully removed link with alias short.\n"
    assert cli("unlink", "short")[0] == 5


def test_models_from_making_to_removing(cli: Cli, tmp_path: Path) -> None:
    assert cli("model", "create", "cifar", "data")[1] == "Successfully created model: cifar v1\n"
    code, out, _ = cli("model", "create", "cifar:demo", "./data", "-f", "a.txt:w/", "-d", "text")
    assert (code, out) == (0, "Successfully created model: cifar demo (v2)\n")
    assert cli("model", "create", "cifar", "data", "--version", "old")[1].endswith("old (v3)\n")
    assert cli("model", "create", "cifar:demo", "data")[0] == 6
    assert cli("model", "create", "cifar:x", "data", "-f", "nope")[0] == 5
    assert cli("model", "create", "a..b", "data")[0] == 2
    for words in (["model"], ["model", "list"], ["models"]):
        header, *rows = cli(*words)[1].splitlines()
        assert header.split() == ["NAME", "LATEST", "VERSION", "CREATED", "CREATOR"]
        assert any(row.startswith("cifar ") and "old (v3)" in row for row in rows)
    header, *rows = cli("model", "describe", "cifar")[1].splitlines()
    assert header.split() == ["VERSION", "RESOURCE", "FILES", "CREATED", "CREATOR"]
    assert [row.split()[0] for row in rows] == ["old", "demo", "v1"]
    details = dict(
        line.split("  ", 1) for line in cli("model", "describe", "cifar:demo")[1].splitlines()
    )
    assert details["Version"].strip() == "demo (v2)"
    assert details["Files"].strip() == "a.txt:w/a.txt"
    assert cli("model", "alias", "cifar", "prod", "demo")[1] == "prod is demo (v2)\n"
    assert json.loads(cli("model", "alias", "cifar", "--json")[1]) == {"prod": "demo (v2)"}
    assert cli("model", "update-description", "cifar:@prod", "new")[0] == 0
    assert json.loads(cli("model", "describe", "cifar@prod", "--json")[1])["description"] == "new"
    assert cli("model", "download", "cifar:prod", "-d", "got")[0] == 0
    assert (tmp_path / "got" / "w" / "a.txt").read_text() == "hello\n"
    assert cli("model", "download", "cifar", "-d", "got")[0] == 2
    assert cli("model", "alias", "cifar", "prod", "--remove")[1] == ""
    code, _, err = cli("model", "rm", "cifar:demo")
    assert code == 2
    assert "demo (v2)" in err
    assert cli("model", "rm", "cifar:demo", "-y")[0] == 0
    assert cli("model", "describe", "cifar:v2")[0] == 5
    assert cli("model", "rm", "cifar", "--force")[0] == 0
    assert cli("model", "describe", "cifar")[0] == 5


def test_a_link_goes_before_a_folder_of_its_name(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "local").write_text("1")
    cli("upload", "data", "-n", "target")
    cli("link", "both", "uploads/target")
    cli("model", "create", "chosen", "both")
    cli("model", "create", "chosen", "./both")
    found = json.loads(cli("model", "describe", "chosen", "--json")[1])["versions"]
    assert [one["resource"] for one in found] == [str(tmp_path / "both"), "uploads/target"]


def test_a_command_from_a_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "create.yaml").write_text("name: filed:one\nresource: data\nfile: [a.txt]\n")
    code, out, _ = cli("model", "create", "--from-file", "create.yaml")
    assert (code, out) == (0, "Successfully created model: filed one (v1)\n")
    assert cli("model", "create", "filed", "data", "--save-command", "saved.yaml")[0] == 0
    assert "resource: data" in (tmp_path / "saved.yaml").read_text()


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (1000, "1000B"), (5000, "4.9K"), (30 * 2**20, "30M"), (10190, "10K")],
)
def test_sizes(count: int, text: str) -> None:
    assert resource_text.size(count) == text


def test_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "UTC")
    time.tzset()
    assert resource_text.date(1_700_000_000, 1_700_000_100) == "Nov 14 22:13"
    assert resource_text.date(1_700_000_000, 1_800_000_000) == "Nov 14 2023"
    monkeypatch.undo()
    time.tzset()
