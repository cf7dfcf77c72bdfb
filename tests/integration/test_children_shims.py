"""Jobs under their shims, with real processes: ends, logs, stopping, adoption, fencing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import uvloop

from spice_engine.errors import ChildFailed, Conflict, InvalidRequest, NotFound, StorageError
from spice_engine.store.appendlog import seek_time
from spice_engine.workers.jobs import read_exit
from spice_engine.workers.shims import (
    Attached,
    Exited,
    Job,
    JobLost,
    Lost,
    NeverStarted,
    ShimHost,
)
from spice_runtime import process
from tests.integration.shim_jobs import ENV, gone, until


def sh(line: str, **more: object) -> Job:
    return Job(shell=line, env=ENV, **more)  # type: ignore[arg-type]


@pytest.fixture
async def host() -> AsyncIterator[ShimHost]:
    async with ShimHost() as host:
        yield host


@pytest.mark.parametrize(
    ("line", "code", "number", "reason"),
    [
        ("exit 0", 0, None, "exited"),
        ("exit 3", 3, None, "exited"),
        ("kill -SEGV $$", 128 + 11, 11, "signalled"),
    ],
)
async def test_the_exit_status_is_kept(
    host: ShimHost, tmp_path: Path, line: str, code: int, number: int | None, reason: str
) -> None:
    client = await host.start(tmp_path / "job", sh(line))
    ended = await client.wait()
    assert (ended.exit_code, ended.signal, ended.reason) == (code, number, reason)
    assert ended.ended >= ended.started > 1.6e9
    assert await host.attach(tmp_path / "job") == Exited(ended)


async def test_output_environment_and_folder(host: ShimHost, tmp_path: Path) -> None:
    (tmp_path / "where").mkdir()
    job = Job(
        argv=("sh", "-c", 'echo "$GREETING"; pwd; echo oops >&2; umask; cat'),
        env={**ENV, "GREETING": "grüß dich"},
        cwd=str(tmp_path / "where"),
    )
    client = await host.start(tmp_path / "job", job)
    await client.wait()
    umask = os.umask(0o22)
    os.umask(umask)
    log = (tmp_path / "job" / "logs.txt").read_text()
    assert log == f"grüß dich\n{tmp_path / 'where'}\noops\n{umask:04o}\n"


@pytest.mark.parametrize(
    ("job", "code", "words"),
    [
        (Job(argv=("/no/such/command",), env=ENV), 127, "cannot run /no/such/command"),
        (Job(argv=("/etc/passwd",), env=ENV), 126, "cannot run /etc/passwd"),
        (Job(argv=("true",), env=ENV, cwd="/no/such/folder"), 126, "enter the folder /no/such"),
    ],
)
async def test_a_command_that_cannot_start_says_why(
    host: ShimHost, tmp_path: Path, job: Job, code: int, words: str
) -> None:
    ended = await (await host.start(tmp_path / "job", job)).wait()
    assert (ended.exit_code, ended.reason) == (code, "not started")
    assert words in ended.message
    assert words in (tmp_path / "job" / "logs.txt").read_text()


def test_a_job_has_one_command() -> None:
    with pytest.raises(InvalidRequest):
        Job().as_dict()
    with pytest.raises(InvalidRequest):
        Job(argv=("true",), shell="true").as_dict()


async def test_a_folder_is_for_one_job(host: ShimHost, tmp_path: Path) -> None:
    client = await host.start(tmp_path / "job", sh("echo once"))
    await client.wait()
    with pytest.raises(Conflict):
        await host.start(tmp_path / "job", sh("echo twice"))
    assert (tmp_path / "job" / "logs.txt").read_text() == "once\n"


async def test_the_shim_itself_claims_only_once(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(sh("echo run >> runs").as_dict()))
    script = Path(process.__file__).with_name("shim.py")
    racers = [
        await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", script, tmp_path)
        for _ in range(4)
    ]
    codes = [await racer.wait() for racer in racers]
    assert sorted(codes) == [0, 1, 1, 1]
    assert (tmp_path / "runs").read_text() == "run\n"


async def test_stop_gives_the_command_time_to_clean_up(host: ShimHost, tmp_path: Path) -> None:
    line = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    client = await host.start(tmp_path / "job", sh(line))
    log = tmp_path / "job" / "logs.txt"
    await until(lambda: "up" in log.read_text())
    await client.stop(grace_s=10)
    ended = await client.wait()
    assert (ended.exit_code, ended.reason) == (7, "stopped")
    assert "bye" in log.read_text()


async def test_what_ignores_sigterm_is_killed_after_the_grace(
    host: ShimHost, tmp_path: Path
) -> None:
    line = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    client = await host.start(tmp_path / "job", sh(line))
    await until(lambda: (tmp_path / "job" / "logs.txt").read_text() == "up\n")
    await client.stop(grace_s=0.2)
    ended = await client.wait()
    assert (ended.signal, ended.reason) == (signal.SIGKILL, "stopped")
    assert ended.duration_s >= 0.2


async def test_kill_signal_and_timeout(host: ShimHost, tmp_path: Path) -> None:
    killed = await host.start(tmp_path / "kill", sh("sleep 60"))
    await killed.kill()
    assert (await killed.wait()).reason == "killed"
    signalled = await host.start(tmp_path / "signal", Job(argv=("sleep", "60"), env=ENV))
    with pytest.raises(Conflict, match="no signal 4711"):
        await signalled.signal(4711)
    await signalled.signal(signal.SIGUSR1)
    ended = await signalled.wait()
    assert (ended.signal, ended.reason) == (signal.SIGUSR1, "signalled")
    late = await host.start(tmp_path / "late", sh("sleep 60", timeout_s=0.1, grace_s=1))
    assert (await late.wait()).reason == "timeout"
    with pytest.raises(Conflict, match="has ended"):
        await late.stop()


async def test_a_stopped_command_can_still_be_ended(host: ShimHost, tmp_path: Path) -> None:
    client = await host.start(tmp_path / "job", Job(argv=("sleep", "60"), env=ENV))
    await client.signal(signal.SIGSTOP)
    await client.stop(grace_s=30)
    assert (await client.wait()).signal == signal.SIGTERM


async def test_nothing_a_command_left_behind_stays(host: ShimHost, tmp_path: Path) -> None:
    code = """
