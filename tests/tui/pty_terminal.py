"""A real pseudo-terminal with a process in it, a pyte screen, and what modes were left on."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = Path(__file__).with_name("terminal_host.py")

_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class PtyTerminal:
    """One process on a terminal. The terminal's own side stays open for looking."""

    def __init__(
        self,
        command: list[str],
        env: dict[str, str],
        *,
        controlling: bool,
        size: tuple[int, int] = (80, 24),
    ) -> None:
        columns, rows = size
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.attributes = termios.tcgetattr(self.slave)
        self.seen = b""
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._reading = threading.Event()
        self._reading.set()
        self._ended = False
        self._fed = 0
        self._drawn: tuple[object, str] = (None, "")

        if controlling:
            command = [sys.executable, "-c", _TAKE_TERMINAL, *command]
        self.process = subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=env,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._ended:
            self._reading.wait(0.05)
            if not self._reading.is_set():
                continue
            ready, _, _ = select.select([self.master], [], [], 0.02)
            if not ready:
                continue
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            self.seen += data
            # pyte knows no private parameters of CSI u and prints them.
            self._stream.feed(re.sub(rb"\x1b\[[<>=?][0-9;]*u|\x1b\[\?[0-9;]*\$p", b"", data))
            self._fed += 1

    def resize(self, columns: int, rows: int) -> None:
        """The window gets another size; the kernel tells the program."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def pause(self) -> None:
        """Take nothing from the program, as a link that stalls."""
        self._reading.clear()

    def go_on(self) -> None:
        """Read again."""
        self._reading.set()

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.master, keys.encode())

    def text(self) -> str:
        """What the screen shows; drawn once for what came, as it takes some milliseconds."""
        now = (self._fed, self.screen.columns, self.screen.lines)
        if self._drawn[0] != now:
            self._drawn = (now, "\n".join(self.screen.display))
        return self._drawn[1]

    def until(self, condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited for {what}; seen: {self.seen[-2000:]!r}")
            time.sleep(0.01)

    def shows(self, text: str) -> None:
        """Wait until the screen shows a text."""
        self.until(lambda: text in self.text(), repr(text))

    def ends(self) -> int:
        """Wait until the process ended and all that it wrote is read; gives its exit code."""
        code = self.process.wait(30)
        size = -1
        while size != len(self.seen):
            size = len(self.seen)
            time.sleep(0.1)
        return code

    def modes(self) -> set[str]:
        """Private modes that are on (cursor and wrap: that are off), and kitty flags pushed."""
        on: set[str] = set()
        for mode, way in re.findall(rb"\x1b\[\?([0-9]+)([hl])", self.seen):
            usual = b"h" if mode in {b"25", b"7"} else b"l"
            (on.discard if way == usual else on.add)(mode.decode())
        if self.seen.count(b"\x1b[>") > self.seen.count(b"\x1b[<u"):
            on.add("kitty")
        return on

    def is_as_before(self) -> bool:
        """Whether the terminal's settings are those from before the program."""
        return termios.tcgetattr(self.slave) == self.attributes

    def hang_up(self) -> None:
        """The terminal goes away."""
        self._ended = True
        self._reader.join()
        os.close(self.slave)
        os.close(self.master)
        self.slave = self.master = -1

    def close(self) -> None:
        """End everything."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._ended = True
        self._reader.join()
        for descriptor in (self.slave, self.master):
            if descriptor >= 0:
                os.close(descriptor)


@contextlib.contextmanager
def host_in_pty(
    state: Path, *, controlling: bool = True, wait: bool = True, **variables: str
) -> Iterator[PtyTerminal]:
    """The host app on a terminal; `variables` come on top of a small environment."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(state),
        "XDG_STATE_HOME": str(state),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "engine")]),
        **variables,
    }
    terminal = PtyTerminal([sys.executable, str(HOST)], env, controlling=controlling)
    try:
        if wait:
            terminal.shows("ready")
        yield terminal
    finally:
        terminal.close()
