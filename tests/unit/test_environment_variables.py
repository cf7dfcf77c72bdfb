"""The variables of the jobs that make environments."""

from __future__ import annotations

import pytest

from spice_engine.runs.environment_work import job_variables


def test_a_folder_of_pyenv_that_cannot_be_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    # As one of another user's: this one is closed to root, too.
    monkeypatch.setenv("PYENV_ROOT", "/" + "x" * 300)
    assert "xxx" not in job_variables({"PATH": "/usr/bin"})["PATH"]
