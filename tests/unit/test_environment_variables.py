"""The variables of the jobs that make environments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spice_engine.runs.environment_work import job_variables


def test_a_folder_of_pyenv_that_cannot_be_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    # As one of another user's: this one is closed to root, too.
    monkeypatch.setenv("PYENV_ROOT", "/" + "x" * 300)
    assert "xxx" not in job_variables({"PATH": "/usr/bin"})["PATH"]


def test_those_of_pyenv_are_looked_at_that_can_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    for version in ("2.7.18", "3.9.1", "3.12.0", "3.5.10", "system"):
        (tmp_path / "versions" / version / "bin").mkdir(parents=True)
    path = job_variables({"PATH": "/usr/bin"})["PATH"].split(os.pathsep)
    assert path == ["/usr/bin", *(f"{tmp_path}/versions/{one}/bin" for one in ("3.12.0", "3.9.1"))]
