"""The commands about environments and commits, called in this process against a real engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spice_tui.cli.main import main
from tests.conftest import EngineFixture
from tests.integration.test_git_sources import commit, git
from tests.integration.wheels import make_wheel

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(
    shared_engine: EngineFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Cli:
    monkeypatch.chdir(shared_engine.location.root)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return int(code), out, err

    return call


def run(cli: Cli, *arguments: str) -> str:
    code, out, err = cli("run", "--json", *arguments)
    assert code == 0, err
    return str(json.loads(out)["id"])


def test_environments_from_their_making_to_their_end(cli: Cli, tmp_path: Path) -> None:
    wheels = [str(make_wheel(tmp_path, version)) for version in ("1.0", "2.0")]
    one, two = (run(cli, "--pip", wheel, "true") for wheel in wheels)
    code, out, _ = cli("env", "diff", one, two)
    assert (code, out.split()[:3]) == (0, ["~", "pip", "tiny"])
    assert cli("env", "diff", one, one)[1] == ""
    shown, shown_as_json = (cli("env", "show", one, *more)[1] for more in ((), ("--json",)))
    assert "tiny" in shown
    assert "Made In" in shown
    again = run(cli, "--pip", wheels[0], "true")
    assert "from the cache, made in" in cli("info", again)[1]
    lock = tmp_path / "lock.json"
    lock.write_text(cli("env", "lock", one)[1])
    for option, value in (("--env-of", one), ("--env-lock", str(lock))):
        rebuilt = run(cli, option, value, "true")
        assert json.loads(cli("env", "diff", "--json", one, rebuilt)[1]) == []
    code, _, err = cli("run", "--env-of", one, "--pip", "idna", "true")
    assert (code, "exclude each other" in err) == (3, True)
    listed = json.loads(cli("env", "list", "--json")[1])["environments"]
    keys = [info["key"] for info in listed]
    assert len(cli("env", "list")[1].splitlines()) == 1 + len(keys)
    key = json.loads(shown_as_json)["key"]
    assert key in keys
    assert cli("env", "rm", key)[0] == 0
    assert cli("env", "rm", key)[0] == 5
    pruned = json.loads(cli("env", "prune", "--all", "--json")[1])["keys"]
    assert json.loads(cli("env", "show", two, "--json")[1])["key"] in pruned
    assert cli("env", "show", one)[1] == shown


def test_a_run_on_a_commit_of_the_folder_and_of_another(
    cli: Cli, shared_engine: EngineFixture, tmp_path: Path
) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    first = commit(tmp_path, word="one")
    commit(tmp_path, word="two")
    number = run(cli, "--git", str(tmp_path), "--github-ref", first[:10], "cat word")
    assert cli("logs", number)[1] == "one"
    assert f"{tmp_path}@{first}" in cli("info", number)[1]
    code, _, err = cli("run", "-c", "v9", "true")
    assert (code, "is in no git repository" in err) == (5, True)
    root = shared_engine.location.root
    git(root, "init", "--quiet")
    try:
        (root / ".gitignore").write_text("*\n!word\n!.gitignore\n")
        commit(root, word="of the folder")
        (root / "word").write_text("changed since")
        assert cli("logs", run(cli, "-c", "HEAD", "cat word"))[1] == "of the folder"
        assert cli("run", "-c", "HEAD~9", "true")[0] == 5
    finally:
        (root / ".git").rename(tmp_path / "git-of-the-folder")


def test_an_environment_that_cannot_be_made_is_told_in_a_pipe_too(cli: Cli) -> None:
    code, out, err = cli("run", "--setup", "echo no luck; exit 3", "true")
    assert (code, out) == (1, "")
    assert "Build Failed" in err
    assert "no luck" in err
    assert cli("run", "exit 3") == (3, "", "")
