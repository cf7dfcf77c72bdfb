"""`workflow list`, `describe`: what workflows there are, and how far one is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_tui.cli import output, values
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of
from spice_tui.cli.workflow_run import Number
from spice_tui.cli.workflow_text import color_of, counts_text

WIDTH = 100


def list_workflows(
    ctx: typer.Context,
    *,
    number: Annotated[int, typer.Option("--number", "-n", help="At most this many.")] = 50,
    archived: Annotated[bool, typer.Option("--archived", help="Those put away, too.")] = False,
    json: Json = False,
) -> None:
    """List the newest workflows, oldest of them first."""
    with session_of(ctx).connect() as client:
        found = client.call("workflows.list", {"number": number, "archived": archived})
    if json:
        output.as_json(found["workflows"])
        return
    rows = [
        [
            str(one["id"]),
            one["name"] or values.command_text(one["command"])[:40],
            one["kind"],
            output.paint(one["state"], color)
            if (color := color_of(one["state"]))
            else one["state"],
            counts_text(one["counts"]) or (f"run {one['run']}" if one["run"] else ""),
            values.ago(one["created"]),
        ]
        for one in found["workflows"]
    ]
    output.table(["ID", "NAME", "KIND", "STATE", "STEPS", "CREATED"], rows)


def describe(ctx: typer.Context, workflow: Number, *, json: Json = False) -> None:
    """Show a workflow: how far it is, its steps, and what came from what."""
    number = option(workflow, values.run_number, "WORKFLOW")
    with session_of(ctx).connect() as client:
        found = client.call("workflows.get", {"id": number})
        graph = client.call("workflows.graph", {"id": number})
    if json:
        output.as_json({**found, "graph": graph})
        return
    started, ended = found["created"], found["ended"]
    output.pairs(
        [
            ("Workflow", number),
            ("Name", found["name"]),
            ("Kind", found["kind"]),
            ("State", found["state"]),
            ("Message", found["message"]),
            ("File", found["file"]),
            ("Command", values.command_text(found["command"]) if found["command"] else ""),
            ("Managing Run", found["run"]),
            ("Params", ", ".join(f"{name}={value}" for name, value in found["params"].items())),
            ("Code", "; ".join(f"{label} = {text}" for label, text in found["repos"].items())),
            ("Created", values.clock(started)),
            ("Duration", values.elapsed(ended - started) if ended else ""),
            ("Resumed", found["resumed"] or ""),
            ("Begun By", f"workflow {found['within']}" if found["within"] else ""),
            ("Description", found["description"]),
        ]
    )
    if found["steps"]:
        output.line()
        output.table(
            ["STEP", "STATE", "RUN", "NEEDS", "MESSAGE"], [_row(step) for step in found["steps"]]
        )
    output.line()
    for line in _drawn(graph):
        output.line(line)


def _row(step: dict[str, Any]) -> list[str]:
    state, color = step["state"], color_of(step["state"])
    needs = ", ".join(step["needs"])
    return [
        step["key"],
        output.paint(state, color) if color else state,
        "" if step["run"] is None else str(step["run"]),
        needs if len(needs) <= 40 else f"{len(step['needs'])} steps",
        step["message"],
    ]


def _drawn(graph: dict[str, Any]) -> list[str]:
    """The graph in columns, as the screen draws it."""
    from spice_engine.protocol.views import Lineage
    from spice_tui.models.build import build
    from spice_tui.models.lineage_view import LineageView

    lines = LineageView(build(Lineage, graph)).lines(WIDTH, "")
    return [line.text.rstrip() for line in lines]
