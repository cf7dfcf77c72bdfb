"""What is said of an environment that could not be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice_engine.runs import environment_script as scripts
from spice_engine.runs.environment_failure import failure


@pytest.mark.parametrize(
    ("code", "log", "said"),
    [
        (scripts.NOT_INSTALLED, "error: a\n  No space left on device (os error 28)", "disk became"),
        (scripts.NOT_INSTALLED, "error: Failed to build `x`\n  hint: y", "Failed to build `x`"),
        (scripts.NO_APT, "Reading\nE: Unable to locate package x", "apt cannot install the pack"),
        (scripts.NO_CONDA, "+ solving\nx.SolverError: no x", "installed: no x"),
        (scripts.NO_CONDA, "x.FetchError: dns error", "no channel of conda can be reached: dns"),
        (scripts.NO_IMAGE, "tar: This does not look like a tar archive", "the image cannot be"),
        (scripts.NO_PYTHON, "", "there is no Python for this environment"),
        (scripts.SETUP_FAILED + 1, "no luck", "the setup command 'two' failed: no luck"),
    ],
)
def test_the_reason_is_in_the_message(code: int, log: str, said: str) -> None:
    error = failure(code, log, ["one", "two"], Path("/x/logs.txt"))
    assert said in error.message
    assert "/x/logs.txt" in error.hint


def test_what_failed_to_build_is_named_before_the_end_of_its_output() -> None:
    trace = "\n".join(f"  at {number}" for number in range(40))
    log = f"Resolved\nerror: Failed to build `x`\n{trace}\n  RuntimeError: no compiler\n"
    said = failure(scripts.NOT_INSTALLED, log, [], Path("/x/logs.txt")).message
    assert "installed: Failed to build `x` ... at 35" in said
    assert said.endswith("no compiler")


def test_of_apt_only_what_went_wrong_is_told_once() -> None:
    log = "E: Unable to locate package x\nGet:1 archive\nE: Unable to locate package x\nrm: y\n"
    error = failure(scripts.NO_APT, log, [], Path("/x/logs.txt"))
    assert error.message == "apt cannot install the packages: Unable to locate package x"


def test_credentials_of_an_index_are_not_told() -> None:
    log = "error: Failed to fetch https://ann:secret@example.org/simple"
    error = failure(scripts.NOT_INSTALLED, log, [], Path("/x/logs.txt"))
    assert "secret" not in f"{error}"
