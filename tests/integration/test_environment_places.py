"""Environments of app folders whose path has characters that a shell would take apart."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.protocol.servers import Dependencies
from spice_engine.runs.environments import EnvironmentFailed, Environments
from spice_engine.workers.placement import UNCOUNTED, LocalPlacement
from spice_engine.workers.shims import ShimHost


@pytest.fixture
async def environments(tmp_path: Path) -> AsyncIterator[Environments]:
    root = tmp_path / "it's my app; $HOME"
    (root / ".spice").mkdir(parents=True)
    async with ShimHost() as host:
        placement = LocalPlacement(host, capacity=UNCOUNTED)
        found = Environments(root / ".spice", root, placement)
        found.layers.overlays = lambda: True
        yield found
        await found.close()


async def test_what_fails_removes_what_it_made_and_no_other_folder(
    environments: Environments, tmp_path: Path
) -> None:
    other = tmp_path / "its"
    other.mkdir()
    for beside in (tmp_path / "it's", tmp_path / "it's my"):
        beside.mkdir()
    with pytest.raises(EnvironmentFailed, match="'false' failed"):
        await environments.ensure(Dependencies(setup=["false"]), ())
    assert len([place for place in tmp_path.iterdir() if place.is_dir()]) == 4
    assert not list(environments.folder.glob("*/*/venv"))
    made = await environments.ensure(Dependencies(setup=["python -c ''"]), ())
    assert made.python.exists()
    (log,) = environments.folder.glob(f"{made.key}/*/logs.txt")
    assert "trap" not in log.read_text()


async def test_an_image_is_unpacked_there(environments: Environments, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").touch()
    archive = tmp_path / "an image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "bin", "bin")
    made = await environments.ensure(Dependencies(image=str(archive)), ())
    assert made.system is not None
    (folder,) = made.system.places["/"]
    assert (Path(folder) / "bin" / "sh").exists()
    archive.write_bytes(b"")
    with pytest.raises(EnvironmentFailed, match="cannot be unpacked"):
        await environments.ensure(Dependencies(image=str(archive)), ())
