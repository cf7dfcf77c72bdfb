"""`workflow`: scripts that make runs, and steps declared in YAML."""

from __future__ import annotations

from typing import Any

from spice_tui.cli.groups import group
from spice_tui.cli.lazy import Entry, TableGroup

COMMANDS = {
    "create": Entry(
        "workflow_create",
        "create",
        "Begin a workflow that a script drives.",
        stops_at_command=True,
        files=True,
    ),
    "run": Entry("workflow_run", "run", "Carry out the steps that a file declares.", files=True),
    "check": Entry("workflow_run", "check", "Check a workflow's file, and list its steps."),
    "resume": Entry("workflow_run", "resume", "Go on with what failed or was stopped."),
    "list": Entry("workflow_show", "list_workflows", "List the workflows."),
    "describe": Entry("workflow_show", "describe", "Show a workflow, its steps and its graph."),
    "stop": Entry("workflow_end", "stop", "Stop workflows and the runs they made."),
    "kill": Entry("workflow_end", "kill", "End workflows and the runs they made at once."),
    "rm": Entry("workflow_end", "remove", "Put workflows that are over away, and their runs."),
}


class WorkflowGroup(TableGroup):
    """What is none of its commands is a script's command line: Spell's old form."""

    table = COMMANDS

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in COMMANDS and args[0] not in {"-h", "--help"}:
            args = ["create", *args]
        return super().parse_args(ctx, args)


app = group("Chain runs: by a script, or by steps in a YAML file.", kind=WorkflowGroup)
