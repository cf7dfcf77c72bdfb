"""Textual's driver for Unix terminals, with the manners of this program.

It never blocks the loop on a slow terminal, notices when the terminal is gone, asks for fewer
events of the mouse, and leaves the keyboard of simple terminals alone. Parts of the base class
that are private: `_writer_thread`, `_key_thread`, `_file`, `_enable_mouse_support`.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Any

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from spice_tui.terminal import restore
from spice_tui.terminal.output import Output
from spice_tui.terminal.plain_signs import plain
from spice_tui.theme import symbols

_BEHIND = 8192
"""Bytes not taken by the terminal from which on frames are skipped: a busy frame or two."""

_KITTY = ("\x1b[>", "\x1b[<u")
"""What begins and ends the kitty keyboard protocol; the base class offers no seam for it."""

_STOP_SECONDS = 2.0
"""How long leaving waits for a terminal that takes nothing."""


class SpiceDriver(LinuxDriver):
    """An app's `driver_class`. The app's `terminal_lost` is called when the terminal goes away."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._output: Output | None = None
        self._caught_up: Callable[[], None] | None = None
        self._is_lost = False
        self._started = False
        # The console of Linux prints what it does not know.
        self._is_simple = os.environ.get("TERM", "") in {"linux", "vt100", "vt220", "ansi"}

    @property
    def is_behind(self) -> bool:
        """Whether the terminal takes less than is written."""
        return self._output is not None and self._output.waiting > _BEHIND

    def when_caught_up(self, call: Callable[[], None]) -> None:
        """Call this in the loop, once, when the terminal has taken everything."""
        self._caught_up = call
        if self._output is None or not self._output.waiting:
            self._loop.call_soon(self._tell_caught_up)

    def write(self, data: str) -> None:
        """Queue text for the terminal."""
        if self._is_simple and data.startswith(_KITTY):
            return
        if self._output is not None and data:
            self._output.write(plain(data) if symbols.symbols() is symbols.ASCII else data)

    def start_application_mode(self) -> None:
        """Take the terminal; after a suspension all of it is drawn again."""
        restore.arm(self.fileno)
        # The base class makes a writer of its own and writes to it through `write`, which is
        # this class's; that writer stays idle.
        self._output = Output(_terminal_fd(), self._on_idle, self._on_lost)
        self._output.start()
        super().start_application_mode()
        redraw = getattr(self._app, "action_redraw", None)
        if self._started and redraw is not None:
            self._app.call_later(redraw)
        self._started = True

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        super().stop_application_mode()
        output, self._output = self._output, None
        if output is None:
            return
        if output.stop(_STOP_SECONDS) or self._is_lost:
            restore.disarm()
            return
        restore.now()  # it takes nothing: throw away what waits, and say the least

    def _on_idle(self) -> None:
        if self._caught_up is not None:
            self._call_in_loop(self._tell_caught_up)

    def _tell_caught_up(self) -> None:
        call, self._caught_up = self._caught_up, None
        if call is not None:
            call()

    def _on_lost(self) -> None:
        self._is_lost = True
        lost = getattr(self._app, "terminal_lost", None)
        if lost is not None:
            self._call_in_loop(lost)

    def _call_in_loop(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call)

    def _enable_mouse_support(self) -> None:
        """Buttons, wheel and dragging; no event for each move, which costs a slow link dearly."""
        if self._mouse and not self._is_simple:
            self.write("\x1b[?1000h\x1b[?1002h\x1b[?1006h")

    def _disable_mouse_support(self) -> None:
        if self._mouse and not self._is_simple:
            self.write("\x1b[?1016l\x1b[?1006l\x1b[?1002l\x1b[?1000l")

    def _enable_mouse_pixels(self) -> None:
        if not self._is_simple:
            super()._enable_mouse_pixels()

    def _query_in_band_window_resize(self) -> None:
        if not self._is_simple:
            super()._query_in_band_window_resize()

    def _request_terminal_sync_mode_support(self) -> None:
        if not self._is_simple:
            super()._request_terminal_sync_mode_support()

    def run_input_thread(self) -> None:
        """Read keys until told to stop. A terminal that is gone ends it instead of spinning."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        try:
            while not self.exit_event.is_set():
                ready, _, _ = select.select([self.fileno], [], [], 0.1)
                if ready:
                    data = os.read(self.fileno, 4096)
                    if not data:
                        self._on_lost()
                        return
                    for event in parser.feed(decode(data)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)
        except OSError:
            self._on_lost()
        finally:
            with contextlib.suppress(EOFError, ParseError):
                for _ in parser.feed(""):
                    pass


def _terminal_fd() -> int:
    """Where the terminal is, also when one of the streams goes to a file."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and stream.isatty():
            return stream.fileno()
    return 2
