"""What each process may import: counted in fresh processes, never assumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, EngineFixture

pytestmark = pytest.mark.e2e

MODULES_OF_THE_ENGINE = 800
"""Measured 735, more than half of them small ones of our own, and a tenth."""


def modules_after(code: str, *, flags: tuple[str, ...] = ("-I",)) -> set[str]:
    script = f"{code}\nimport sys, json\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, *flags, "-c", script], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_whole_engine_imports_neither_numba_nor_polars():
    loaded = modules_after("import spice_engine.app, spice_engine.__main__, spice_engine.api.http")
    assert "aiohttp" in loaded
    assert not loaded & {"numba", "polars", "textual", "typer", "spice_tui"}


def test_an_engine_is_ready_before_the_libraries_of_the_public_door_are_imported():
    loaded = modules_after("import spice_engine.app, spice_engine.__main__")
    assert not loaded & {"aiohttp", "attr", "numpy", "prometheus_client", "pydantic", "yarl"}
    assert len(loaded) <= MODULES_OF_THE_ENGINE, len(loaded)


def test_a_running_engine_has_not_loaded_them_either(engine: EngineFixture):
    engine.start()
    engine.call("runs.start", command=["true"])
    maps = Path(f"/proc/{engine.pid}/maps")
    if not maps.exists():
        pytest.skip("no /proc on this system")
    libraries = maps.read_text()
    assert "llvmlite" not in libraries
    assert "_polars" not in libraries


def test_the_runtime_imports_on_a_bare_python_of_the_standard_library_only():
    runtime = REPOSITORY / "engine"
    names = [
        f"spice_runtime.{path.stem}"
        for path in sorted((runtime / "spice_runtime").glob("*.py"))
        if path.stem != "__init__"
    ]
    code = f"import sys; sys.path.append({str(runtime)!r}); import {', '.join(names)}"
    # -S: no site-packages; -I: no environment, no user site, no current folder.
    loaded = modules_after(code, flags=("-I", "-S"))
    outside = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert {name for name in outside if not name.startswith("_")} <= {"spice_runtime"}


def test_the_runtime_imports_on_older_pythons_too():
    older = [
        found
        for minor in range(8, 11)
        for found in Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3")
    ]
    if not older:
        pytest.skip("no older Python on this machine")
    code = "import sys; sys.path.append(sys.argv[1]); import spice_runtime.shim"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for python in older:
        subprocess.run(
            [python, "-I", "-S", "-c", code, str(REPOSITORY / "engine")],
            check=True,
            env=environment,
        )
