"""Shims in rough company: killed ones, clients that do not read, no descriptors left."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from spice_engine.errors import ChildFailed
from spice_engine.workers.jobs import read_exit
from spice_engine.workers.limits import LimitSupport
from spice_engine.workers.placement import LocalPlacement, Resources
from spice_engine.workers.shims import Job, JobLost, Lost, ShimHost
from spice_runtime import process
from tests.integration.shim_jobs import ENV, gone, until

NOBODY = 65534
SHIM_AS_NOBODY = f"""
import os, sys
from spice_runtime import process, shim
process.own_note()  # loads what nobody may not read, as the spawner does
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
shim.main(sys.argv[1])
"""
# These count processes of other users, and what takes how long.
pytestmark = pytest.mark.alone

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture
async def host() -> AsyncIterator[ShimHost]:
    async with ShimHost() as host:
        yield host


@linux
async def test_what_a_command_started_ends_with_its_lost_shim(
    host: ShimHost, tmp_path: Path
) -> None:
    folder = tmp_path / "job"
    # The kernel ends the shell with its shim, and nothing ends what the shell waits for.
    client = await host.start(folder, Job(shell="sleep 60 & echo $!; wait", env=ENV))
    log = folder / "logs.txt"
    await until(lambda: log.read_text().endswith("\n"))
    below = int(log.read_text())
    # Both are gone before anyone looks.
    os.kill(client.pid, signal.SIGSTOP)
    os.kill(client.child, signal.SIGKILL)
    await until(lambda: gone(client.child))
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(JobLost):
        await client.wait()
    with suppress(TimeoutError):
        await until(lambda: gone(below), 5)
    survived = not gone(below)
    if survived:
        os.kill(below, signal.SIGKILL)
    assert not survived


@linux
async def test_daemons_end_with_their_lost_shim(host: ShimHost, tmp_path: Path) -> None:
    # Another session, no output of the command's: only what it was given tells whose it is.
    daemon = "setsid sh -c 'echo $$ > {0}; exec sleep 60' <&- >&- 2>&- & wait"
    note = tmp_path / "daemon"
    client = await host.start(tmp_path / "job", Job(shell=daemon.format(note), env=ENV))
    await until(lambda: note.exists() and note.read_text().endswith("\n"))
    pid = int(note.read_text())
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(JobLost):
        await client.wait()
    try:
        # They are killed before the job is said to be lost.
        await until(lambda: gone(pid), 5)
        assert not (tmp_path / "job" / process.SOCKET).exists()
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@linux
async def test_another_session_of_the_same_number_is_left_alone(
    host: ShimHost, tmp_path: Path
) -> None:
    assert process.claim(str(tmp_path), {"pid": 2**22 + 1, "identity": "boot:1"})
    other = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    note = {"child": other.pid, "child_identity": "", "output_inode": 1}
    process.write_json(str(tmp_path), process.SHIM, note, durable=False)
    assert isinstance(await host.attach(tmp_path), Lost)
    assert other.returncode is None
    assert not gone(other.pid)
    other.kill()
    assert await other.wait() == -signal.SIGKILL


async def test_a_claim_without_an_identity_is_of_a_process_that_is_gone(
    host: ShimHost, tmp_path: Path
) -> None:
    assert process.claim(str(tmp_path), {"pid": 2**22 + 1, "identity": ""})
    assert isinstance(await host.attach(tmp_path), Lost)


async def test_waiting_for_a_lost_job_says_that_it_is_lost(host: ShimHost, tmp_path: Path) -> None:
    placement = LocalPlacement(host, support=LimitSupport("none", "none", "none"))
    room = placement.reserve([Resources()])
    placed = await placement.start(room, 0, tmp_path / "job", Job(argv=("sleep", "60"), env=ENV))
    os.kill(placed.pid, signal.SIGKILL)
    with pytest.raises(JobLost):
        await placement.wait(placed)
    # The hold on it is gone by now, so this one looks at its folder.
    with pytest.raises(JobLost):
        await placement.wait(placed)


async def test_a_status_that_cannot_be_read_is_said(host: ShimHost, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    client = await host.start(folder, Job(argv=("sleep", "60"), env=ENV))
    (folder / process.EXIT).mkdir()
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(ChildFailed, match="cannot be read"):
        await client.wait()
    await until(lambda: gone(client.child))


@linux
async def test_a_subscriber_that_does_not_read_costs_no_computing(
    host: ShimHost, tmp_path: Path
) -> None:
    folder = tmp_path / "job"
    client = await host.start(folder, Job(shell="while sleep 0.1; do echo x; done", env=ENV))
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(os.path.relpath(folder / "shim.sock"))
        deaf.sendall(frame({"id": 1, "do": "subscribe"}))
        # More answers than the socket takes, fewer than a client is dropped for.
        for number in range(1500):
            deaf.sendall(frame({"id": number, "do": "status"}))
        await client.status()
        shim = psutil.Process(client.pid)
        before = sum(shim.cpu_times()[:2])
        await asyncio.sleep(2)
        used = sum(shim.cpu_times()[:2]) - before
    await client.kill()
    await client.wait()
    assert used < 0.5


@linux
async def test_a_shim_without_descriptors_keeps_its_command(host: ShimHost, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    client = await host.start(folder, Job(shell="sleep 60", env=ENV))
    _, hard = resource.prlimit(client.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(client.pid, resource.RLIMIT_NOFILE, (3, hard))
    with socket.socket(socket.AF_UNIX) as late:
        late.connect(os.path.relpath(folder / "shim.sock"))
        assert (await client.status())["child"] == client.child
        resource.prlimit(client.pid, resource.RLIMIT_NOFILE, (256, hard))
        late.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(late, frame({"id": 1, "do": "status"}))
        async with asyncio.timeout(10):
            assert await loop.sock_recv(late, 4)
    await client.kill()
    assert (await client.wait()).reason == "killed"


PERL = shutil.which("perl") or ""


@pytest.fixture
def privileged(tmp_path: Path) -> Iterator[Path]:
    """A program that runs as root whoever starts it, as sudo does."""
    program = tmp_path / "privileged"
    shutil.copy(PERL, program)
    program.chmod(0o4755)
    yield program
    program.unlink()


@linux
@pytest.mark.skipif(not PERL or os.geteuid() != 0, reason="needs root, to be somebody else")
@pytest.mark.parametrize(
    ("line", "timeout_s", "reason"),
    [("{} & sleep 0.5; exit 3", 0, "exited"), ("exec {}", 0.2, "timeout")],
    ids=["left behind", "timed out"],
)
async def test_a_command_that_became_root_is_not_lost(
    privileged: Path, line: str, timeout_s: float, reason: str
) -> None:
    sleeper = f"{privileged} -e '$< = 0; sleep 3; exit 3' >/dev/null 2>&1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = Job(shell=line.format(sleeper), env=ENV, timeout_s=timeout_s)
        (folder / "job.json").write_text(json.dumps(job.as_dict()))
        for parent in privileged.parents[:3]:
            parent.chmod(0o755)
        os.chown(folder, NOBODY, NOBODY)
        shim = await asyncio.create_subprocess_exec(sys.executable, "-c", SHIM_AS_NOBODY, folder)
        assert await shim.wait() == 0
        ended = read_exit(folder)
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (3, reason)


@linux
def test_a_claim_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(OSError, match="large"):
            process.claim(str(tmp_path), process.own_note())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def frame(value: object) -> bytes:
    body = json.dumps(value).encode()
    return struct.pack(">I", len(body)) + body
