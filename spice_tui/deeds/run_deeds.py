"""What can be done with runs."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from spice_engine.errors import NotFound
from spice_tui.base import Base, Refused
from spice_tui.models.world import ACTIVE_RUN

if TYPE_CHECKING:
    from spice_engine.protocol.runs import RunInfo
    from spice_tui.app import SpiceApp


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

    async def action_start(self, command: str) -> None:
        """Run a command line."""
        run = await self.ask("runs.start", command=command)
        self.say(f"Run {run['id']} began: {command}")

    async def action_rerun(self) -> None:
        """Run the chosen run's command again."""
        run = self.run_named()
        command = run.command[0] if len(run.command) == 1 else run.command
        again = await self.ask(
            "runs.start",
            command=command,
            cwd=run.cwd,
            name=run.name,
            machine_type=run.machine_type,
            mounts=run.mounts,
            in_place=run.in_place,
            dependencies=None if run.dependencies is None else asdict(run.dependencies),
        )
        self.say(f"Run {again['id']} began: {shlex.join(run.command)}")

    def action_stop(self, number: str = "") -> None:
        """Ask a run to end, after a while in which that can be taken back."""
        self._end(self.run_named(number), "runs.stop", "stopped")

    def action_kill(self, number: str = "") -> None:
        """End a run at once, after a while in which that can be taken back."""
        self._end(self.run_named(number), "runs.kill", "killed")

    def _end(self, run: RunInfo, operation: str, how: str) -> None:
        if run.state not in ACTIVE_RUN:
            raise Refused(f"run {run.id} has ended: {run.outcome or run.state}.")

        async def do() -> None:
            await self.ask(operation, id=run.id)

        self.later(f"run {run.id} is {how}", do)

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
        """Add a label to the chosen run."""
        run = self.run_named()
        await self.ask("runs.label", id=run.id, add=[label])
        self.say(f"Run {run.id} is labelled {label} now.")
