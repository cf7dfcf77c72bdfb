"""A small app for tests on real terminals; run as a process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from textual import work
from textual.widgets import Label

from spice_tui.terminal.abilities import detect
from spice_tui.terminal.cells import CellDiff
from spice_tui.terminal.clipboard import copy
from spice_tui.terminal.lifecycle import Lifecycle, run_app


class Host(CellDiff, Lifecycle):
    """q quits, x has a defect, y copies, f floods the terminal, o asks another program."""

    count = 0

    def compose(self):
        yield Label("ready", id="label")
        yield Label("", id="fill")

    async def key_q(self) -> None:
        self.exit(return_code=3)

    def key_x(self) -> None:
        password = "hunter2hunter2"
        raise RuntimeError(f"cannot log in with token={password} at https://me:{password}@host/")

    @work
    async def key_y(self) -> None:
        assert self._driver is not None
        answer = await copy("text to copy, ü", detect(), self._driver.write)
        self.query_one("#label", Label).update(f"copied: {answer.way}")

    def key_f(self) -> None:
        self.set_interval(0.002, self.flood)

    def flood(self) -> None:
        self.count += 1
        if self.count > 600:
            return
        sign = chr(ord("a") + self.count % 26)
        self.query_one("#fill", Label).update("\n".join([sign * 80] * 20))
        if self.count == 600:
            Path(os.environ["FLOOD_IS_OVER"]).touch()
            self.query_one("#label", Label).update("flood is over")

    async def key_o(self) -> None:
        with self.suspend():
            sys.__stdout__.write("other program\n")
            sys.__stdout__.flush()
            os.kill(os.getpid(), signal.SIGINT)  # as ctrl+c there does


if __name__ == "__main__":
    sys.exit(run_app(Host()))
