"""The engine as a process: start, refusal, kill, adoption, restart, idle exit, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from spice_engine.errors import (
    EngineUnavailable,
    IncompatibleVersion,
    InvalidSettings,
    SpiceError,
    StorageError,
)
from spice_tui.client import try_connect
from tests.conftest import EngineFixture, wait_for

pytestmark = pytest.mark.e2e


def fetch(url: str, token: str = "", **options: object) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_both_doors_answer_and_a_second_engine_is_refused(engine: EngineFixture):
    answer = engine.start()
    assert fetch(f"{answer['http']}/health") == (200, b"ok")
    status = engine.call("engine.status")
    assert status["pid"] == answer["pid"]
    assert fetch(f"{answer['http']}/api/v1/engine")[0] == 401
    token = engine.location.token.read_text().strip()
    code, body = fetch(f"{answer['http']}/api/v1/engine", token)
    assert (code, json.loads(body)["pid"]) == (200, answer["pid"])
    with pytest.raises(EngineUnavailable, match=str(answer["pid"])):
        engine.start()


def test_a_run_survives_kill_9_of_the_engine_and_its_end_is_known(engine: EngineFixture):
    engine.start()
    long = engine.call("runs.start", command="sleep 8; echo survived; exit 66")
    short = engine.call("runs.start", command=["sh", "-c", "sleep 0.3; exit 3"])
    assert long["state"] == "running"
    engine.kill()
    time.sleep(0.6)  # the short one ends while no engine is there
    engine.start()
    wait_for(
        lambda: engine.call("runs.get", id=short["id"])["state"] == "complete", "the short run"
    )
    assert engine.call("runs.get", id=short["id"])["exit_code"] == 3
    assert engine.call("runs.get", id=long["id"])["state"] == "running"
    wait_for(lambda: engine.call("runs.get", id=long["id"])["state"] == "complete", "the long run")
    ended = engine.call("runs.get", id=long["id"])
    assert (ended["exit_code"], ended["outcome"]) == (66, "failed")
    assert engine.call("runs.log", id=long["id"])["text"] == "survived\n"


def test_stop_and_kill_of_a_run_that_ignores_sigterm(engine: EngineFixture):
    engine.start()
    stubborn = engine.call("runs.start", command="trap '' TERM; echo up; sleep 60 & wait; sleep 60")
    wait_for(lambda: engine.call("runs.log", id=stubborn["id"])["text"], "its first line")
    assert engine.call("runs.stop", id=stubborn["id"], grace=0.3)["state"] == "stopping"
    wait_for(lambda: engine.call("runs.get", id=stubborn["id"])["state"] == "stopped", "its end")
    other = engine.call("runs.start", command=["sleep", "60"])
    assert engine.call("runs.kill", id=other["id"])["state"] == "killing"
    wait_for(lambda: engine.call("runs.get", id=other["id"])["state"] == "killed", "its end")
    with pytest.raises(SpiceError, match="over already"):
        engine.call("runs.stop", id=other["id"])


def test_a_command_that_does_not_exist_ends_as_a_shell_would_say(engine: EngineFixture):
    engine.start()
    info = engine.call("runs.start", command=["/no/such/program"])
    wait_for(lambda: engine.call("runs.get", id=info["id"])["state"] == "complete", "its end")
    ended = engine.call("runs.get", id=info["id"])
    assert (ended["exit_code"], ended["outcome"]) == (127, "failed")


def test_a_restart_refuses_no_connection_and_keeps_runs(engine: EngineFixture):
    engine.start()
    run = engine.call("runs.start", command=["sleep", "30"])
    before = engine.call("engine.status")
    failures: list[str] = []
    answers = 0
    over = threading.Event()

    def ask() -> None:
        nonlocal answers
        while not over.is_set():
            try:
                code, _ = fetch(f"{before['http']}/health")
                if code != 200:
                    failures.append(str(code))
                answers += 1
            except OSError as error:
                failures.append(repr(error))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        wait_for(lambda: answers > 1, "answers before the restart")
        engine.call("engine.restart")

        wait_for(lambda: _started_after(engine, before["started"]), "the next engine")
        seen = answers
        wait_for(lambda: answers > seen + 1, "answers after it")
    finally:
        over.set()
        asking.join()
    after = engine.call("engine.status")
    assert failures == []
    assert after["http"] == before["http"]
    assert after["active_runs"] == 1
    assert engine.call("runs.get", id=run["id"])["state"] == "running"


def test_an_idle_background_engine_leaves(engine: EngineFixture):
    answer = engine.start("--idle-minutes", "0.01")
    wait_for(lambda: not psutil.pid_exists(int(answer["pid"])) or _is_zombie(answer["pid"]), "exit")
    assert not engine.location.socket.exists()
    assert not engine.location.http.exists()
    assert b"leaving" in engine.location.log.read_bytes()


def _is_zombie(pid: object) -> bool:
    try:
        return psutil.Process(int(str(pid))).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def serve(folder: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-I", "-m", "spice_engine", "--serve", str(folder), *flags]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_foreground_engine_ends_with_0_on_a_signal(engine: EngineFixture, number: int):
    with serve(engine.location.root, "--http-port", "0") as process:
        wait_for(engine.answers, "the engine")
        run = engine.call("runs.start", command=["sleep", "20"])
        process.send_signal(number)
        _, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert "stopped" in log
    assert not engine.location.socket.exists()
    engine.start()
    assert engine.call("runs.get", id=run["id"])["state"] == "running"


def test_a_port_in_use_is_told_unless_it_was_not_asked_for(engine: EngineFixture):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serve(engine.location.root, "--http-port", str(port)) as process:
            _, log = process.communicate(timeout=20)
        assert process.returncode == EngineUnavailable.exit_code
        assert str(port) in log
        assert "Traceback" not in log


def test_a_wrong_setting_is_told_by_the_starter_with_its_line(engine: EngineFixture):
    (engine.location.root / "spice.config.yaml").write_text("trainers: 1\nhttp_port: many\n")
    with pytest.raises(InvalidSettings, match=r"spice\.config\.yaml:2:12"):
        engine.start()


@pytest.mark.parametrize("damage", ["garbage", "truncated", "future"])
def test_a_database_that_cannot_be_used_is_refused_and_left_alone(
    engine: EngineFixture, damage: str
):
    engine.start()
    engine.call("runs.start", command=["true"])
    engine.stop()
    database = engine.location.state / "engine.db"
    if damage == "garbage":
        database.write_bytes(b"this is not a database at all" * 1000)
    elif damage == "truncated":
        os.truncate(database, database.stat().st_size // 2)
    else:
        import sqlite3

        connection = sqlite3.connect(database)
        connection.execute("PRAGMA user_version = 999")
        connection.commit()
        connection.close()
    content = database.read_bytes()
    with pytest.raises(StorageError, match="999" if damage == "future" else "engine.db") as caught:
        engine.start()
    assert isinstance(caught.value, IncompatibleVersion) == (damage == "future")
    assert database.read_bytes() == content


def test_a_read_only_folder_is_told(engine: EngineFixture, tmp_path: Path):
    if os.geteuid() == 0:
        target = tmp_path / "mounted"
        target.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(target)], capture_output=True
        )
        if mounted.returncode:
            pytest.skip("nothing can be mounted here")
        try:
            with pytest.raises(StorageError, match="Read-only"):
                EngineFixture(target).start()
        finally:
            subprocess.run(["umount", str(target)], check=True)
    else:
        engine.location.root.chmod(0o500)
        with pytest.raises(StorageError):
            engine.start()
        engine.location.root.chmod(0o700)


BROKEN = """
import sys
sys.modules["spice_engine.app"] = None  # as if part of the installation were gone
from spice_engine.__main__ import main
main(sys.argv[1:])
"""


def test_an_engine_that_breaks_at_its_start_says_so(tmp_path: Path):
    reader, writer = os.pipe()
    subprocess.run(
        [sys.executable, "-c", BROKEN, "--background", str(tmp_path)],
        env={**os.environ, "SPICE_READY_FD": str(writer)},
        pass_fds=(writer,),
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    os.close(writer)
    with open(reader, "rb") as told:
        error = json.loads(told.read())["error"]
    assert error["code"] == "engine_unavailable"
    assert "spice_engine.app" in error["message"]


def test_a_users_own_files_shadow_nothing(engine: EngineFixture):
    root = engine.location.root
    for name in ("spice_engine.py", "spice_runtime.py", "asyncio.py", "json.py", "shim.py"):
        (root / name).write_text("raise SystemExit('shadowed')\n")
    (root / "engine").mkdir()
    (root / "engine" / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    program = Path(sys.executable).with_name("spice-tui")
    environment = {**os.environ, "SPICE_TUI_HTTP_PORT": "0"}
    done = subprocess.run(
        [program, "run", "echo", "fine"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "fine" in done.stdout


def test_no_process_is_left_after_an_orderly_stop(engine: EngineFixture):
    engine.start()
    engine.call("runs.start", command=["sleep", "60"])
    engine.call("store.query", sql="SELECT 1")
    engine.stop()
    root = str(engine.location.root)

    def left() -> list[str]:
        found: list[str] = []
        for process in psutil.process_iter(["cmdline", "cwd", "status"]):
            line = " ".join(process.info["cmdline"] or [])
            if root in line or (process.info["cwd"] or "").startswith(root):
                found.append(line)
        return found

    wait_for(lambda: not left(), "all processes to go", seconds=10)


def test_the_engine_raises_its_limit_of_open_files_and_commands_do_not_see_it(
    engine: EngineFixture,
):
    program = (
        "import resource, sys\n"
        "from spice_engine.protocol.location import locate\n"
        "from spice_tui.launch import start_engine\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))\n"
        "start_engine(locate(sys.argv[1]), ['--http-port', '0'])\n"
    )
    subprocess.run([sys.executable, "-c", program, str(engine.location.root)], check=True)
    limits = Path(f"/proc/{engine.pid}/limits")
    if limits.exists():
        soft = next(line for line in limits.read_text().splitlines() if "open files" in line)
        assert int(soft.split()[3]) > 512
    for expected in ("512", "512"):
        run = engine.call("runs.start", command="ulimit -Sn; env | grep SPICE_SOFT_FILES; true")
        wait_for(
            lambda run=run: engine.call("runs.get", id=run["id"])["state"] == "complete", "its end"
        )
        assert engine.call("runs.log", id=run["id"])["text"].split() == [expected]
        before = engine.call("engine.status")["started"]
        engine.call("engine.restart")
        wait_for(lambda moment=before: _started_after(engine, moment), "the next engine")


def _started_after(engine: EngineFixture, moment: float) -> bool:
    client = try_connect(engine.location)
    if client is None:
        return False
    with client:
        return client.welcome.started > moment
