"""Plays a tape on a headless screen, command by command."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual import events
from textual.app import App, ScreenStackError
from textual.keys import _character_to_key
from textual.pilot import Pilot, WaitForScreenTimeout

from spice_engine.errors import Place
from spice_tui.tape.commands import (
    KEYS,
    Command,
    Env,
    Expect,
    Hide,
    Mask,
    Output,
    Press,
    Require,
    Resize,
    Run,
    Scope,
    Screenshot,
    Set,
    Show,
    Sleep,
    Type,
    Wait,
)
from spice_tui.tape.frame import Frame, PatternMask, capture, cursor_row, hold_cursors
from spice_tui.tape.line import compile_pattern
from spice_tui.tape.snapshots import Snapshots

ROUNDS = 3
"""Times that all parts of the screen are asked to finish what they have, after each key."""
POLL_SECONDS = 0.03
RESIZE_SECONDS = 0.03
"""Textual gathers changes of size for a 120th of a second."""
STILL_SECONDS = 0.08
SETTLE_LOOKS = 25
"""A screenshot waits so many looks, two seconds at least, for a screen that does not change, or is
the stored one. On a busy machine a look takes longer, as the screen does."""
DEFAULT_TIMEOUT_MS = 10_000
RUN_SECONDS = 120.0


class StepFailed(Exception):
    """What a tape says did not come true."""

    def __init__(self, message: str, place: Place, screen: str) -> None:
        super().__init__(message)
        self.message, self.place, self.screen = message, place, screen


@dataclass(slots=True)
class Player:
    """Plays commands on an app."""

    app: App[Any]
    snapshots: Snapshots
    title: str = "spice-tui"
    folder: Path | None = None
    masks: list[PatternMask] = field(default_factory=list[PatternMask])
    steps: int = 0
    hidden: bool = False
    screens: list[str] = field(default_factory=list[str])
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    typing_ms: int = 0

    place: Place = field(default=Place(""))
    """Of the command that is being done."""
    pilot: Pilot[Any] = field(init=False)

    async def play(self, pilot: Pilot[Any], commands: Sequence[Command]) -> None:
        """Do all commands, on the app that runs under `pilot`.

        Raises:
            StepFailed: one of them did not come true.
        """
        self.pilot = pilot
        for command in commands:
            self.place = command.place
            try:
                await self._do(command)
            except WaitForScreenTimeout:
                raise self.failure("the screen hangs.", command) from None
            except ScreenStackError:
                raise self.failure("the screen has been closed.", command) from None
            self.steps += 1

    async def _do(self, command: Command) -> None:
        match command:
            case Press(key, modifiers, times, pause):
                for _ in range(times):
                    await self._press(*_key(key, modifiers), pause)
            case Type(text, pause):
                for character in text:
                    await self._press(*_key(character, ()), pause)
            case Wait():
                await self._wait(command)
            case Expect(pattern, scope, negated):
                await self.settle()
                if self._matches(pattern, scope) == negated:
                    what = "is on the screen" if negated else "is not on the screen"
                    raise self.failure(f"/{pattern}/ {what}.", command)
            case Sleep(milliseconds):
                await asyncio.sleep(milliseconds / 1000)
                await self.settle()
            case Screenshot(name):
                await self._screenshot(name)
            case Resize(width, height):
                await self.pilot.resize_terminal(width, height)
                await asyncio.sleep(RESIZE_SECONDS)
                await self.settle()
            case Mask(pattern, replacement):
                self.masks.append(PatternMask(compile_pattern(pattern), replacement))
            case Set("Timeout", int(value)):
                self.timeout_ms = value
            case Set("TypingSpeed", int(value)):
                self.typing_ms = value
            case Hide() | Show():
                self.hidden = isinstance(command, Hide)
            case Env(name, value):
                os.environ[name] = value
            case Run():
                await self._run(command)
            case Set() | Require() | Output():
                pass  # were heeded before the screen was opened, or are at the end
            case _:
                raise TypeError(f"{command!r} cannot be played")

    # -- keys

    async def _press(self, key: str, character: str | None, pause_ms: int | None) -> None:
        self._check_open()
        event = events.Key(key, character)
        event.set_sender(self.app)
        self.app.post_message(event)
        await self.settle()
        pause_ms = self.typing_ms if pause_ms is None else pause_ms
        if pause_ms:
            await asyncio.sleep(pause_ms / 1000)

    async def settle(self) -> None:
        """Let all parts of the screen finish what they have been told; timers may go on."""
        for _ in range(ROUNDS):
            self._check_open()
            await self.pilot.pause(0)
        hold_cursors(self.app)

    def _check_open(self) -> None:
        if self.app._exit or not self.app.is_running:
            raise ScreenStackError("the app has ended")

    # -- looking

    def _matches(self, pattern: str, scope: Scope) -> bool:
        text = self.look().text
        if scope == "line":
            row = cursor_row(self.app)
            lines = text.split("\n")
            text = lines[row] if 0 <= row < len(lines) else ""
        return compile_pattern(pattern).search(text) is not None

    def look(self) -> Frame:
        """The screen now, as a person sees it."""
        return capture(self.app)

    async def _wait(self, command: Wait) -> None:
        milliseconds = self.timeout_ms if command.timeout_ms is None else command.timeout_ms
        deadline = asyncio.get_running_loop().time() + milliseconds / 1000
        await self.settle()
        while not self._matches(command.pattern, command.scope):
            if asyncio.get_running_loop().time() >= deadline:
                raise self.failure(
                    f"/{command.pattern}/ did not come within {milliseconds / 1000:g} s.", command
                )
            await asyncio.sleep(POLL_SECONDS)
            self._check_open()
            await self.pilot.pause(0)
        self._note(self.look())

    async def _screenshot(self, name: str) -> None:
        frame = await self.still_frame(self.snapshots.stored(name))
        self._note(frame)
        if self.snapshots.wanted(name):
            self.snapshots.take(name, frame.text, frame.svg(self.title))

    async def still_frame(self, expected: str | None = None) -> Frame:
        """The screen when it is `expected`, else when it has not changed for a moment."""
        frame = await self._settled_frame()
        for _ in range(SETTLE_LOOKS):
            await asyncio.sleep(STILL_SECONDS)
            last, frame = frame, await self._settled_frame()
            if frame.text == last.text and (expected is None or frame.text == expected):
                break
        return frame

    async def _settled_frame(self) -> Frame:
        # Notices go by a timer, and come when something ends: pictures would differ.
        self.app.clear_notifications()
        for screen in self.app.screen_stack[:-1]:  # Textual clears those of the one on top
            await screen.query("Toast").remove()
        await self.settle()
        return capture(self.app, self.masks)

    def _note(self, frame: Frame) -> None:
        if not self.hidden and (not self.screens or self.screens[-1] != frame.text):
            self.screens.append(frame.text)

    def failure(self, message: str, command: Command) -> StepFailed:
        """The failure of a command, with the screen as it is now."""
        try:
            screen = self.look().text
        except ScreenStackError:
            screen = ""
        return StepFailed(message, command.place, screen)

    # -- command lines

    async def _run(self, command: Run) -> None:
        code, said = await run_line(command.line, self.folder)
        if code != command.exit_code:
            raise self.failure(_ended(command, code, said), command)
        await self.settle()


def _ended(command: Run, code: int, said: str) -> str:
    wanted = f", not with {command.exit_code}" if command.exit_code else ""
    return f"{command.line!r} ended with {code}{wanted}: {said[-2000:]}"


async def run_before(command: Run, folder: Path | None) -> None:
    """Run a command line while there is no screen yet.

    Raises:
        StepFailed: it ended with another exit code.
    """
    code, said = await run_line(command.line, folder)
    if code != command.exit_code:
        raise StepFailed(_ended(command, code, said), command.place, "")


async def run_line(line: str, folder: Path | None) -> tuple[int, str]:
    """The exit code of a command line of spice-tui in a folder, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "spice_tui.cli.main", *shlex.split(line)[1:]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), RUN_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, f"it took longer than {RUN_SECONDS:g} s"
    return process.returncode or 0, said.decode(errors="replace").strip()


def _key(name: str, modifiers: Sequence[str]) -> tuple[str, str | None]:
    """A key as Textual names it, and the character it types."""
    if name in KEYS:
        key, character = KEYS[name], _CHARACTERS.get(name)
    else:
        key, character = _character_to_key(name), name
    if not modifiers:
        return key, character
    if tuple(modifiers) == ("Shift",) and len(name) == 1:
        upper = name.upper()
        return _character_to_key(upper), upper
    held = "+".join(modifier.lower() for modifier in modifiers)
    return f"{held}+{key.lower() if 'Ctrl' in modifiers else key}", None


_CHARACTERS = {"Enter": "\r", "Tab": "\t", "Space": " ", "Escape": "\x1b", "Backspace": "\x7f"}
