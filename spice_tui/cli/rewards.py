"""`rewards`: code for the reward of each action, written into a manifest, and its tests run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_engine.errors import NotFound
from spice_tui.cli import completion, edits, output, values
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.groups import group
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

app = group("Add rewards to manifests, and test them.")


@app.command()
def add(ctx: typer.Context, pod: edits.Pod = "", json: Json = False) -> None:
    """Put code for each action in place of uniform rewards, to go on from."""
    with session_of(ctx).connect() as client:
        answer = client.call("pods.add_rewards", {"pod": pod})
    edits.tell(answer, f"Uniform rewards added to pod {answer['pod']}.", json=json)


@app.command("test")
def run_tests(
    ctx: typer.Context,
    pod: Annotated[
        str,
        typer.Argument(
            metavar="[POD]",
            help="Whose tests; default: those of all pods.",
            autocompletion=completion.pods,
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Run the reward tests of manifests (`reward_tests` under training); 1 if one fails."""
    with session_of(ctx).connect() as client:
        names = [pod] if pod else sorted(one["name"] for one in client.call("pods.list")["pods"])
        if not names:
            raise NotFound("the folder has no pods.", hint="spice-tui init NAME")
        found = [
            {"pod": name, **one}
            for name in names
            for one in client.call("pods.reward_tests", {"pod": name})["tests"]
        ]
    failed = sum(not one["passed"] for one in found)
    if json:
        output.as_json({"tests": found, "passed": len(found) - failed, "failed": failed})
    elif found:
        _show(found)
        output.line(f"{len(found) - failed} passed, {failed} failed.")
    else:
        output.line("There are no reward tests; they go under training: reward_tests.")
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _show(found: list[dict[str, Any]]) -> None:
    rows = [
        [
            one["pod"],
            one["action"],
            values.number(one["expected"], 8),
            "-" if one["got"] is None else values.number(one["got"], 8),
            output.paint("passed", "green") if one["passed"] else output.paint("FAILED", "red"),
            f"{one['file']}:{one['line']}" if one["line"] else one["file"],
        ]
        for one in found
    ]
    columns = ["POD", "ACTION", "EXPECTED", "GOT", "RESULT", "PLACE"]
    output.table(columns, rows, right=["EXPECTED", "GOT"])
    for one in found:
        if one["error"]:
            output.line(output.safe(f"{one['file']}:{one['line']}: {one['error']}"))
