"""Workspaces in systems of their own: they work in the folder itself all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice_engine.protocol.servers import Dependencies
from spice_engine.protocol.workspaces import StartWorkspace
from spice_engine.runs import run_files
from spice_engine.runs.workspace_states import needed_by, settings_of
from spice_runtime import views
from tests.integration.notebook_package import notebook_package
from tests.integration.test_systems import (
    image,  # noqa: F401  # pyright: ignore[reportUnusedImport] - a fixture
    package,
)
from tests.integration.test_workspaces import in_state, workspaces_of

PYTHON = """#!/bin/sh
echo "a warning of this folder"
cat /etc/name > seen.txt
cat data/seed.txt >> seen.txt
echo "$@" >> seen.txt
echo more > /etc/name
ls $JUPYTER_TOKEN_FILE > /dev/null && exit 7
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "seed.txt").write_text("seed\n")
    return folder


async def test_an_image_serves_the_folder_itself_with_its_mounts(
    app: Path,
    image: Path,  # noqa: F811
) -> None:
    (image / "bin" / "python3").write_text(PYTHON)
    (image / "bin" / "python3").chmod(0o755)
    async with workspaces_of(app) as (workspaces, runs):
        if not runs.preparation.files.ways()[views.OVERLAY]:
            pytest.skip("this machine gives commands no overlays of their own")
        frozen = await runs.preparation.snapshot()

        async def resolve(path: str) -> str:
            return frozen

        runs.preparation.resolve = resolve
        needs = Dependencies(image=str(image))
        await workspaces.start(
            StartWorkspace("notes", dependencies=needs, mounts=["uploads/seeds:data"])
        )
        info = await in_state(workspaces, "notes", "failed")
        assert "exited with code 7: a warning of this folder" in info.message
        name, seed, words = (app / "seen.txt").read_text().splitlines()
        assert (name, seed) == ("image", "seed")
        assert words.startswith("-m jupyterlab --no-browser --ServerApp.ip=127.0.0.1")
        assert (image / "etc" / "name").read_text() == "image\n"
        assert not {path.name for path in runs.folder(info.run).iterdir()} & run_files.INNER
        # It is what a start without options asks for again.
        assert (await workspaces.start(StartWorkspace("notes"))).run > info.run
        await in_state(workspaces, "notes", "failed")


async def test_packages_of_apt_are_there_for_the_workspace(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = package(tmp_path, "1.0")
    lib = notebook_package(tmp_path)
    main = lib / "jupyterlab" / "__main__.py"
    asks = "import subprocess; subprocess.run(['spice-test-tool'], check=True)\n"
    main.write_text(asks + main.read_text())
    monkeypatch.setenv("PYTHONPATH", str(lib))
    async with workspaces_of(app) as (workspaces, runs):
        if not runs.preparation.files.ways()[views.OVERLAY]:
            pytest.skip("this machine gives commands no overlays of their own")
        needs = Dependencies(apt=[str(tool)])
        await workspaces.start(StartWorkspace("notes", dependencies=needs))
        info = await in_state(workspaces, "notes", "ready")
        said = (runs.folder(info.run) / "logs.txt").read_text()
        assert "tool 1.0\n" in said
        assert "seed.txt" in said
        await workspaces.stop("notes")
        await in_state(workspaces, "notes", "stopped")


@pytest.mark.parametrize(
    ("asked", "pip"),
    [
        (Dependencies(image="debian"), []),
        (Dependencies(apt=["ffmpeg"]), []),
        (Dependencies(image="debian", setup=["pip install jupyterlab"]), []),
        (Dependencies(image="debian", pip=["numpy"]), ["numpy", "jupyterlab"]),
        (Dependencies(apt=["ffmpeg"], pip=["numpy"]), ["numpy", "jupyterlab"]),
        (Dependencies(setup=["true"]), ["jupyterlab"]),
        (Dependencies(python="/opt/venv/bin/python"), []),
        (Dependencies(python="3.12"), ["jupyterlab"]),
    ],
)
def test_what_serves_notebooks_is_added_to_packages_of_python(
    asked: Dependencies, pip: list[str]
) -> None:
    needed = needed_by({**settings_of(None), "dependencies": asked})
    assert needed is not None
    assert needed.pip == pip
