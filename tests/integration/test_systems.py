"""Runs in systems of their own: images made of this machine's programs, and packages of apt."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.runs import StartRun
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import environment_record, run_files
from spice_engine.runs.service import Runs
from spice_runtime import process, views
from tests.integration.run_services import runs_of
from tests.integration.test_run_files import NOTHING, log_of, outputs, resources, run

PROGRAMS = ("sh", "cat", "ls", "mkdir", "touch", "rm")


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "code.txt").write_text("code\n")
    async with runs_of(tmp_path / "app", stop=True) as found:
        if not found.preparation.files.ways()[views.OVERLAY]:
            pytest.skip("this machine gives commands no overlays of their own")
        yield found


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A root file system with a shell and not much else."""
    root = tmp_path / "image"
    for folder in ("bin", "etc", "tmp", "opt"):
        (root / folder).mkdir(parents=True)
    needed: set[str] = set()
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None
        shutil.copy(program, root / "bin" / name)
        said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        needed |= {word for word in said.split() if word.startswith("/")}
    for library in needed:
        place = root / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    (root / "etc" / "name").write_text("image\n")
    return root


async def test_a_run_in_an_image_sees_the_image_its_files_and_its_mounts(
    runs: Runs, image: Path
) -> None:
    resources(runs, data={"a": "in\n"})
    line = (
        "cat /etc/name code.txt /mnt/data/a; ls /; pwd; echo $SPICE_RUN_ID; ls ../system/root/at;"
        "echo x > made; echo y > /etc/name; cat /etc/name"
    )
    needs = Dependencies(image=str(image))
    found = await run(runs, line, dependencies=needs, mounts=["data:/mnt/data"])
    said = log_of(runs, found.id).split("\n")
    assert found.outcome == "success", said
    assert said[:2] == ["image", "code"]
    assert "in" in said
    assert str(runs.folder(found.id) / "work") in said
    assert "y" in said
    top = set(said)
    assert {"bin", "etc", "proc", "dev"} <= top
    assert "home" not in top
    # The root is not seen again in the state folder, devices and all.
    assert said.count("dev") == 1
    # What it changed of the system is gone with it.
    assert outputs(runs, found.id) == {"made": "x\n"}
    assert (image / "etc" / "name").read_text() == "image\n"
    assert not {path.name for path in runs.folder(found.id).iterdir()} & run_files.INNER
    again = await run(runs, "exit 3", dependencies=needs)
    assert again.exit_code == 3
    note = process.read_json(str(runs.folder(again.id)), environment_record.NOTE)
    assert note is not None
    assert note["lock"]["image"] == str(image)


async def test_in_an_image_a_run_can_work_in_the_folder_itself(runs: Runs, image: Path) -> None:
    line = "cat /etc/name code.txt; echo x > made; echo y > /etc/name; mkdir -p /opt/more"
    found = await run(runs, line, dependencies=Dependencies(image=str(image)), in_place=True)
    assert log_of(runs, found.id) == "image\ncode\n"
    assert (runs.location.root / "made").read_text() == "x\n"
    assert (image / "etc" / "name").read_text() == "image\n"
    assert not (image / "opt" / "more").exists()
    assert not {path.name for path in runs.folder(found.id).iterdir()} & run_files.INNER


async def test_packages_do_not_lie_over_the_folder_that_a_run_works_in(
    runs: Runs, tmp_path: Path
) -> None:
    needs = Dependencies(apt=[str(package(tmp_path, "1.0"))])
    request = StartRun("true", cwd="/usr/bin", in_place=True, dependencies=needs)
    with pytest.raises(InvalidRequest, match="cannot be put over /usr for a command"):
        await runs.start(request)


async def test_each_rank_has_the_image_to_itself(runs: Runs, image: Path) -> None:
    line = "cat /etc/name; echo $RANK > /etc/name; cat /etc/name"
    found = await run(runs, line, dependencies=Dependencies(image=str(image)), distributed=2)
    assert found.outcome == "success", log_of(runs, found.id)
    said = log_of(runs, found.id)
    assert said.count("image") == 2
    assert (image / "etc" / "name").read_text() == "image\n"


