"""Options of `server serve` and `update` as fields of a definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from spice_engine.errors import InvalidSettings
from spice_engine.protocol.location import Location
from spice_tui.cli.server_flags import FLAGS, changes, megabytes, mount
from spice_tui.cli.server_serve import merged
from spice_tui.cli.server_sources import inside, name_of, sources
from spice_tui.cli.session import Session


def test_each_option_sets_its_field() -> None:
    given: dict[str, Any] = {
        "type_": "onnx",
        "env": ["A=1=2", "B"],
        "mount": ["runs/3:data", "uploads/text"],
        "min_pods": 0,
        "max_pods": 4,
        "target_cpu_utilization": 0.7,
        "scale_down_after": "1m",
        "cpu_limit": 2.0,
        "ram_request": "512",
        "ram_limit": "2G",
        "gpu_limit": 1,
        "num_processes": "default",
        "token": True,
        "cors": ["*"],
        "deadline": "500ms",
        "max_body": "1M",
        "debug": False,
        "pip": ["numpy"],
        "setup": ["true"],
        "python": "3.12",
        "open_": True,
    }
    assert changes(given) == {
        "type": "onnx",
        "env": {"A": "1=2", "B": ""},
        "mounts": {"runs/3": "data", "uploads/text": "text"},
        "scaling": {"min_pods": 0, "max_pods": 4, "cpu_utilization": 0.7, "down_after": 60.0},
        "limits": {
            "cpu_limit": 2.0,
            "gpus": 1,
            "memory_request": 512 * 2**20,
            "memory_limit": 2 * 2**30,
        },
        "num_processes": 1,
        "door": {"auth": "token", "cors": ["*"], "deadline": 0.5, "max_body": 2**20},
        "debug": False,
        "dependencies": {"pip": ["numpy"], "setup": ["true"], "python": "3.12"},
    }


@pytest.mark.parametrize(
    ("given", "batching"),
    [
        ({"max_batch_size": 8}, {"max_size": 8, "enabled": True}),
        ({"request_timeout": 5.0}, {"wait_ms": 5.0, "enabled": True}),
        ({"request_timeout": 5.0, "enable_batching": False}, {"wait_ms": 5.0, "enabled": False}),
        ({"enable_batching": True}, {"enabled": True}),
        ({"debug": True}, None),
    ],
)
def test_a_size_or_wait_turns_batching_on_and_nothing_turns_it_off(
    given: dict[str, Any], batching: dict[str, Any] | None
) -> None:
    assert changes(given).get("batching") == batching


def test_every_option_that_means_something_changes_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("a: 1\n")
    monkeypatch.setenv("VIRTUAL_ENV", "")
    texts = {name: str(file) for name in ("config", "pip_req", "conda_file", "env_lock")}
    texts |= {"ram_request": "1", "ram_limit": "1", "max_body": "1", "num_processes": "2"}
    texts |= {"scale_down_after": "1", "deadline": "1", "start_timeout": "1"}
    texts |= {"auth": "none", "retry": "never", "python": "3.12", "image": "debian:12"}
    texts |= {"git": "https://example.org/x.git", "commit_ref": "v1"}
    silent = {"open_", "force", "verbose", "github_ref", "framework"}
    for name in FLAGS.keys() - silent - {"deps_from_env"}:
        lists = {"env", "mount", "pip", "apt", "setup", "cors", "conda", "conda_channel"}
        many = name in lists
        value: Any = ["a"] if many else texts.get(name, 1)
        assert changes({name: value}), name
    assert changes({"open_": True, "force": True}) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"deadline": "soon"}, "soon"),
        ({"ram_limit": "much"}, "much"),
        ({"num_processes": "few"}, "few"),
        ({"env": ["=1"]}, "=1"),
    ],
)
def test_a_value_that_cannot_be_read_is_a_usage_error(given: dict[str, Any], said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        changes(given)


def test_a_repository_and_a_commit() -> None:
    url = "https://example.org/x.git"
    assert changes({"git": url}) == {"git": url, "git_ref": ""}
    assert changes({"git": url, "github_ref": "v1"})["git_ref"] == "v1"
    assert changes({"commit_ref": "v1"}) == {"git": ".", "git_ref": "v1"}
    for given in ({"github_ref": "v1"}, {"git": url, "github_ref": "a", "commit_ref": "b"}):
        with pytest.raises(InvalidSettings):
            changes(given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runs/3", ("runs/3", "3")),
        ("runs/3/", ("runs/3/", "3")),
        ("runs/3/a.txt:b/c", ("runs/3/a.txt", "b/c")),
        ("uploads/x:/mounts/y", ("uploads/x", "y")),
        ("s3://bucket/x:y", ("s3://bucket/x", "y")),
    ],
)
def test_mounts(text: str, expected: tuple[str, str]) -> None:
    assert mount(text) == expected


@pytest.mark.parametrize("text", ["a:b:c", ":b", "a:", ""])
def test_a_mount_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="Incorrect formatting of mount"):
        mount(text)


def test_memory_is_in_megabytes_where_no_unit_is_given() -> None:
    assert [megabytes(text) for text in ("1", "1.5", "1G", "2k")] == [
        2**20,
        3 * 2**19,
        2**30,
        2048,
    ]


def test_requirements_include_each_other(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "all.txt").write_text("-r inner/more.txt\n\nidna>=3  # why\n-c limits.txt\n")
    (tmp_path / "inner" / "more.txt").write_text("numpy\n--requirement=last.txt\n")
    (tmp_path / "inner" / "last.txt").write_text("six\n")
    found = changes({"pip_req": str(tmp_path / "all.txt")})["dependencies"]["requirements"]
    limits = tmp_path / "limits.txt"
    assert found == f"numpy\nsix\nidna>=3  # why\n-c {limits}\n"
    (tmp_path / "inner" / "last.txt").write_text("-r more.txt\n")
    with pytest.raises(InvalidSettings, match="without end"):
        changes({"pip_req": str(tmp_path / "all.txt")})


def test_packages_of_this_machine_are_named_from_its_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all.txt").write_text("-e .[gpu]  # this\n--editable=../a b\n./c.whl --hash=x:1\n")
    up = tmp_path.parent
    packages = ["./d", "numpy[x/y]", "e @ file:///e", "git+https://example.org/f", "/g"]
    found = changes({"pip_req": "all.txt", "pip": packages, "apt": ["h", "./i.deb"]})
    assert found["dependencies"] == {
        "requirements": f"-e {tmp_path}[gpu]  # this\n--editable={up}/a b\n{tmp_path}/c.whl"
        " --hash=x:1\n",
        "pip": [f"{tmp_path}/d", *packages[1:]],
        "apt": ["h", f"{tmp_path}/i.deb"],
    }


@pytest.mark.parametrize(
    ("one", "other", "conda"),
    [
        ("conda_file", "pip_req", False),
        ("conda_file", "deps_from_env", False),
        ("conda", "pip_req", False),
        ("conda_file", "image", False),
        ("deps_from_env", "pip", True),
        ("deps_from_env", "pip_req", True),
        ("env_lock", "pip", False),
    ],
)
def test_dependencies_that_exclude_each_other(
    monkeypatch: pytest.MonkeyPatch, one: str, other: str, conda: bool
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("CONDA_PREFIX", "/opt/conda" if conda else "")
    with pytest.raises(InvalidSettings, match="exclude each other") as caught:
        changes({one: "x", other: "y"})
    assert caught.value.exit_code == 3


def test_the_active_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    with pytest.raises(InvalidSettings, match="Could not find an active conda environment"):
        changes({"deps_from_env": True})
    conda = tmp_path / "conda"
    conda.write_text("#!/bin/sh\nprintf '%s\\n' \"# $*\" 'dependencies: [numpy]'\n")
    conda.chmod(0o755)
    monkeypatch.setenv("CONDA_PREFIX", "/opt/conda")
    monkeypatch.setenv("CONDA_EXE", str(conda))
    asked = changes({"deps_from_env": True})["dependencies"]
    assert asked == {"conda_file": "# env export --from-history\ndependencies: [numpy]\n"}
    monkeypatch.setenv("CONDA_EXE", str(tmp_path / "gone"))
    with pytest.raises(InvalidSettings, match="gone"):
        changes({"deps_from_env": True})


@pytest.mark.parametrize(
    ("text", "expected"), [("{a: 1, b: [2]}", {"a": 1, "b": [2]}), ("", {}), ('{"a": null}', None)]
)
def test_config(tmp_path: Path, text: str, expected: dict[str, Any] | None) -> None:
    (tmp_path / "c.yaml").write_text(text)
    found = changes({"config": str(tmp_path / "c.yaml")})["config"]
    assert found == ({"a": None} if expected is None else expected)


@pytest.mark.parametrize("text", ["[1]", "1: a", "a: [", "just text"])
def test_a_config_that_is_no_map_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InvalidSettings, match=r"c\.yaml"):
        changes({"config": str(tmp_path / "c.yaml")})


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    root = tmp_path / "app"
    (root / "servers").mkdir(parents=True)
    (root / "servers" / "serve.py").write_text("")
    (tmp_path / "outside.py").write_text("")
    monkeypatch.chdir(root / "servers")
    made = Session()
    made._location = Location(root, root / ".spice")
    return made


def test_the_words_of_serve(session: Session) -> None:
    file = "servers/serve.py"
    assert sources(session, ["serve.py"], "") == ([], file)
    assert sources(session, ["a:v1", "b:v2", "serve.py"], "") == (["a:v1", "b:v2"], file)
    assert sources(session, ["servers/serve.py"], "") == ([], file)
    assert sources(session, ["a:v1"], "") == (["a:v1"], "")
    assert sources(session, ["a:v1"], "onnx") == (["a:v1"], "")
    for words in (["a", "serve.py"], ["no.py"], ["../../outside.py"], ["a:"]):
        with pytest.raises(InvalidSettings):
            sources(session, words, "")


def test_an_entrypoint_outside_the_folder_is_refused(session: Session) -> None:
    with pytest.raises(InvalidSettings, match="does not lie in the app folder"):
        inside(session, "../../outside.py")


def test_the_name_is_that_of_the_only_model() -> None:
    assert name_of(["cifar:v1"]) == "cifar"
    with pytest.raises(InvalidSettings, match="if not using a model"):
        name_of([])
    with pytest.raises(InvalidSettings, match="when using multiple models"):
        name_of(["a:v1", "b:v1"])


def test_changes_of_a_part_leave_the_rest_of_it() -> None:
    before = {"name": "x", "env": {"A": "1"}, "scaling": {"min_pods": 1, "max_pods": 5}}
    after = merged(before, {"env": {"B": "2"}, "scaling": {"max_pods": 2}})
    assert after == {"name": "x", "env": {"B": "2"}, "scaling": {"min_pods": 1, "max_pods": 2}}
