"""The command line as a process of its own: imports, streams, terminals, signals, completion."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from small_engine import Shelf, SmallEngine, a_pod, small_engine

pytestmark = pytest.mark.e2e

PROGRAM = [sys.executable, "-m", "spice_tui.cli.main"]
FORBIDDEN = ("textual", "numba", "polars", "aiohttp", "pydantic", "asyncio", "numpy", "rich")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spicepods").mkdir()
    return tmp_path


@pytest.fixture
def engine(folder: Path) -> Iterator[SmallEngine]:
    with small_engine(folder) as engine:
        engine.on_loop(lambda: engine.shelf.add_run(name="größe"))
        engine.shelf.pods = {"alpha": a_pod("alpha"), "beta": a_pod("beta")}
        yield engine


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    return {**kept, "XDG_STATE_HOME": str(folder / "state"), "LC_ALL": "C.UTF-8", **more}


def call(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on while the test looks at it."""
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line it prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def on_terminal(folder: Path, *arguments: str, **more: str) -> tuple[int, str]:
    """Exit code and all output of a command on a terminal of 100 columns."""
    leader, follower = pty.openpty()
    variables: Mapping[str, str] = {"TERM": "xterm-256color", "COLUMNS": "100", **more}
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    text = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not data:
            break
        text += data
    os.close(leader)
    return process.wait(60), text.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "command",
    [
        "version",
        "ps --json",
        "pods list",
        "pods show alpha",
        "pods feeds alpha",
        "recommend alpha",
        "engine status",
        "sql 1",
    ],
)
def test_plain_commands_import_nothing_heavy(
    folder: Path, engine: SmallEngine, command: str
) -> None:
    code = (
        "import sys; from spice_tui.cli.main import main; "
        f"status = main({command.split()!r}); "
        f"print([m for m in {FORBIDDEN!r} if m in sys.modules], file=sys.stderr); "
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_a_pipe_gets_plain_text(folder: Path, engine: SmallEngine) -> None:
    done = call(folder, "ps", FORCE_COLOR="1", TERM="xterm-256color")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "größe" in done.stdout


def test_a_stream_without_unicode_gets_escapes_and_no_error(
    folder: Path, engine: SmallEngine
) -> None:
    done = call(folder, "ps", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gr\\xf6\\xdfe" in done.stdout


def test_a_terminal_gets_colour_unless_told_otherwise(folder: Path, engine: SmallEngine) -> None:
    code, text = on_terminal(folder, "pods", "list")
    assert code == 0
    assert "\x1b[32mready" in text
    for variable in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, text = on_terminal(folder, "pods", "list", **variable)
        assert code == 0
        assert not re.search(r"\x1b\[\d*(;\d+)*m", text)
        assert "ready" in text


def test_errors_are_one_paragraph_wrapped_on_a_terminal(folder: Path, engine: SmallEngine) -> None:
    code, text = on_terminal(folder, "add", "samples/" + "long-name-" * 12, NO_COLOR="1")
    assert code == 5
    assert text.startswith("error: there is no package")
    done = call(folder, "add", "samples/" + "long-name-" * 12)
    assert len(done.stderr.splitlines()) == 1


def test_json_errors_go_to_stderr_as_one_object(folder: Path, engine: SmallEngine) -> None:
    done = call(folder, "info", "77", "--json")
    assert (done.returncode, done.stdout) == (5, "")
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "not_found"
    assert error["message"] == "there is no run 77."


def test_a_reader_that_goes_away_is_no_error(folder: Path, engine: SmallEngine) -> None:
    engine.shelf.logs[1] = "x" * 5_000_000
    with started(folder, "logs", "1") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == ""


async def _talk(shelf: Shelf, number: int) -> None:
    shelf.grow(number, "I am here\n")
    await asyncio.sleep(3600)


def test_control_c_detaches_and_says_how_to_come_back(folder: Path, engine: SmallEngine) -> None:
    engine.shelf.script = _talk
    with started(folder, "run", "sleep 100") as process:
        assert line_of(process) == "I am here\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Run 2 goes on" in errors
    assert "spice-tui stop 2" in errors
    assert engine.shelf.runs[2].state == "running"


def _with_running_run(engine: SmallEngine) -> None:
    engine.on_loop(lambda: engine.shelf.add_run(state="running", ended=None, exit_code=None))
    engine.shelf.logs[1] = "before\n"


def test_following_survives_an_engine_that_is_replaced(folder: Path) -> None:
    (folder / ".spice").mkdir()
    with ExitStack() as open_now:
        lock = open_now.enter_context((folder / ".spice" / "engine.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)  # what tells a client that somebody is about to answer
        with small_engine(folder) as first:
            _with_running_run(first)
            process = open_now.enter_context(started(folder, "logs", "-f", "1"))
            assert line_of(process) == "before\n"
        with small_engine(folder) as second:
            _with_running_run(second)
            second.on_loop(lambda: second.shelf.grow(1, "after\n"))
            assert line_of(process) == "after\n"
            second.on_loop(lambda: second.shelf.change(1, state="complete", ended=1.0))
            assert process.wait(60) == 0


def complete(folder: Path, words: str) -> list[str]:
    done = call(
        folder,
        _SPICE_TUI_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split(" ")) - 1),
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_of_commands_pods_and_runs(folder: Path, engine: SmallEngine) -> None:
    assert complete(folder, "spice-tui re") == ["resources", "recommend", "rewards"]
    assert complete(folder, "spice-tui engine st") == ["start", "stop", "status"]
    assert complete(folder, "spice-tui train al") == ["alpha"]
    assert complete(folder, f"spice-tui -C {folder} info ") == ["1"]
    assert complete(folder, "spice-tui pods evaluate be") == ["beta"]
    assert complete(folder, "spice-tui rewards test be") == ["beta"]


def test_completion_of_manifests_where_no_pod_begins_so(folder: Path, engine: SmallEngine) -> None:
    for name in ("spicepods/new.yaml", "spicepods/notes.txt", "old.yml"):
        (folder / name).touch()
    assert complete(folder, "spice-tui train sp") == ["spicepods/new.yaml"]
    assert complete(folder, "spice-tui train spicepods/") == ["spicepods/new.yaml"]
    assert complete(folder, "spice-tui train ol") == ["old.yml"]
    assert complete(folder, "spice-tui train nowhere/") == []


def test_completion_is_silent_without_an_engine_or_with_a_deaf_one(folder: Path) -> None:
    assert complete(folder, "spice-tui train ") == []
    (folder / ".spice").mkdir()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(folder / ".spice" / "engine.sock"))
        deaf.listen()
        assert complete(folder, "spice-tui train ") == []


def test_the_completion_script(folder: Path) -> None:
    done = call(folder, _SPICE_TUI_COMPLETE="source_bash")
    assert done.returncode == 0
    assert "complete -o default -F _spice_tui_completion spice-tui" in done.stdout


def test_what_answers_is_no_engine(folder: Path) -> None:
    (folder / ".spice").mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / ".spice" / "engine.sock"))
        other.listen()
        with started(folder, "ps") as process:
            peer, _ = other.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                _, errors = process.communicate(timeout=60)
    assert process.returncode == 8
    assert errors.startswith("error: ")