async def test_an_image_in_a_tar_file_is_unpacked_once(
    runs: Runs, image: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(image, ".")
    needs = Dependencies(image=str(archive))
    for _ in range(2):
        found = await run(runs, "cat /etc/name", dependencies=needs)
        assert log_of(runs, found.id) == "image\n"
    folder = runs.preparation.environments.folder
    assert len(list(folder.glob("*/*/root"))) == 1
    archive.write_bytes(b"no archive")
    broken = await run(runs, "true", dependencies=needs)
    assert broken.state == "build_failed"
    assert "the image cannot be unpacked" in broken.message


@pytest.fixture
def names(image: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two names of an image of podman's that sets variables."""
    archive, name = tmp_path / "image.tar", f"localhost/spice-test-{uuid.uuid4().hex}"
    with tarfile.open(archive, "w") as tar:
        tar.add(image, ".")
        tar.add(image / "bin" / "cat", "opt/own/bin/own-cat")
    change = ["--change", "ENV PATH=/opt/own/bin:/bin", "--change", "ENV WORD=of-the-image"]
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    words = ["podman", "import", "--quiet", *change, str(archive), name]
    if subprocess.run(words, capture_output=True, check=False, timeout=60).returncode:
        pytest.skip("podman does not work here")
    other = f"{name}:other"
    subprocess.run(["podman", "tag", name, other], check=True, timeout=60)
    yield name, other
    words = ["podman", "rmi", "--force", name, other]
    subprocess.run(words, check=False, capture_output=True, timeout=60)


async def test_an_image_of_podmans_with_its_variables(runs: Runs, names: tuple[str, str]) -> None:
    for name in names:
        needs = Dependencies(image=name, setup=["echo $WORD > /opt/word"])
        found = await run(runs, "own-cat /etc/name /opt/word", dependencies=needs)
        assert log_of(runs, found.id) == "image\nof-the-image\n", found.message
    # What has two names is unpacked once.
    assert len(list(runs.preparation.environments.folder.glob("*/*/root"))) == 1


async def test_a_setup_command_changes_the_image_for_all_who_ask_for_it(
    runs: Runs, image: Path
) -> None:
    needs = Dependencies(image=str(image), setup=["echo more > /etc/more; echo one >> /opt/count"])
    for _ in range(2):
        found = await run(runs, "cat /etc/name /etc/more /opt/count", dependencies=needs)
        assert log_of(runs, found.id) == "image\nmore\none\n"
    assert not (image / "etc" / "more").exists()


async def test_what_is_no_image(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, said in ((str(tmp_path / "empty"), "no root file system"), ("/no/such", "no image")):
        found = await run(runs, "true", dependencies=Dependencies(image=name))
        assert found.state == "build_failed"
        assert said in found.message


def package(folder: Path, version: str) -> Path:
    """A package of the system that says its version."""
    if shutil.which("dpkg-deb") is None or shutil.which("apt-get") is None:
        pytest.skip("this machine has no apt")
    if os.geteuid() != 0:
        pytest.skip("packages of the system are installed by root only")
    made = folder / "package"
    (made / "DEBIAN").mkdir(parents=True)
    (made / "usr" / "bin").mkdir(parents=True)
    (made / "usr" / "bin" / "spice-test-tool").write_text(f"#!/bin/sh\necho tool {version}\n")
    (made / "usr" / "bin" / "spice-test-tool").chmod(0o755)
    (made / "DEBIAN" / "control").write_text(
        f"Package: spice-test-tool\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: Ann <ann@example.org>\nDescription: says its version\n"
    )
    command = ["dpkg-deb", "--root-owner-group", "--build", str(made), str(folder / "tool.deb")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "tool.deb"


async def test_packages_of_apt_are_there_for_the_run_alone(runs: Runs, tmp_path: Path) -> None:
    needs = Dependencies(apt=[str(package(tmp_path, "1.0"))])
    services = Path("/usr/sbin/policy-rc.d").exists()
    for _ in range(2):
        found = await run(runs, "spice-test-tool; touch /usr/bin/own", dependencies=needs)
        assert log_of(runs, found.id) == "tool 1.0\n"
        note = process.read_json(str(runs.folder(found.id)), environment_record.NOTE)
        assert note is not None
        assert note["lock"]["apt"] == ["spice-test-tool=1.0"]
    assert shutil.which("spice-test-tool") is None
    assert not Path("/usr/bin/own").exists()
    assert Path("/usr/sbin/policy-rc.d").exists() == services


async def test_a_package_that_apt_does_not_have(runs: Runs, tmp_path: Path) -> None:
    package(tmp_path, "1.0")
    (tmp_path / "app" / "broken.deb").write_text("no package")
    found = await run(runs, "true", dependencies=Dependencies(apt=["./broken.deb"]))
    assert found.state == "build_failed"
    assert "apt cannot install the packages" in found.message


async def test_where_the_machine_allows_none_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_files, "ways_in", lambda _: NOTHING)
    (tmp_path / "app").mkdir()
    async with runs_of(tmp_path / "app") as found:
        for needs in (Dependencies(image="/"), Dependencies(apt=["hello"])):
            with pytest.raises(InvalidRequest, match="gives commands no overlays"):
                await found.start(StartRun("true", dependencies=needs))
    async with runs_of(tmp_path / "app") as found:
        found.preparation.files._ways = {views.OVERLAY: True, views.BIND: True}
        monkeypatch.setenv("PATH", "")
        with pytest.raises(NotFound, match="no podman"):
            await found.preparation.environments.ensure(Dependencies(image="debian:nothing"), ())
