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
from tests.integration.test_environments import output

BUILDER = """
import pathlib, zipfile


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, note = "tiny-1.0-py3-none-any.whl", "tiny-1.0.dist-info"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        archive.write("tiny.py")
        archive.writestr(f"{note}/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
        archive.writestr(f"{note}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n")
        archive.writestr(f"{note}/RECORD", f"tiny.py,,\\n{note}/METADATA,,\\n{note}/WHEEL,,\\n")
    return name
"""


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


async def test_a_package_that_was_edited_is_built_again(
    environments: Environments, tmp_path: Path
) -> None:
    folder = tmp_path / "it's my app; $HOME" / "package"
    folder.mkdir()
    # A builder of its own, for no index need be there.
    settings = '[project]\nname = "tiny"\nversion = "1.0"\n[build-system]\nrequires = []\n'
    backend = 'build-backend = "builder"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(settings + backend)
    (folder / "builder.py").write_text(BUILDER)
    for word in ("first", "second"):
        (folder / "tiny.py").write_text(f"VERSION = {word!r}\n")
        made = await environments.ensure(Dependencies(pip=["./package"]), ())
        assert output(made.python, "import tiny; print(tiny.VERSION)") == word


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