import os, signal, sys, time
for deaf in (False, True):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if deaf:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            with open("pids", "a") as file:
                print(os.getpid(), file=file)
            time.sleep(60)
        os._exit(0)
while len(open("pids", "a+") and open("pids").read().split()) < 2:
    time.sleep(0.01)
"""
    job = Job(argv=(sys.executable, "-c", code), env=ENV)
    client = await host.start(tmp_path / "job", job)
    ended = await client.wait()
    pids = [int(pid) for pid in (tmp_path / "job" / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
    assert (ended.exit_code, ended.left_behind) == (0, ())


async def test_a_flood_is_cut_and_harms_nobody(host: ShimHost, tmp_path: Path) -> None:
    client = await host.start(tmp_path / "job", sh("yes", log_max_bytes=100_000))
    log = tmp_path / "job" / "logs.txt"
    await until(lambda: log.exists() and log.stat().st_size > 100_000)
    before = (await client.status())["log_dropped"]
    await asyncio.sleep(0.5)
    status = await client.status()
    # The command was not blocked, and the shim did not keep what it threw away.
    assert status["log_dropped"] > before
    assert psutil.Process(client.pid).memory_info().rss < 60 * 2**20
    await client.kill()
    ended = await client.wait()
    text = log.read_bytes()
    assert text[:100_000] == b"y\n" * 50_000
    assert (
        text[100_000:] == b"\n[the log reached its limit of 100000 bytes; the rest is not kept]\n"
    )
    assert ended.log_dropped > 0


async def test_the_time_index_points_at_what_came_then(host: ShimHost, tmp_path: Path) -> None:
    line = f"echo first; sleep 1.2; echo second; {sys.executable} -c \"print('x' * 300000)\""
    began = time.time()
    client = await host.start(tmp_path / "job", sh(line))
    await client.wait()
    raw = (tmp_path / "job" / "logs.txt.idx").read_bytes()
    records = list(struct.iter_unpack("<Qd", raw))
    assert records[0][0] == 0
    assert began <= records[0][1] <= records[1][1] - 1.0
    assert records[1][0] == len("first\n")
    assert records == sorted(records)
    gaps = [b[0] - a[0] for a, b in pairwise(records)]
    assert max(gaps) < 3 * 65536
    assert len(records) >= 4
    # And the store's reader agrees.
    log = tmp_path / "job" / "logs.txt"
    assert seek_time(log, records[0][1]) == 0
    assert seek_time(log, records[1][1] + 0.001) == len("first\n")


async def test_subscribers_hear_of_growth_and_the_end(host: ShimHost, tmp_path: Path) -> None:
    heard: list[int] = []
    line = "for i in 1 2 3 4 5; do echo line; sleep 0.12; done"
    client = await host.start(tmp_path / "job", sh(line))
    await client.subscribe(heard.append)
    second = await host.attach(tmp_path / "job")
    assert isinstance(second, Attached)
    ended = await client.wait()
    assert await second.client.wait() == ended
    assert heard == sorted(set(heard))
    assert heard[-1] <= ended.log_bytes == 25
    assert len(heard) >= 3


async def test_a_broken_connection_is_made_again(host: ShimHost, tmp_path: Path) -> None:
    line = "echo one; read x < go; echo two; exit 6"
    (tmp_path / "job").mkdir()
    os.mkfifo(tmp_path / "job" / "go")
    heard: list[int] = []
    client = await host.start(tmp_path / "job", sh(line))
    await client.subscribe(heard.append)
    await until(lambda: heard[-1:] == [4])
    client._sock.shutdown(socket.SHUT_RDWR)
    await until(lambda: len(heard) > 1 and heard[-1] == 4)
    assert (await client.status())["child"] == client.child
    (tmp_path / "job" / "go").write_text("\n")
    assert (await client.wait()).exit_code == 6
    assert (tmp_path / "job" / "logs.txt").read_text() == "one\ntwo\n"


async def test_closing_a_client_leaves_the_job(host: ShimHost, tmp_path: Path) -> None:
    client = await host.start(tmp_path / "job", sh("sleep 60"))
    await client.close()
    with pytest.raises(ChildFailed, match="closed"):
        await client.wait()
    again = await host.attach(tmp_path / "job")
    assert isinstance(again, Attached)
    await again.client.kill()
    await again.client.wait()


async def test_a_folder_that_cannot_be_written_is_reported(host: ShimHost, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        await host.start(tmp_path / "file" / "job", sh("true"))


def mount_small_disk(folder: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() or sys.platform != "linux" or subprocess.run(mount).returncode:
        pytest.skip("a small disk of its own needs root on Linux")


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_delays_the_exit_status_and_loses_it_not(
    host: ShimHost, tmp_path: Path
) -> None:
    mount_small_disk(tmp_path)
    try:
        os.mkfifo(tmp_path / "go")
        client = await host.start(tmp_path / "job", sh(f"echo hi; read x < {tmp_path}/go; exit 8"))
        with suppress(OSError), (tmp_path / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        with (tmp_path / "go").open("w") as go:
            go.write("\n")
        # The socket is where the status is kept until there is room for it.
        await until(lambda: gone(client.child))
        while not (await client.status())["exit"]:  # noqa: ASYNC110 - it is asked for
            await asyncio.sleep(0.01)
        assert read_exit(tmp_path / "job") is None
        (tmp_path / "filler").unlink()
        assert (await client.wait()).exit_code == 8
        ended = read_exit(tmp_path / "job")
        assert ended is not None
        assert ended.exit_code == 8
        await until(lambda: gone(client.pid))
    finally:
        unmount(tmp_path)


def test_all_of_it_on_uvloop_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with ShimHost() as host:
            client = await host.start(tmp_path / "job", sh("echo hi; sleep 60"))
            heard: list[int] = []
            await client.subscribe(heard.append)
            await until(lambda: heard[-1:] == [3])
            client._sock.shutdown(socket.SHUT_RDWR)
            await client.status()
            os.kill(host.spawner_pid, signal.SIGKILL)
            more = [host.start(tmp_path / str(n), sh(f"exit {n}")) for n in range(20)]
            codes = [(await job.wait()).exit_code for job in await asyncio.gather(*more)]
            assert codes == list(range(20))
            found = await host.attach(tmp_path / "job")
            assert isinstance(found, Attached)
            await found.client.stop(grace_s=5)
            assert (await client.wait()).reason == "stopped"

    uvloop.run(scenario())


async def test_a_client_that_never_reads_is_dropped(host: ShimHost, tmp_path: Path) -> None:
    client = await host.start(tmp_path / "job", sh("sleep 60"))
    path = tmp_path / "job" / "shim.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.setblocking(False)
        deaf.connect(os.path.relpath(path))
        question = json.dumps({"id": 1, "do": "status"}).encode()
        many = (struct.pack(">I", len(question)) + question) * 1000
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_for_ever(deaf, many), 20)
    with socket.socket(socket.AF_UNIX) as rude:
        rude.setblocking(False)
        rude.connect(os.path.relpath(path))
        await loop.sock_sendall(rude, b"\xff\xff\xff\xff")
        async with asyncio.timeout(10):
            assert await loop.sock_recv(rude, 1) == b""
    assert (await client.status())["child"] == client.child
    await client.kill()
    await client.wait()


async def test_a_very_long_folder(host: ShimHost, tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a-folder-with-a-long-name" * 4] * 4)
    client = await host.start(folder, sh("sleep 60"))
    found = await host.attach(folder)
    assert isinstance(found, Attached)
    await found.client.kill()
    assert (await client.wait()).reason == "killed"


async def test_a_job_nobody_started_is_fenced(host: ShimHost, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(sh("echo run").as_dict()))
    assert await host.attach(tmp_path) == NeverStarted()
    assert await host.attach(tmp_path) == NeverStarted()
    script = Path(process.__file__).with_name("shim.py")
    late = await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", script, tmp_path)
    assert await late.wait() == 1
    assert not (tmp_path / "logs.txt").exists()
    with pytest.raises(Conflict):
        await host.start(tmp_path, sh("echo run"))
    with pytest.raises(NotFound):
        await host.attach(tmp_path / "nowhere")


async def test_a_killed_shim_is_lost_and_its_command_with_it(
    host: ShimHost, tmp_path: Path
) -> None:
    client = await host.start(tmp_path / "job", Job(argv=("sleep", "60"), env=ENV))
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(JobLost):
        await client.wait()
    found = await host.attach(tmp_path / "job")
    assert isinstance(found, Lost)
    assert str(client.pid) in found.message
    await until(lambda: gone(client.child))


async def test_a_reused_pid_is_not_taken_for_the_shim(host: ShimHost, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(sh("true").as_dict()))
    # A live process of the same pid, but started at another time.
    claim = {"pid": os.getpid(), "identity": "another-boot:1"}
    assert process.claim(str(tmp_path), claim)
    assert isinstance(await host.attach(tmp_path), Lost)


async def test_a_shim_that_has_no_socket_yet_is_waited_for(host: ShimHost, tmp_path: Path) -> None:
    assert process.claim(str(tmp_path), process.own_note())
    attaching = asyncio.create_task(host.attach(tmp_path))
    await asyncio.sleep(0.1)
    assert not attaching.done()
    ended = {"exit_code": 0, "signal": None, "reason": "exited", "message": "", "started": 1.0}
    process.write_json(str(tmp_path), process.EXIT, {**ended, "ended": 2.0}, durable=True)
    found = await attaching
    assert isinstance(found, Exited)
    assert found.exit.ended == 2.0


async def send_for_ever(sock: socket.socket, data: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(sock, data)


ENGINE = """
import asyncio, sys
from pathlib import Path
from spice_engine.workers.shims import Job, ShimHost

