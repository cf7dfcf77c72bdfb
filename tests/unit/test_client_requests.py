"""Arguments of the client, which are Spell's, as what the engine is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice_runtime.client.errors import BadRequest
from spice_runtime.client.requests import run_request
from spice_runtime.client.servers import definition_of
from spice_runtime.client.specs import RangeSpec, ValueSpec, parameter


def test_runs(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("numpy\n")
    assert run_request(
        {
            "command": "train :LR: :depth:",
            "machine_type": "CPU-Big",
            "params": {"lr": 0.1, "depth": 3},
            "envvars": {"A": 1},
            "attached_resources": {"runs/1": "data", "uploads/x": ""},
            "timeout": 2,
            "pip_packages": ["torch"],
            "requirements_file": tmp_path / "r.txt",
            "docker_image": None,
            "framework": "pytorch",
            "cwd": "/sub",
            "labels": ("a",),
            "github_url": "https://github.com/a/b",
            "github_ref": "v1",
            "stop_conditions": [
                [{"metric": "loss", "operator": "<", "value": 1, "min_indices": 3}],
                "acc > 3",
            ],
        }
    ) == {
        "command": "train :LR: :depth:",
        "machine_type": "cpu-big",
        "params": {"LR": 0.1, "depth": 3},
        "env": {"A": "1"},
        "mounts": ["runs/1:data", "uploads/x"],
        "timeout": 120.0,
        "dependencies": {"pip": ["torch"], "requirements": "numpy\n"},
        "cwd": "sub",
        "labels": ["a"],
        "git": "https://github.com/a/b",
        "git_ref": "v1",
        "stop_conditions": ["loss < 1:3", "acc > 3"],
    }
    with pytest.raises(BadRequest, match="no argument 'colour'"):
        run_request({"command": "x", "colour": 1})


def test_servers() -> None:
    assert definition_of(
        {"name": "s", "min_pods": 2, "max_batch_size": 8, "ram_limit": 2, "pip_packages": ["a"]}
    ) == {
        "name": "s",
        "scaling": {"min_pods": 2},
        "batching": {"max_size": 8, "enabled": True},
        "limits": {"memory_limit": 2 * 2**20},
        "dependencies": {"pip": ["a"]},
    }


def test_servers_of_a_commit_with_an_environment(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("dependencies: [numpy]\n")
    assert definition_of(
        {
            "github_url": "https://github.com/a/b",
            "github_ref": "v1",
            "conda_file": tmp_path / "c.yml",
            "requirements_file": None,
        }
    ) == {
        "git": "https://github.com/a/b",
        "git_ref": "v1",
        "dependencies": {"conda_file": "dependencies: [numpy]\n"},
    }
    with pytest.raises(BadRequest, match="no argument 'project'"):
        definition_of({"project": "p"})


def test_parameters() -> None:
    assert parameter("a", ValueSpec([1, "x"])) == {"name": "a", "values": [1, "x"]}
    assert parameter("b", RangeSpec(1, 2, "log", "int")) == {
        "name": "b",
        "low": 1,
        "high": 2,
        "scale": "log",
        "type": "int",
    }
    assert parameter("c", (1, 2)) == {"name": "c", "values": [1, 2]}
