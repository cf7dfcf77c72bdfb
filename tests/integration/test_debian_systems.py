"""Runs in a system of Debian's, as mmdebstrap makes it from packages."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import environment_record
from spice_engine.runs.service import Runs
from spice_runtime import process, views
from tests.integration.run_services import runs_of
from tests.integration.test_run_files import log_of, outputs, resources, run
from tests.integration.wheels import make_wheel

PACKAGES = "base-files,dash,coreutils,python3-minimal,libpython3-stdlib"


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    # A path that a shell would take apart.
    (tmp_path / "my app").mkdir()
    async with runs_of(tmp_path / "my app", stop=True) as found:
        if not found.preparation.files.ways()[views.OVERLAY]:
            pytest.skip("this machine gives commands no overlays of their own")
        yield found


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """A root file system in a tar file: what the packages hold, their scripts did not run."""
    release = platform.freedesktop_os_release()
    if shutil.which("mmdebstrap") is None or release.get("ID") != "debian":
        pytest.skip("mmdebstrap is not installed, or this is no Debian")
    made = tmp_path / "debian.tar"
    words = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={PACKAGES}"]
    words += [release["VERSION_CODENAME"], str(made)]
    try:
        done = subprocess.run(words, capture_output=True, check=False, timeout=90, text=True)
    except subprocess.TimeoutExpired:
        pytest.skip("mmdebstrap does not get its packages here in time")
    if done.returncode:
        pytest.skip(f"mmdebstrap cannot work here: {done.stderr[-200:]}")
    return made


@pytest.mark.slow
async def test_packages_setup_and_mounts_in_debian(
    runs: Runs, debian: Path, tmp_path: Path
) -> None:
    resources(runs, data={"a": "mounted\n"})
    needs = Dependencies(
        image=str(debian),
        pip=[str(make_wheel(tmp_path))],
        setup=["echo setup > /opt/made; test ! -e /opt/twice; echo > /opt/twice"],
    )
    line = (
        "cat /etc/debian_version /opt/made /mnt/data/a;"
        "python -c 'import sys, tiny; print(tiny.VERSION, sys.base_prefix)' | tee made;"
        "echo x > /etc/debian_version; ls -A /home"
    )
    numbers: list[int] = []
    for _ in range(2):
        found = await run(runs, line, dependencies=needs, mounts=["data:/mnt/data"])
        assert found.outcome == "success", found.message
        version, *said = log_of(runs, found.id).splitlines()
        assert version.split(".")[0].isdecimal()
        assert said == ["setup", "mounted", "1.0 /usr"]
        assert outputs(runs, found.id) == {"made": "1.0 /usr\n"}
        numbers.append(found.id)
    note = process.read_json(str(runs.folder(numbers[0])), environment_record.NOTE)
    assert note is not None
    again = await run(runs, line, dependencies=Dependencies(lock=json.dumps(note["lock"])))
    assert "1.0 /usr" in log_of(runs, again.id), again.message
    missing = await run(runs, "no-such-program", dependencies=needs)
    assert missing.exit_code == 127
