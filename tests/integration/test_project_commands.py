"""`project`, `run -p`, `resources`, `export` and `import` of runs as a person uses them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spice_tui.cli.main import main
from tests.conftest import EngineFixture

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineFixture]:
    base = tmp_path_factory.mktemp("projects")
    (base / "app").mkdir()
    (base / "pictures").mkdir()
    (base / "app" / "spice.config.yaml").write_text("public: [../pictures]\n")
    (base / "app" / "code.txt").write_text("code\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(base / "state-home"))
        fixture = EngineFixture(base / "app")
        fixture.start()
        yield fixture
        fixture.stop()


@pytest.fixture
def cli(
    engine: EngineFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    monkeypatch.chdir(engine.location.root)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return int(code), out, err

    return call


def test_projects_from_beginning_to_end(cli: Cli) -> None:
    assert cli("project", "create", "-n", "Digits", "-d", "by hand")[1] == (
        "Created project 'Digits'\n"
    )
    code, _, err = cli("project", "create", "DIGITS")
    assert (code, "already" in err) == (6, True)
    code, out, _ = cli("run", "-p", "digits", "echo made > made.txt")
    assert code == 0
    # One that is missing is made only where somebody says so.
    code, _, err = cli("run", "-p", "other", "true")
    assert code != 0
    assert "A project named 'other' could not be found." in err
    assert cli("run", "-f", "-p", "other", "true")[0] == 0
    header, first, second = cli("project", "list")[1].splitlines()
    assert header.split() == ["NAME", "DESCRIPTION", "CREATOR", "TOTAL", "RUNS", "CREATED", "AT"]
    assert (first.split()[0], second.split()[0]) == ("Digits", "other")
    assert json.loads(cli("project", "get", "digits", "--json")[1])["states"] == {"complete": 1}
    out = cli("project", "get", "digits")[1]
    assert "echo made > made.txt" in out
    assert cli("project", "edit", "other", "-n", "Else")[1] == "Edited project 'Else'\n"
    code, _, err = cli("project", "add-runs", "else", "1")
    assert (code, "run 1 is in project 'Digits' already" in err) == (6, True)
    assert cli("project", "remove-runs", "digits", "1")[1] == (
        "Removed run 1 from project 'Digits'\n"
    )
    assert cli("project", "add-runs", "ELSE", "runs/1")[1] == "Added run 1 to project 'Else'\n"
    assert cli("project", "archive", "else")[0] == 0
    assert cli("project", "list")[1].count("\n") == 2
    assert "ARCHIVED AT" in cli("project", "list", "--archived")[1]
    assert cli("project", "unarchive", "else")[1] == "Unarchived project 'Else'\n"
    code, _, err = cli("project", "get", "x")
    assert (code, "Unknown project 'x'." in err) == (5, True)


def test_runs_go_into_files_and_come_back(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", "echo left > left.txt")[0] == 0
    number = json.loads(cli("ps", "--json")[1])[-1]["id"]
    table = tmp_path / "runs.json"
    assert "Exported" in cli("export", "runs", str(table))[1]
    assert [row["id"] for row in json.loads(table.read_text())][-1] == number
    parquet = tmp_path / "runs.parquet"
    assert cli("export", "runs", str(parquet))[0] == 0
    assert parquet.read_bytes()[:4] == b"PAR1"
    file = tmp_path / "one.spicerun"
    assert cli("export", f"runs/{number}", str(file))[0] == 0
    code, _, err = cli("export", f"runs/{number}", str(file))
    assert (code, "there already" in err) == (6, True)
    code, out, _ = cli("import", "run", str(file))
    assert (code, out) == (0, f"Run {number} is here already, as run {number}\n")
    for words in (
        ["runs/1"],
        ["runs", "x.txt"],
        ["run", "x"],
        ["runs/x", "x"],
        ["search", "x", "x"],
        ["a", "b"],
    ):
        assert cli("export", *words)[0] == 2, words
    many = tmp_path / "many.spicerun"
    assert cli("project", "create", "Many")[0] == 0
    for word in ("one", "two"):
        assert cli("run", "-p", "many", f"echo {word} > left.txt")[0] == 0
    assert cli("export", "project", "many", str(many))[1].startswith("Exported 2 runs to ")
    code, out, _ = cli("import", "runs", str(many))
    assert (code, out) == (0, "Imported 0 runs; 2 were here already.\n")
    assert cli("hyper", "grid", "--param", "x=1,2", "--wait", "test :x: = 1")[0] == 0
    trials = tmp_path / "trials.csv"
    assert cli("export", "search", "1", str(trials))[0] == 0
    with trials.open(newline="") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: row["param.x"])
    assert [(row["param.x"], row["outcome"], row["made_by"]) for row in rows] == [
        ("1", "success", "search:1"),
        ("2", "failed", "search:1"),
    ]
    assert cli("export", "search", "9", str(trials))[0] == 5
    table = tmp_path / "points.parquet"
    line = "python -c 'import spice_runtime as s; s.send_metric(\"loss\", 1.0)'"
    assert cli("run", line)[0] == 0
    code, out, _ = cli("export", "metrics", f"runs/{number + 5}", str(table))
    assert (code, " of 1 run to " in out) == (0, True)
    code, out, _ = cli("import", "metrics", str(table))
    # On a slow machine what the run uses was measured, too.
    own = re.fullmatch(r"Imported 0 points of 0 runs; (\d+) are this engine's own\.\n", out)
    assert (code, own is not None and int(own[1]) >= 1) == (0, True)
    other = tmp_path / "other.spicerun"
    other.write_text("no run")
    code, _, err = cli("import", "run", str(other))
    assert (code != 0, "holds no run" in err) == (True, True)


def test_the_disk_is_told_and_cleared(cli: Cli) -> None:
    assert "public/pictures" in cli("ls", "public", "--json")[1]
    assert cli("run", "echo old > old.txt")[0] == 0
    number = json.loads(cli("ps", "--json")[1])[-1]["id"]
    out = cli("resources", "usage")[1]
    assert "object store" in out
    assert "outputs of runs" in out
    code, _, err = cli("resources", "prune", "--older-than", "0")
    assert (code != 0, "would go" in err) == (True, True)
    assert "would go" in cli("resources", "prune", "--older-than", "0", "--dry-run")[1]
    assert "are gone" in cli("resources", "prune", "--older-than", "0", "-y")[1]
    left = json.loads(cli("ls", f"runs/{number}", "--json")[1])["entries"]
    assert "old.txt" not in {one["path"].rpartition("/")[2] for one in left}
    assert cli("resources", "prune", "-y")[1] == "There is nothing to remove.\n"
