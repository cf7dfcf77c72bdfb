"""The screen as a person starts it: `spice-tui` in a pseudo-terminal, beside a real engine."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import EngineFixture, wait_for
from tests.tui.pty_terminal import PtyTerminal

PROGRAM = str(Path(sys.executable).with_name("spice-tui"))


def environment(home: Path, **variables: str) -> dict[str, str]:
    """A small environment; the state home is that of the test's engine."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"],
        "XDG_CONFIG_HOME": str(home / "config"),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        **variables,
    }


@contextlib.contextmanager
def program(
    home: Path, *arguments: str, size: tuple[int, int] = (120, 40), **variables: str
) -> Iterator[PtyTerminal]:
    """`spice-tui ARGUMENTS` on a terminal; killed at the end if it still runs."""
    terminal = PtyTerminal(
        [PROGRAM, *arguments], environment(home, **variables), controlling=True, size=size
    )
    try:
        yield terminal
    finally:
        terminal.close()


@contextlib.contextmanager
def screen(
    engine: EngineFixture, *arguments: str, size: tuple[int, int] = (120, 40), **variables: str
) -> Iterator[PtyTerminal]:
    """The screen on the engine's folder, once it shows that it is attached."""
    folder = engine.location.root
    with program(folder.parent, "-C", str(folder), *arguments, size=size, **variables) as terminal:
        attached(terminal, engine)
        yield terminal


def trained(engine: EngineFixture) -> None:
    """Wait until each pod has a policy and none is being trained."""

    def done() -> bool:
        found = engine.call("pods.list")["pods"]
        return all(pod["policy_version"] and pod["training"] is None for pod in found)

    wait_for(done, "the pods to have learned", 60)


def attached(terminal: PtyTerminal, engine: EngineFixture) -> None:
    """Wait until the top line shows where the engine answers."""
    terminal.shows(engine.http.removeprefix("http://"))


def settle(terminal: PtyTerminal, quiet: float = 0.7) -> None:
    """Wait until nothing was written for a while (longer than any tick of the screen)."""
    last, since = -1, time.monotonic()
    deadline = since + 30
    while time.monotonic() - since < quiet:
        if len(terminal.seen) != last:
            last, since = len(terminal.seen), time.monotonic()
        if since > deadline:
            raise AssertionError("the screen never becomes still")
        time.sleep(0.02)


def restored(terminal: PtyTerminal) -> None:
    """The terminal is as before the program: no mode left on, its settings the same."""
    assert not terminal.modes(), terminal.modes()
    assert terminal.is_as_before()
