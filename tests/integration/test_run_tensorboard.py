"""`tensorboard RUN`: a program of its name is shown where runs have their event files."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from spice_engine.errors import ChildFailed, Conflict, NotInstalled
from spice_tui.cli.main import main
from spice_tui.cli.run_board import RunBoard
from tests.conftest import EngineFixture, wait_for

BOARD = """\
#!{python}
import http.server, os, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert given["--path_prefix"] == "/tensorboard"
if "BOARD_FAILS" in os.environ:
    sys.exit("no data server")
os.chdir(given["--logdir"])
door = (given["--host"], int(given["--port"]))
http.server.ThreadingHTTPServer(door, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def page(url: str, path: str) -> str:
    with urllib.request.urlopen(url.replace("tensorboard/", path), timeout=10) as answer:
        return answer.read().decode()


def test_the_event_files_of_runs_are_shown_while_they_run_and_after(
    shared_engine: EngineFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(shared_engine.location.root)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def run(*words: str) -> int:
        assert main(["run", "-b", *words]) == 0
        return int(capsys.readouterr().out)

    go = tmp_path / "go"
    line = f"mkdir logs; echo 1 > logs/a.tfevents; while [ ! -e {go} ]; do sleep 0.05; done"
    writing = run("--tensorboard-dir", "logs", line)
    silent = run("true")
    with shared_engine.client() as client:

        def ended(number: int) -> Callable[[], bool]:
            return lambda: client.call("runs.get", {"id": number})["ended"] is not None

        wait_for(ended(silent), "the silent run")
        wait_for(
            lambda: client.call("runs.event_folder", {"id": writing})["folder"], "the event file"
        )
        with (
            pytest.raises(NotInstalled, match="not installed"),
            RunBoard(client, [writing]).shown(None),
        ):
            pass
        program = tmp_path / "tensorboard"
        program.write_text(BOARD.format(python=sys.executable))
        program.chmod(0o755)
        with (
            pytest.raises(Conflict, match="no event files"),
            RunBoard(client, [silent]).shown(None),
        ):
            pass
        assert main(["tensorboard", "999"]) == 5
        assert "no run 999" in capsys.readouterr().err

        board = RunBoard(client, [writing, silent])
        with board.shown(None) as url:
            assert "a.tfevents" in page(url, f"run-{writing}/")
            with (
                pytest.raises(Conflict, match="is in use"),
                RunBoard(client, [writing]).shown(int(url.split(":")[2].partition("/")[0])),
            ):
                pass
            go.touch()
            wait_for(ended(writing), "the end of the run")
            board.link()
            # Its files have moved to its outputs.
            assert page(url, f"run-{writing}/a.tfevents") == "1\n"
            assert f"run-{silent}" not in page(url, "")
        with pytest.raises(OSError, match="refused"):
            page(url, "")

        monkeypatch.setenv("BOARD_FAILS", "1")
        failing = RunBoard(client, [writing])
        with pytest.raises(ChildFailed) as failed, failing.shown(None):
            pass
        assert "no data server" in str(failed.value)