async def main(root):
    host = ShimHost()
    jobs = {"runs": "echo up; sleep 1.5; echo later; exit 5", "ends": "exit 4"}
    for name, line in jobs.items():
        await host.start(root / name, Job(shell=line, env={"PATH": "/usr/bin:/bin"}))
    print(host.spawner_pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_second_engine_adopts_what_a_killed_one_started(
    host: ShimHost, tmp_path: Path
) -> None:
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, tmp_path, stdout=subprocess.PIPE
    )
    assert engine.stdout is not None
    spawner = int(await engine.stdout.readline())
    engine.kill()
    await engine.wait()
    await until(lambda: gone(spawner))
    found = await host.attach(tmp_path / "runs")
    assert isinstance(found, Attached)
    grown: list[int] = []
    await found.client.subscribe(grown.append)
    ended = await found.client.wait()
    assert (ended.exit_code, ended.reason) == (5, "exited")
    assert (tmp_path / "runs" / "logs.txt").read_text() == "up\nlater\n"
    quick = await host.attach(tmp_path / "ends")
    assert isinstance(quick, Exited)
    assert quick.exit.exit_code == 4


async def test_a_spawner_that_died_is_replaced(host: ShimHost, tmp_path: Path) -> None:
    first = await host.start(tmp_path / "a", sh("sleep 60"))
    os.kill(host.spawner_pid, signal.SIGKILL)
    jobs = [host.start(tmp_path / f"b{n}", sh("exit 2")) for n in range(10)]
    clients = await asyncio.gather(*jobs)
    assert [(await client.wait()).exit_code for client in clients] == [2] * 10
    assert host.spawner_starts == 2
    await first.kill()
    assert (await first.wait()).reason == "killed"


