"""Copying that works in tmux, over SSH and at home, and says which way it went.

In tmux its own buffer is asked, which hands on to the terminal outside. At home it is the
desktop's tool. Else it is OSC 52. A file always holds the text as well, for terminals that
refuse.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from spice_engine.protocol.location import state_home
from spice_engine.records import record
from spice_tui.terminal.abilities import Abilities
from spice_tui.terminal.passthrough import wrap

OSC52_LIMIT = 74_994
"""Bytes of base64 that common terminals take at most."""

_SECONDS = 2.0

Way = Literal["tmux", "pbcopy", "wl-copy", "xclip", "terminal", "file"]


@record
class Copied:
    """How text was copied. `file` holds all of it too, unless the disk refused."""

    way: Way
    file: Path | None
    problem: str = ""

    @property
    def message(self) -> str:
        """One line for a toast."""
        where = f" Also in {self.file}." if self.file else ""
        if self.way == "file":
            return f"Copied to {self.file} only: {self.problem}" if self.file else self.problem
        if self.way == "terminal":
            return f"Copied through the terminal (OSC 52), if it allows that.{where}"
        return f"Copied with {self.way}.{where}"


async def copy(
    text: str,
    abilities: Abilities,
    write: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
) -> Copied:
    """Copy `text`; `write` sends orders to the terminal (a driver's `write`)."""
    file, problem = await asyncio.to_thread(_keep, text)
    for way, command in _tools(abilities, environ):
        if await _pipe(command, text):
            return Copied(way, file)
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    if len(encoded) > OSC52_LIMIT:
        return Copied("file", file, problem or "it is too long for a terminal's clipboard.")
    if abilities.simple:
        return Copied("file", file, problem or "this terminal has no clipboard.")
    write(wrap(f"\x1b]52;c;{encoded}\x07", abilities))
    return Copied("terminal", file)


def _tools(abilities: Abilities, environ: Mapping[str, str]) -> list[tuple[Way, tuple[str, ...]]]:
    """Programs to try, best first."""
    if abilities.tmux:
        # Without -w (before tmux 3.2) the buffer of tmux is still something.
        return [
            ("tmux", ("tmux", "load-buffer", "-w", "-")),
            ("tmux", ("tmux", "load-buffer", "-")),
        ]
    if abilities.ssh:
        return []
    if sys.platform == "darwin":
        return [("pbcopy", ("pbcopy",))]
    tools: list[tuple[Way, tuple[str, ...]]] = []
    if environ.get("WAYLAND_DISPLAY"):
        tools.append(("wl-copy", ("wl-copy",)))
    if environ.get("DISPLAY"):
        tools.append(("xclip", ("xclip", "-selection", "clipboard", "-in")))
    return tools


async def _pipe(command: tuple[str, ...], text: str) -> bool:
    """Whether the program took the text within its time."""
    if shutil.which(command[0]) is None:
        return False
    try:
        # Tools that stay to serve the clipboard must not hold pipes of ours.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        await asyncio.wait_for(process.communicate(text.encode("utf-8", "replace")), _SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return False
    return process.returncode == 0


def _keep(text: str) -> tuple[Path | None, str]:
    """Write the file that only its owner can read; gives it, or why there is none."""
    path = state_home() / "clipboard.txt"
    fresh = path.with_name(f".clipboard-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        return None, f"nothing was copied: {error}."
    return path, ""
