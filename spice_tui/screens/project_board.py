"""What the runs of a project came to, beside the runs themselves, for as long as one is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.widgets import Static

from spice_engine.errors import SpiceError
from spice_engine.protocol.projects import ProjectDetails
from spice_engine.protocol.run_states import UNDER_WAY
from spice_tui.models import project_words

if TYPE_CHECKING:
    from textual.timer import Timer

    from spice_engine.protocol.runs import RunInfo
    from spice_tui.app import SpiceApp

LIVE_SECONDS = 1.0
"""How often it is asked for while runs of the project are at work, for their metrics change."""


class ProjectBoard(Static):
    """Not there without a project; it is asked for anew when the runs of it change."""

    DEFAULT_CSS = """
    ProjectBoard { height: auto; max-height: 10; padding: 0 1 1 1; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__(markup=False)
        self.display = False
        self.project = ""
        """Which one; empty: none."""
        self._app = app
        self._asking = False
        self._seen: object = None
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        self._timer = self.set_interval(LIVE_SECONDS, self._ask, pause=True)

    def choose(self, found: ProjectDetails | None) -> None:
        """Show this project, or none."""
        self.project = "" if found is None else found.project.name
        self.display = found is not None
        self._seen = None
        if found is not None:
            self._say(found)

    def look(self, runs: Iterable[RunInfo]) -> None:
        """These are the project's runs now."""
        if not self.project:
            self._rest(True)
            return
        seen = {run.id: run.state for run in runs}
        self._rest(UNDER_WAY.isdisjoint(seen.values()))
        if seen != self._seen:
            self._seen = seen
            self._ask()

    def _rest(self, rest: bool) -> None:
        if self._timer is not None:
            self._timer.pause() if rest else self._timer.resume()

    def _ask(self) -> None:
        if self.project and self.is_on_screen and not self._asking:
            self._asking = True
            self._app.begin(self._load(self.project, self._seen))

    async def _load(self, project: str, seen: object) -> None:
        try:
            found = await self._app.fetch(ProjectDetails, "projects.get", name=project, number=0)
        except SpiceError as error:
            self._rest(True)
            self._app.complain(error)
            return
        finally:
            self._asking = False
        if project == self.project:
            self._say(found)
        if seen != self._seen or project != self.project:
            self._ask()  # they changed meanwhile

    def _say(self, found: ProjectDetails) -> None:
        self.update(project_words.board(found))