def test_version_flag(folder: Path) -> None:
    done = call(folder, "--version")
    assert re.fullmatch(r"spice-tui \d+\.\d+\.\d+\n", done.stdout)
    assert not (folder / ".spice").exists()


def test_following_the_engines_log(folder: Path) -> None:
    log = folder / ".spice" / "engine.log"
    log.parent.mkdir()
    log.write_text("one\ntwo\n")
    with started(folder, "engine", "logs", "-f", "-n", "1") as process:
        assert line_of(process) == "two\n"
        with log.open("a") as more:
            more.write("three\n")
        assert line_of(process) == "three\n"
        with log.open("a") as more:
            more.write("last of the old\n")
        log.rename(log.with_suffix(".1"))
        log.write_text("four\n")
        assert line_of(process) == "last of the old\n"
        assert line_of(process) == "four\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


INTERRUPTED_IN_A_TEXT = """
from spice_tui.cli import output

def flush():
    exec("raise KeyboardInterrupt")

output.flush = flush
"""


def test_an_interrupt_in_code_from_a_text_still_ends_with_130(folder: Path):
    # Modules make named tuples and the like from texts, and some are imported while following.
    (folder / "sitecustomize.py").write_text(INTERRUPTED_IN_A_TEXT)
    done = call(folder, "version", PYTHONPATH=str(folder))
    assert (done.returncode, done.stderr) == (130, "")


INTERRUPTED_AT_THE_END = """
import os, signal, sys

class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT):
        kill(pid, number)  # when the interpreter is put away, its handlers before it

sys.last_of_all = Last()
"""


def test_control_c_pressed_again_changes_no_exit_code(folder: Path):
    (folder / "sitecustomize.py").write_text(INTERRUPTED_AT_THE_END)
    assert call(folder, "version", PYTHONPATH=str(folder)).returncode == 0
    script = Path(sys.executable).with_name("spice-tui")
    env = environment(folder, PYTHONPATH=str(folder))
    done = subprocess.run([script, "ps", "--bogus"], cwd=folder, env=env, timeout=60, check=False)
    assert done.returncode == 2


def test_a_folder_that_is_gone_and_texts_that_are_none_are_told(
    folder: Path, engine: SmallEngine
) -> None:
    done = call(folder, "run", "-b", "--name", os.fsdecode(b"\xff"), "true")
    assert done.returncode == 2
    assert "is no text of UTF-8" in done.stderr
    assert "codec" not in done.stderr
    line = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -m spice_tui.cli.main"
    done = subprocess.run(
        ["sh", "-c", f"{line} -C {folder} run -b true"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "is gone. Go to another one." in done.stderr
    assert "Traceback" not in done.stderr
