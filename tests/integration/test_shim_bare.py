"""The shim and the runtime package on a bare interpreter, of every version that is at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spice_runtime import process

PACKAGE = Path(process.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def interpreters() -> list[str]:
    """This one, and any other from 3.8 on that pyenv or the system has."""
    found = {os.path.realpath(sys.executable)}
    places = (Path.home() / ".pyenv/versions", Path("/usr"), Path("/usr/local"))
    for place in places:
        for path in (*place.glob("3.*/bin/python3"), *place.glob("bin/python3.[0-9]*")):
            if path.name.rpartition(".")[2].isdigit() or path.name == "python3":
                found.add(os.path.realpath(path))
    asked = [
        (path, subprocess.run([path, "-c", "import sys; sys.exit(sys.version_info < (3, 8))"]))
        for path in sorted(found)
    ]
    return [path for path, answer in asked if answer.returncode == 0]


@pytest.mark.parametrize("python", interpreters())
def test_a_job_runs_on_a_bare_interpreter(python: str, tmp_path: Path) -> None:
    job = {"shell": "echo hi; (setsid sleep 60 &); exit 3", "env": {"PATH": "/usr/bin:/bin"}}
    (tmp_path / "job.json").write_text(json.dumps(job))
    shim = subprocess.run(
        [python, "-I", "-S", PACKAGE / "shim.py", tmp_path], capture_output=True, env={}
    )
    assert (shim.returncode, shim.stdout, shim.stderr) == (0, b"", b"")
    ended = json.loads((tmp_path / "exit.json").read_text())
    assert (ended["exit_code"], ended["reason"]) == (3, "exited")
    assert (tmp_path / "logs.txt").read_text() == "hi\n"


@pytest.mark.parametrize("python", interpreters())
def test_the_package_needs_nothing_but_the_standard_library(python: str) -> None:
    code = f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n" + "".join(
        f"import spice_runtime.{name}\n" for name in MODULES
    )
    code += "ours = {name.partition('.')[0] for name in sys.modules if 'spice' in name}\n"
    code += "assert ours == {'spice_runtime'}, ours\n"
    subprocess.run([python, "-I", "-S", "-W", "error", "-c", code], check=True, env={})


def test_a_folder_without_a_usable_job_gets_an_exit_status(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"argv": []')
    shim = subprocess.run([sys.executable, "-I", "-S", PACKAGE / "shim.py", tmp_path])
    assert shim.returncode == 2
    ended = json.loads((tmp_path / "exit.json").read_text())
    assert (ended["exit_code"], ended["reason"]) == (126, "not started")


def test_a_torn_index_is_mended(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps({"shell": "echo new"}))
    (tmp_path / "logs.txt").write_text("old\n")
    (tmp_path / "logs.txt.idx").write_bytes(b"\0" * 16 + b"torn")
    subprocess.run([sys.executable, "-I", "-S", PACKAGE / "shim.py", tmp_path], check=True)
    assert (tmp_path / "logs.txt").read_text() == "old\nnew\n"
    index = (tmp_path / "logs.txt.idx").read_bytes()
    assert len(index) == 32
    assert int.from_bytes(index[16:24], "little") == 4
