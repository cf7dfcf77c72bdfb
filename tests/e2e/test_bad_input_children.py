"""Commands that misbehave under a whole engine: every end is known, nothing grows or stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from spice_engine.errors import InvalidRequest, SpiceError
from tests.conftest import EngineFixture, wait_for
from tests.e2e.serving_neighbour import words_of

pytestmark = pytest.mark.e2e

MEBIBYTE = 2**20
OVER = {"complete", "stopped", "killed", "failed", "interrupted"}


@pytest.fixture
def shared(shared_engine: EngineFixture) -> Iterator[EngineFixture]:
    """The engine of this module; each test leaves it alive and without a run of its own."""
    yield shared_engine
    assert shared_engine.answers()


def run(engine: EngineFixture, command: object, **more: object) -> dict[str, object]:
    return engine.call("runs.start", command=command, **more)


def ended(engine: EngineFixture, info: dict[str, object]) -> dict[str, object]:
    """The run once it is over."""
    wait_for(
        lambda: engine.call("runs.get", id=info["id"])["state"] in OVER, f"the end of {info['id']}"
    )
    return engine.call("runs.get", id=info["id"])


def text_of(engine: EngineFixture, info: dict[str, object]) -> str:
    return str(engine.call("runs.log", id=info["id"])["text"])


def folder(engine: EngineFixture, info: dict[str, object]) -> Path:
    return engine.location.state / "runs" / str(info["id"])


def shim_of(engine: EngineFixture, info: dict[str, object]) -> psutil.Process:
    note = json.loads((folder(engine, info) / "shim.json").read_text())
    return psutil.Process(note["pid"])


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


DAEMONS = """
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for fd in (0, 1, 2):
            os.close(fd)
        os.open(os.devnull, os.O_RDWR)
        with open(sys.argv[1], "a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(300)
while len(open(sys.argv[1]).read().split()) < 3:
    time.sleep(0.01)
sys.exit(5)
"""


def test_daemons_of_a_command_end_with_it(shared: EngineFixture, tmp_path: Path):
    pids = tmp_path / "pids"
    pids.touch()
    info = run(shared, [sys.executable, "-c", DAEMONS, str(pids)])
    end = ended(shared, info)
    assert (end["state"], end["exit_code"]) == ("complete", 5)
    daemons = [int(line) for line in pids.read_text().split()]
    assert len(daemons) == 3
    wait_for(lambda: all(map(gone, daemons)), "the daemons to end")


@pytest.mark.slow
def test_a_flood_of_output_grows_neither_engine_nor_shim(shared: EngineFixture):
    engine = psutil.Process(shared.pid)
    before = engine.memory_info().rss
    with shared.client() as follower:
        info = run(shared, "yes 0123456789012345678901234567890123456789 | head -c 300M; sleep 0.3")
        shim = shim_of(shared, info)
        most = {"engine": 0, "shim": 0}
        over = threading.Event()

        def look() -> None:
            while not over.is_set():
                try:
                    most["shim"] = max(most["shim"], shim.memory_info().rss)
                except psutil.NoSuchProcess:
                    return
                most["engine"] = max(most["engine"], engine.memory_info().rss)
                time.sleep(0.02)

        looking = threading.Thread(target=look)
        looking.start()
        try:
            follow = follower.follow(f"log/{info['id']}", timeout=30)
            last = next(follow)
            while not last.data["ended"]:
                last = next(follow)
        finally:
            over.set()
            looking.join()
    assert ended(shared, info)["exit_code"] == 0
    assert last.data["size"] == 300 * MEBIBYTE
    assert 0 < most["shim"] < 40 * MEBIBYTE
    assert most["engine"] < before + 32 * MEBIBYTE
    tail = shared.call("runs.log", id=info["id"], tail=2)
    assert tail["size"] == 300 * MEBIBYTE
    (folder(shared, info) / "logs.txt").unlink()


def test_what_ignores_sigterm_ends_after_its_grace(shared: EngineFixture):
    code = (
        "import signal, time\n"
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "time.sleep(300)\n"
    )
    info = run(shared, [sys.executable, "-c", code])
    wait_for(lambda: text_of(shared, info), "its first line")
    command = json.loads((folder(shared, info) / "shim.json").read_text())["child"]
    shared.call("runs.stop", id=info["id"], grace=0.2)
    end = ended(shared, info)
    assert (end["state"], end["outcome"]) == ("stopped", "stopped")
    assert gone(command)
    timed = run(shared, "trap '' TERM; while :; do sleep 0.05; done", timeout=0.3)
    shared.call("runs.kill", id=timed["id"])
    assert ended(shared, timed)["state"] == "killed"


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        (["false"], 1),
        (["sh", "-c", "kill -SEGV $$"], 128 + signal.SIGSEGV),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        ("exit 255", 255),
        ("syntax error here (", 2),
        (["/"], 126),
        ([""] * 2, None),
        (["no-such-command-at-all"], 127),
    ],
)
def test_what_dies_at_its_start_has_an_end(
    shared: EngineFixture, command: object, exit_code: int | None
):
    if exit_code is None:
        with pytest.raises(InvalidRequest, match="needs a command"):
            run(shared, command)
        return
    end = ended(shared, run(shared, command))
    assert (end["state"], end["outcome"], end["exit_code"]) == ("complete", "failed", exit_code)


def test_output_that_is_no_text_and_a_huge_line(shared: EngineFixture):
    raw = run(shared, [sys.executable, "-c", r"import os; os.write(1, b'a\xff\xfe\x80b\x00c\n')"])
    assert ended(shared, raw)["exit_code"] == 0
    assert text_of(shared, raw) == "a���b\0c\n"
    code = "import os; os.write(1, 'é'.encode() * 4_000_000)"
    line = run(shared, [sys.executable, "-c", code])
    ended(shared, line)
    read, offset = "", 0
    while True:
        chunk = shared.call("runs.log", id=line["id"], offset=offset, limit=10**9)
        if not chunk["text"]:
            break
        read += chunk["text"]
        offset = chunk["next"]
    assert read == "é" * 4_000_000
    tail = shared.call("runs.log", id=line["id"], tail=1)
    assert set(tail["text"]) == {"é"}


ECHO = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ.get('ODD')]))"


def test_arguments_and_variables_arrive_as_they_were_given(shared: EngineFixture):
    odd = [
        "",
        "a b",
        "it's",
        '"quoted"',
        "line\nbreak",
        "täg 日本 🚀",
        "$HOME `id` \\",
        "--",
        "\t\x1b",
    ]
    info = run(shared, [sys.executable, "-c", ECHO, *odd], env={"ODD": "ü=\n'x' 🚀", "E": ""})
    assert ended(shared, info)["exit_code"] == 0
    assert json.loads(text_of(shared, info)) == [odd, "ü=\n'x' 🚀"]
    assert shared.call("runs.get", id=info["id"])["command"] == [sys.executable, "-c", ECHO, *odd]
    shell = run(shared, "printf '%s|' 'a b' \"it's\" \"$ODD\"", env={"ODD": "x  y"})
    ended(shared, shell)
    assert text_of(shared, shell) == "a b|it's|x  y|"


@pytest.mark.parametrize(
    "params",
    [
        {"command": ["echo", "nul\0byte"]},
        {"command": ["echo"], "env": {"A\0": "x"}},
        {"command": ["echo"], "cwd": "no/such/folder"},
        {"command": ["echo"], "cwd": "x" * 5000},
        {"command": ["echo"], "cwd": "nul\0"},
        {"command": []},
        {"command": "   "},
        {"command": ["echo", "x" * 300_000]},
        {"command": ["true"], "timeout": 0},
        {"command": ["true"], "timeout": float("nan")},
        {"command": ["true"], "timeout": -1.0},
        {"command": ["true"], "memory": -5},
        {"command": ["true"], "memory": 2**63},
        {"command": ["true"], "timeout": 1e300},
        {"command": ["true"], "cpu": float("inf")},
        {"command": ["true"], "env": {"A": 5}},
        {"command": ["true"], "env": {"A=B": "x"}},
        {"command": ["true"], "env": {"": "x"}},
        {"command": ["true"], "labels": ["a\nb"]},
        {"command": {"a": 1}},
        {"command": None},
    ],
)
def test_a_request_that_cannot_be_run_is_refused(shared: EngineFixture, params: dict[str, object]):
    before = len(shared.call("runs.list", number=10_000)["runs"])
    with pytest.raises(InvalidRequest) as caught:
        shared.call("runs.start", **params)
    assert caught.value.message
    assert len(shared.call("runs.list", number=10_000)["runs"]) == before


@pytest.mark.parametrize("timeout", [1e-9, 30 * 86_400.0, 1e15])
def test_very_short_and_very_long_timeouts(shared: EngineFixture, timeout: float):
    end = ended(shared, run(shared, "sleep 0.3; exit 3", timeout=timeout))
    expected = ("stopped", "timeout") if timeout < 1 else ("complete", "failed")
    assert (end["state"], end["outcome"]) == expected


def test_two_hundred_quick_runs_at_once_end_each_with_its_own_status(shared: EngineFixture):
    count, threads = 200, 8
    answers: dict[int, int] = {}
    failures: list[BaseException] = []

    def start(numbers: range) -> None:
        try:
            with shared.client() as client:
                for number in numbers:
                    info = client.call(
                        "runs.start", {"command": ["sh", "-c", f"exit {number % 200}"]}
                    )
                    answers[int(info["id"])] = number % 200
        except SpiceError as error:
            failures.append(error)

    workers = [
        threading.Thread(target=start, args=(range(k, count, threads),)) for k in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert len(answers) == count
    wait_for(lambda: shared.call("engine.status")["active_runs"] == 0, "all of them to end")
    listed = {item["id"]: item for item in shared.call("runs.list", number=10_000)["runs"]}
    assert {number: listed[number]["exit_code"] for number in answers} == answers
    assert {listed[number]["state"] for number in answers} == {"complete"}


def test_a_runs_folder_deleted_under_it(shared: EngineFixture):
    info = run(shared, "echo before; sleep 0.5; echo after; exit 4")
    wait_for(lambda: text_of(shared, info), "its first line")
    shutil.rmtree(folder(shared, info))
    assert text_of(shared, info) == ""
    end = ended(shared, info)
    assert (end["state"], end["exit_code"]) == ("complete", 4)
    endless = run(shared, ["sleep", "300"])
    shutil.rmtree(folder(shared, endless))
    shared.call("runs.stop", id=endless["id"], grace=0.5)
    assert ended(shared, endless)["state"] == "stopped"


def test_a_killed_spawner_is_replaced(shared: EngineFixture):
    first = run(shared, ["sleep", "300"])
    engine = psutil.Process(shared.pid)

    def spawner() -> psutil.Process | None:
        for child in engine.children():
            if "spawner" in words_of(child):
                return child
        return None

    before = spawner()
    assert before is not None
    before.kill()
    second = run(shared, "exit 9")
    assert ended(shared, second)["exit_code"] == 9
    after = spawner()
    assert after is not None
    assert after.pid != before.pid
    assert shared.call("runs.get", id=first["id"])["state"] == "running"
    shared.call("runs.kill", id=first["id"])
    assert ended(shared, first)["state"] == "killed"


def test_a_killed_shim_interrupts_its_run_alone(shared: EngineFixture):
    info, other = run(shared, ["sleep", "300"]), run(shared, ["sleep", "300"])
    note = json.loads((folder(shared, info) / "shim.json").read_text())
    os.kill(note["pid"], signal.SIGKILL)
    end = ended(shared, info)
    assert (end["state"], end["outcome"], end["exit_code"]) == ("interrupted", "failed", None)
    assert "gone" in end["message"]
    wait_for(lambda: gone(note["child"]), "its command to end with it")
    assert shared.call("runs.get", id=other["id"])["state"] == "running"
    shared.call("runs.kill", id=other["id"])
    ended(shared, other)


def test_a_shim_that_is_stopped_delays_its_own_run_only(shared: EngineFixture):
    info = run(shared, "sleep 0.2; exit 3")
    shim = shim_of(shared, info)
    shim.suspend()
    try:
        quick = run(shared, "exit 1")
        assert ended(shared, quick)["exit_code"] == 1
        assert shared.call("runs.get", id=info["id"])["state"] == "running"
    finally:
        shim.resume()
    assert ended(shared, info)["exit_code"] == 3


def test_no_process_of_all_this_is_left(shared: EngineFixture):
    wait_for(lambda: shared.call("engine.status")["active_runs"] == 0, "every run to be over")
    engine = psutil.Process(shared.pid)
    kinds = {" ".join(child.cmdline()) for child in engine.children(recursive=True)}
    assert all("spice_engine." in kind or "spawner" in kind for kind in kinds), kinds
    folder = f"SPICE_APP_FOLDER={shared.location.root}".encode()
    assert [one.pid for one in psutil.process_iter() if folder in environment(one)] == []


def environment(process: psutil.Process) -> list[bytes]:
    """What a process was given; all that a run starts was given the app folder."""
    try:
        return Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has just ended
        return []
