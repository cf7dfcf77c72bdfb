"""A full-screen program in a pseudo-terminal, with the time of each byte; for `terminal.py`.

The program believes that it talks to a plain modern terminal: what it asks is answered. Chunks
are kept with their times, and screens are built from them afterwards, so that the emulator never
disturbs what is measured.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyte

_ANSWERS = (
    (re.compile(rb"\x1b\[0?c"), b"\x1b[?62;22c"),
    (re.compile(rb"\x1b\[>0?q"), b"\x1bP>|bench 1\x1b\\"),
    (re.compile(rb"\x1b\[\?2026\$p"), b"\x1b[?2026;2$y"),
    (re.compile(rb"\x1b\[\?2048\$p"), b"\x1b[?2048;0$y"),
    (re.compile(rb"\x1b\[\?u"), b"\x1b[?0u"),
    (re.compile(rb"\x1b\]11;\?(?:\x07|\x1b\\)"), b"\x1b]11;rgb:1111/1111/1111\x1b\\"),
    (re.compile(rb"\x1b\[6n"), b"\x1b[1;1R"),
)
_NOT_DRAWN = re.compile(
    rb"\x1b\[[<>=?][0-9;:]*u|\x1b\[>[0-9;]*[a-z]|\x1b\[\??[0-9;]*\$p|\x1bP.*?\x1b\\|\x1b\[[0-9;]*t",
    re.S,
)
"""What pyte would print."""


class Program:
    """One program on a terminal. Times are seconds since its start."""

    def __init__(self, command: list[str], size: tuple[int, int], env: dict[str, str]) -> None:
        self.size = size
        self.chunks: list[tuple[float, bytes]] = []
        self.begun = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if not self.pid:
            _resize(0, size)
            try:
                os.execvpe(command[0], command, env)
            finally:
                os._exit(127)
        _resize(self._fd, size)
        self.alive = True
        self.process = psutil.Process(self.pid)
        self._shown = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._shown)
        self._fed = 0

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.begun

    # -- reading and typing

    def read(self, seconds: float, *, once: bool = False) -> None:
        """Take what the program writes for so long; with `once` until there is something."""
        end = self.now + seconds
        while self.alive and (left := end - self.now) > 0:
            if not select.select([self._fd], [], [], left)[0]:
                return
            try:
                data = os.read(self._fd, 1 << 16)
            except OSError:
                data = b""
            if not data:
                self.alive = False
                return
            self.chunks.append((self.now, data))
            for asked, answer in _ANSWERS:
                for _ in asked.findall(data):
                    os.write(self._fd, answer)
            if once:
                return

    def quiet(self, seconds: float, limit: float = 15.0) -> None:
        """Read until nothing came for so long."""
        end = self.now + limit
        while self.alive and self.now < end:
            count = len(self.chunks)
            self.read(seconds, once=True)
            if len(self.chunks) == count:
                return

    def press(self, keys: str) -> float:
        """Type; gives the time."""
        at = self.now
        os.write(self._fd, keys.encode())
        return at

    def until(self, wanted: str, limit: float = 30.0) -> float:
        """The time of the chunk after which the screen shows a regular expression.

        Raises:
            TimeoutError: it never does.
        """
        pattern, end = re.compile(wanted), self.now + limit
        while True:
            while self._fed < len(self.chunks):
                at = self._feed()
                if pattern.search(self.text()):
                    return at
            if not self.alive or self.now > end:
                raise TimeoutError(f"{wanted!r} was not shown, but this:\n{self.text()}")
            # Looked at in pauses of the program: the emulator takes longer than the program.
            self.quiet(0.1, 1.0)

    def text(self) -> str:
        """The screen as far as it was looked at."""
        return "\n".join(self._shown.display)

    def look(self) -> str:
        """The screen as it is now."""
        while self._fed < len(self.chunks):
            self._feed()
        return self.text()

    def _feed(self) -> float:
        at, data = self.chunks[self._fed]
        self._fed += 1
        with contextlib.suppress(IndexError, TypeError, ValueError):  # gaps of the emulator
            self._stream.feed(_NOT_DRAWN.sub(b"", data))
        return at

    def first_after(self, at: float) -> float | None:
        """Seconds from a time to the first byte after it."""
        return next((when - at for when, _ in self.chunks if when >= at), None)

    # -- what it costs

    def span(self, seconds: float) -> dict[str, float]:
        """Bytes a second, raw and as `ssh -C` sends them, and CPU, for so long."""
        first, begun, cpu = len(self.chunks), self.now, self._cpu()
        self.read(seconds)
        took = self.now - begun
        pack = zlib.compressobj(6)
        packed = sum(
            len(pack.compress(data)) + len(pack.flush(zlib.Z_SYNC_FLUSH))
            for _, data in self.chunks[first:]
        )
        return {
            "bytes_s": sum(len(data) for _, data in self.chunks[first:]) / took,
            "packed_s": packed / took,
            "writes_s": (len(self.chunks) - first) / took,
            "cpu_pct": 100 * (self._cpu() - cpu) / took,
        }

    def _family(self) -> Iterator[psutil.Process]:
        yield self.process
        yield from self.process.children(recursive=True)

    def _cpu(self) -> float:
        times = [process.cpu_times() for process in self._family()]
        return sum(one.user + one.system for one in times)

    def memory(self) -> dict[str, float]:
        """MiB of the process and its children: resident, and with shared pages divided."""
        rss = pss = 0.0
        for process in self._family():
            rss += process.memory_info().rss / 2**20
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            found = re.search(r"^Pss:\s+(\d+)", rollup, re.M)
            pss += int(found[1]) / 1024 if found else 0.0
        return {"rss_mib": rss, "pss_mib": pss}

    # -- leaving

    def end(self, keys: str = "") -> float | None:
        """Leave by keys, else by force; gives how long the keys took."""
        begun = self.now
        if keys and self.alive:
            self.press(keys)
            self.read(5.0)
        took = self.now - begun if not self.alive else None
        if took is None:
            os.kill(self.pid, signal.SIGTERM)
            self.read(3.0)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)
        return took


def keys_cost(
    program: Program, keys: list[str], gap: float, sign: Callable[[str], object] | None = None
) -> dict[str, list[float]]:
    """Milliseconds from each key to the first byte after it, and to the sign of its effect.

    `sign` tells of a screen's text what the key changes; a program that writes on its own has
    first bytes that no key caused.
    """
    times: list[tuple[float, object]] = []
    for key in keys:
        before = sign(program.look()) if sign else None
        times.append((program.press(key), before))
        program.read(gap)
    first = [one * 1e3 for at, _ in times if (one := program.first_after(at)) is not None]
    seen: list[float] = []
    if sign is not None:
        screen = pyte.Screen(*program.size)
        stream = pyte.ByteStream(screen)
        waiting = list(times)
        for at, data in program.chunks:
            stream.feed(_NOT_DRAWN.sub(b"", data))
            if waiting and at >= waiting[0][0]:
                text = "\n".join(screen.display)
                if sign(text) != waiting[0][1]:
                    seen.append((at - waiting.pop(0)[0]) * 1e3)
                elif len(waiting) > 1 and at >= waiting[1][0]:
                    waiting.pop(0)
    return {"first": first, "seen": seen}


def _resize(fd: int, size: tuple[int, int]) -> None:
    columns, rows = size
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
