"""In tmux inside of tmux: what is copied reaches the outer one's buffer; keys and colours work."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import EngineFixture, wait_for
from tests.e2e.screen_process import PROGRAM, environment, trained

pytestmark = pytest.mark.e2e

Tmux = Callable[..., str]


def tmux_server(home: Path) -> tuple[str, Tmux]:
    """A private server's name, and how to ask it."""
    name = f"spice-test-{uuid.uuid4().hex[:8]}"
    env = {**environment(home), "TERM": "xterm-256color", "SHELL": "/bin/sh"}

    def call(*arguments: str) -> str:
        command = ["tmux", "-L", name, "-f", os.devnull, *arguments]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    return name, call


@pytest.fixture
def nested(engine: EngineFixture, tmp_path: Path) -> Iterator[tuple[Tmux, Tmux]]:
    """An outer tmux, which stands for the terminal, with an inner one in it, with the screen."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    engine.start()
    engine.call("samples.add", name="samples/gardener")
    trained(engine)
    _, outer = tmux_server(tmp_path)
    name, inner = tmux_server(tmp_path)
    outer("new-session", "-d", "-x", "120", "-y", "42", "sh")
    try:
        # What a terminal is to allow so that programs may set its clipboard.
        outer("set-option", "-s", "set-clipboard", "on")
        inner("new-session", "-d", "-x", "120", "-y", "40", "sh")
        inner("set-option", "-s", "set-clipboard", "on")
        outer("send-keys", f"TMUX= tmux -L {name} -f {os.devnull} attach", "Enter")
        wait_for(lambda: inner("list-clients").strip(), "the inner tmux to be attached")
        inner("send-keys", f"{PROGRAM} -C {engine.location.root}", "Enter")
        wait_for(lambda: "gardener.yaml" in shown(inner), "the screen in tmux")
        yield outer, inner
    finally:
        for server in (inner, outer):
            server("kill-server")


def shown(tmux: Tmux, *flags: str) -> str:
    return tmux("capture-pane", "-p", *flags)


def test_a_copied_row_reaches_the_outer_buffer(nested: tuple[Tmux, Tmux]) -> None:
    outer, inner = nested
    outer("send-keys", "C")  # a key of the person at the terminal goes through both
    wait_for(lambda: "gardener" in inner("list-buffers"), "the inner buffer")
    wait_for(lambda: "gardener" in outer("list-buffers"), "the outer buffer")
    assert "gardener" in outer("show-buffer")
    assert "\x1b" not in outer("show-buffer")


def test_keys_and_colours_come_through(nested: tuple[Tmux, Tmux]) -> None:
    outer, inner = nested
    outer("send-keys", "2")
    wait_for(lambda: "Runs" in shown(outer).splitlines()[1], "the view of runs")
    outer("send-keys", "F1")
    wait_for(lambda: "Keys and commands" in shown(outer), "help, by a function key")
    outer("send-keys", "Escape")
    wait_for(lambda: "Keys and commands" not in shown(outer), "help to go")
    assert "\x1b[38;5;" in shown(outer, "-e")
    outer("send-keys", "q")
    wait_for(lambda: "Runs" not in shown(inner), "the screen to end")
    assert "Traceback" not in shown(inner)