async def test_a_hundred_jobs_leave_no_process_and_no_descriptor(tmp_path: Path) -> None:
    async def one(host: ShimHost, number: int) -> int:
        client = await host.start(tmp_path / str(number), sh(f"echo {number}; exit {number % 3}"))
        return (await client.wait()).exit_code

    me = psutil.Process()
    async with ShimHost() as host:
        await one(host, 1000)
        before = me.num_fds()
        codes = await asyncio.gather(*(one(host, number) for number in range(100)))
        assert codes == [number % 3 for number in range(100)]
        await until(lambda: me.num_fds() <= before)
        spawner = psutil.Process(host.spawner_pid)
        await until(lambda: not spawner.children())
        # Standard streams, its socket, and nothing of a hundred jobs.
        assert spawner.num_fds() <= 5
    assert gone(spawner.pid)
    assert all((tmp_path / str(n) / "logs.txt").read_text() == f"{n}\n" for n in range(100))
    assert not list(tmp_path.glob("*/shim.sock"))


async def test_a_command_gets_no_descriptor_of_ours(host: ShimHost, tmp_path: Path) -> None:
    others = [await host.start(tmp_path / f"o{n}", sh("sleep 60")) for n in range(3)]
    code = "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:4])"
    job = Job(argv=(sys.executable, "-c", code), env=ENV)
    await (await host.start(tmp_path / "job", job)).wait()
    # The fourth is the listing itself.
    assert (tmp_path / "job" / "logs.txt").read_text() == "[0, 1, 2, 3]\n"
    for other in others:
        await other.kill()
        await other.wait()


async def test_the_end_is_kept_even_when_nobody_is_connected(tmp_path: Path) -> None:
    async with ShimHost() as first:
        client = await first.start(tmp_path / "job", sh("sleep 0.3; exit 9"))
        shim = client.pid
    await until(lambda: gone(shim))
    ended = read_exit(tmp_path / "job")
    assert ended is not None
    assert ended.exit_code == 9
