"""How the program ends: signals, a terminal that goes away, defects; and with which exit code.

`App._handle_exception` is private: Textual has no other seam before it prints local variables.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from rich.text import Text
from textual.app import App

from spice_tui.terminal import restore
from spice_tui.terminal.crash import write_report
from spice_tui.terminal.driver import SpiceDriver

DEFECT = 70
_DEAF_SECONDS = 0.3
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Lifecycle(App[int]):
    """An app that ends well. The engine and its runs go on, whatever ends the screen."""

    _ending = 0
    _is_deaf = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.driver_class = SpiceDriver

    @property
    def ending(self) -> int:
        """128 plus the signal that ended the app; 0 if none did."""
        return self._ending

    def end_by(self, number: int) -> None:
        """Leave because of a signal; the second one does not wait for anybody.

        A terminal that closes sends several SIGHUP: they are one.
        """
        if number == signal.SIGINT and self._is_deaf:
            return
        if self._ending:
            if number == signal.SIGHUP:
                return
            restore.now()
            os._exit(self._ending)
        self._ending = 128 + number
        self.exit(return_code=self._ending)

    @contextlib.contextmanager
    def suspend(self) -> Iterator[None]:
        """Lend the terminal to another program; the keys for interrupting are that program's.

        The terminal sends SIGINT to this process too. The loop sees it when it is back.
        """
        self._is_deaf = True
        try:
            with super().suspend():
                yield
        finally:
            self.set_timer(_DEAF_SECONDS, self._listen)

    def _listen(self) -> None:
        self._is_deaf = False

    def terminal_lost(self) -> None:
        """The terminal is gone (its window closed, the link broke): detach."""
        if self._ending:
            return
        # Whatever still wants to print must neither fail nor stop the process.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            with contextlib.suppress(OSError):
                os.dup2(nowhere, descriptor)
        os.close(nowhere)
        restore.disarm()
        self.end_by(signal.SIGHUP)

    def _handle_exception(self, error: Exception) -> None:
        if self.is_headless:  # tests and tapes want the exception itself
            super()._handle_exception(error)
            return
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
            # The terminal wraps a long path so that it can still be copied; Rich would cut it.
            line = Text(write_report(error), no_wrap=True, overflow="ignore")
            self._exit_renderables.append(line)
        self._return_code = DEFECT
        self._close_messages_no_wait()


def run_app(
    app: Lifecycle, *, mouse: bool = True, inline: bool = False, size: tuple[int, int] | None = None
) -> int:
    """Run an app in the terminal until it ends; gives the exit code of the process."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, app.end_by, number)
        await app.run_async(mouse=mouse, inline=inline, size=size)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError:
        if not app.ending:
            raise
    finally:
        restore.now()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    code = app.return_code or 0
    return code if code == DEFECT else app.ending or code
