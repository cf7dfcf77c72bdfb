"""Commands in terminals: one that goes on is seen, a shell that waits is none."""

from __future__ import annotations

import os
import pty
import signal
from contextlib import suppress

from spice_engine.runs.terminal_jobs import has_jobs


def said(terminal: int, word: bytes) -> bytes:
    """What is printed, up to a word."""
    text = b""
    while word not in text:
        text += os.read(terminal, 1024)
    return text


def test_a_silent_command_in_a_terminal_is_seen_and_its_shell_is_not() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "ready>"
        os.execlp("sh", "sh", "-i")
    try:
        said(terminal, b"ready>")
        assert not has_jobs(os.getpid())
        os.write(terminal, b"(echo on''going; exec sleep 300)\n")
        said(terminal, b"ongoing")
        assert has_jobs(os.getpid())
        os.write(terminal, b"\x03")
        said(terminal, b"ready>")
        assert not has_jobs(os.getpid())
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)
