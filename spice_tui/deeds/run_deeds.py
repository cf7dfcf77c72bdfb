"""What can be done with runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from spice_engine.errors import NotFound
from spice_engine.protocol.projects import ProjectDetails
from spice_engine.protocol.run_states import UNDER_WAY
from spice_tui.base import Base, Refused

if TYPE_CHECKING:
    from spice_engine.protocol.runs import RunInfo
    from spice_tui.app import SpiceApp
    from spice_tui.screens.runs_view import RunsView


class RunDeeds(Base):
    """Actions of the context `run`. Without a number: the chosen run."""

    def run_named(self, number: str = "") -> RunInfo:
        """The run of that number, or the chosen one.

        Raises:
            SpiceError: there is none.
        """
        wanted = int(number) if number.isdecimal() else None if number else self.run_number
        if wanted is None:
            raise Refused(f"{number!r} is no run." if number else "no run is chosen.")
        if wanted not in self.world.runs:
            raise NotFound(f"there is no run {wanted}.")
        return self.world.runs[wanted]

    def _runs_named(self, number: str = "") -> list[RunInfo]:
        """The run of that number; or those that are marked in the view of runs, or the chosen one.

        Raises:
            SpiceError: there is none.
        """
        from spice_tui.screens.runs_view import RunsView

        view = cast("SpiceApp", self).current_view
        model = view.table.table.model if isinstance(view, RunsView) else None
        if number or model is None or not model.marks:
            return [self.run_named(number)]
        return [self.run_named(key) for key in model.chosen()]

    async def action_start(self, command: str) -> None:
        """Run a command line."""
        run = await self.ask("runs.start", command=command)
        self.say(f"Run {run['id']} began: {command}")

    async def action_rerun(self, *changes: str) -> None:
        """Run the chosen run again, as it was asked for, but with these parameters."""
        run = self.run_named()
        asked = await self.ask("runs.asked", id=run.id)
        for change in changes:
            name, sign, value = change.partition("=")
            if not sign or not name:
                raise Refused(f"{change!r} is no NAME=VALUE.")
            asked["params"][name] = value
        again = await self.ask("runs.start", **asked)
        self.say(f"Run {again['id']} began: {' '.join(again['command'])}")

    async def action_archive(self, number: str = "") -> None:
        """Put runs out of sight: what they left is there, but nowhere shown."""
        runs = self._runs_named(number)
        for run in runs:
            await self.ask("runs.archive", id=run.id)
        numbers = " ".join(str(run.id) for run in runs)
        self.say(f"{_said(runs)} archived: spice-tui archive --undo {numbers} takes back.")

    async def action_beside(self, page: str = "") -> None:
        """Show the chosen run's log, metrics or outputs beside it; none: the next of them."""
        view = await self._runs_view()
        if page and page not in view.deck.names:
            raise Refused(f"{page!r} is none of {', '.join(view.deck.names)}.")
        hidden = not view.deck.is_on_screen  # a small terminal shows one pane
        if page:
            await view.turn_to(page)
        elif not hidden:
            await view.deck.turn(1)
        if hidden:
            view.go_to(view.deck)
        self.draw()

    async def action_project(self, name: str = "") -> None:
        """Show a project: what its runs came to, and them only; none: that of the chosen run, or
        again all runs."""
        view = await self._runs_view()
        if not name and not view.project:
            name = self.run_named().project
            if not name:
                raise Refused("the chosen run is in no project.", hint="Name one: :project NAME.")
        found = None
        if name:
            found = await self.fetch(ProjectDetails, "projects.get", name=name, number=0)
        view.choose_project(found)

    async def action_add_to_project(self, name: str) -> None:
        """Put the chosen run, or the marked ones, into a project."""
        runs = self._runs_named()
        await self.ask("projects.add_runs", name=name, runs=[run.id for run in runs])
        self.say(f"{_said(runs)} in project {name} now.")

    async def _runs_view(self) -> RunsView:
        from spice_tui.screens.runs_view import RunsView

        view = await cast("SpiceApp", self).show_view("runs")
        assert isinstance(view, RunsView)
        return view

    def action_stop(self, number: str = "") -> None:
        """Ask runs to end, after a while in which that can be taken back."""
        self._end(self._runs_named(number), "runs.stop", "stopped")

    def action_kill(self, number: str = "") -> None:
        """End runs at once, after a while in which that can be taken back."""
        self._end(self._runs_named(number), "runs.kill", "killed")

    def _end(self, runs: Sequence[RunInfo], operation: str, how: str) -> None:
        going = [run for run in runs if run.state in UNDER_WAY]
        if not going:
            ends = ", ".join(f"run {run.id} has ended: {run.outcome or run.state}" for run in runs)
            raise Refused(f"{ends}.")

        async def do() -> None:
            for run in going:
                await self.ask(operation, id=run.id)

        said = _said(going)
        self.later(f"{said[0].lower()}{said[1:]} {how}", do)

    async def action_workspaces(self, name: str = "") -> None:
        """Show the workspaces; with a name, make or start that one first."""
        from spice_tui.screens.workspaces_screen import WorkspacesScreen

        if name:
            await self.ask("workspaces.start", name=name)
        await self.ask_person(WorkspacesScreen(cast("SpiceApp", self)))

    async def action_searches(self, number: str = "") -> None:
        """Show the searches over parameters; with a number, that one's trials."""
        from spice_tui.screens.searches_screen import SearchesScreen

        if number and not number.isdecimal():
            raise Refused(f"{number!r} is no search.")
        app = cast("SpiceApp", self)
        run = await self.ask_person(SearchesScreen(app, int(number or 0)))
        if run is not None:
            await app.action_log(str(run))

    async def action_workflows(self, file: str = "") -> None:
        """Show the workflows; with a file, carry that one out first."""
        from spice_tui.screens.workflows_screen import WorkflowsScreen

        app, number = cast("SpiceApp", self), 0
        if file:
            number = int((await self.ask("workflows.run", file=file))["id"])
        run = await self.ask_person(WorkflowsScreen(app, number))
        if run is not None:
            await app.action_log(str(run))

    async def action_label(self, label: str) -> None:
        """Add a label to the chosen run, or to the marked ones."""
        runs = self._runs_named()
        for run in runs:
            await self.ask("runs.label", id=run.id, add=[label])
        self.say(f"{_said(runs)} labelled {label} now.")

    async def action_unlabel(self, label: str) -> None:
        """Take a label of the chosen run, or of the marked ones, away."""
        runs = self._runs_named()
        for run in runs:
            await self.ask("runs.label", id=run.id, remove=[label])
        self.say(f"{_said(runs)} not labelled {label} any more.")


def _said(runs: Sequence[RunInfo]) -> str:
    """Which runs something was done to, up to the verb."""
    numbers = ", ".join(str(run.id) for run in runs)
    return f"Run {numbers} is" if len(runs) == 1 else f"Runs {numbers} are"
