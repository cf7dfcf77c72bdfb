"""What a log view asks of its log, one job after another, so that keys never wait for a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from textual.widget import Widget

from spice_engine.errors import SpiceError
from spice_tui.models.log_view import LogWindow

Job = Callable[[LogWindow], Awaitable[object]]


class LogJobs:
    """Jobs of one widget. `done` is called after each, `failed` with what went wrong in one."""

    def __init__(
        self, widget: Widget, done: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        self._widget = widget
        self._done = done
        self._failed = failed
        self._jobs: deque[Job] = deque()
        self._working = False
        self.window: LogWindow | None = None

    def begin(self, window: LogWindow | None) -> None:
        """Work on this log from now on; what was asked of the one before is forgotten."""
        self._jobs.clear()
        self.window = window

    def ask(self, job: Job) -> None:
        """Do this after what was asked before."""
        self._jobs.append(job)
        self.start()

    def start(self) -> None:
        """Work, once the widget is on a screen."""
        if self._jobs and not self._working and self._widget.is_attached:
            self._working = True
            self._widget.run_worker(self._work, group="log")

    def beside(self, work: Callable[[LogWindow], Awaitable[object]], then: Job) -> None:
        """Do long work beside the jobs, and then a job."""
        window = self.window

        async def go() -> None:
            if window is None:
                return
            try:
                await work(window)
            except SpiceError as error:
                self._failed(str(error))
            if window is self.window:
                self.ask(then)

        self._widget.run_worker(go, group="log-beside", exclusive=True)

    async def _work(self) -> None:
        try:
            while self._jobs and self.window is not None:
                job = self._jobs.popleft()
                try:
                    await job(self.window)
                except SpiceError as error:
                    self._failed(str(error))
                self._done()
        finally:
            self._working = False
