"""`jupyter`: workspaces, which are notebook servers that stay."""

from __future__ import annotations

import time
from typing import Annotated, Any, ClassVar

import typer

from spice_engine.errors import ChildFailed
from spice_tui.cli import completion, output, values
from spice_tui.cli.dependency_options import DEPENDENCIES
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.forwarding import forward
from spice_tui.cli.lazy import Entry, TableGroup
from spice_tui.cli.light import option
from spice_tui.cli.option_table import with_options
from spice_tui.cli.output import Json
from spice_tui.cli.run_options import asked_of, chosen_of, options, working_directory
from spice_tui.cli.session import session_of

COLUMNS = ("NAME", "STATE", "RUN", "ADDRESS OR REASON", "KERNELS", "IDLE", "FOLDER")
OVER = frozenset({"ready", "failed", "stopped"})
"""States in which nobody waits for a workspace any longer."""

NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The workspace.", autocompletion=completion.workspaces),
]


_NAMES = ("machine_type", "mount", "env", "cpu", "memory", "cwd", "description")


@with_options({**options(*_NAMES), **DEPENDENCIES})
def start(
    ctx: typer.Context,
    *,
    name: NameArgument,
    lab: Annotated[
        bool | None,
        typer.Option("--lab/--notebook", help="JupyterLab, or the plain notebook. Default: lab."),
    ] = None,
    idle_kernel_timeout: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="End a kernel that idles so long: 90s, 2h; bare: seconds; 0: never. "
            "Default: 1800.",
        ),
    ] = "",
    no_activity_timeout: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Stop it when it has no kernel and nobody used it for so long. Default: 1800.",
        ),
    ] = "",
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Listen on this one; default: a free one.")
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", "-b", help="Do not wait until it is ready.")
    ] = False,
    given: dict[str, Any],
    json: Json = False,
) -> None:
    """Make a workspace, or start one again with what it had, and print where it is open.

    JupyterLab runs in the folder itself, as a run of its own environment and mounts, and goes on
    until it is stopped or idles. It listens on this machine alone; over SSH, forward its port.
    """
    session = session_of(ctx)
    request: dict[str, Any] = {
        "name": name,
        "interface": None if lab is None else "lab" if lab else "notebook",
        "idle_kernel_timeout": _seconds(idle_kernel_timeout, "--idle-kernel-timeout"),
        "no_activity_timeout": _seconds(no_activity_timeout, "--no-activity-timeout"),
        "port": port,
        **asked_of(given),
    }
    with session.connect(FollowingClient, make=True) as client:
        client.subscribe("workspaces")
        known = [one["name"] for one in client.call("workspaces.list")["workspaces"]]
        if name not in known or given.get("cwd"):
            request["cwd"] = working_directory(session, given.get("cwd", ""))
        request |= chosen_of(client, given)
        asked = {key: value for key, value in request.items() if value is not None}
        info = client.call("workspaces.start", asked)
        output.note(f"Opening Jupyter workspace {name} (run {info['run']})…")
        if not background:
            info = _ready(client, name, info)
        if info["state"] == "failed":
            raise ChildFailed(
                f"workspace {name} did not start: {info['message']}",
                hint=f"Its log: spice-tui logs {info['run']}",
            )
        address = client.call("workspaces.address", {"name": name})
    url = f"{address['address']}?token={address['token']}"
    line = forward(address["port"])
    if json:
        output.as_json({**info, "url": url, "forward": line})
        return
    output.line(url)
    output.note(f"From another machine: {line}, then open the address there.")
    output.note(f"It goes on; stop it: spice-tui jupyter stop {name}")


def _ready(client: FollowingClient, name: str, info: dict[str, Any]) -> dict[str, Any]:
    """The workspace when it is ready or over; says what it waits for."""
    said = ""
    while info["state"] not in OVER:
        if info["message"] not in {"", said}:
            said = info["message"]
            output.note(said)
        client.next_event()
        info = client.call("workspaces.get", {"name": name})
    return info


def _seconds(text: str, flag: str) -> float | None:
    return option(text, _duration, flag) if text else None


def _duration(text: str) -> float:
    return values.duration(text, bare="s")


def list_workspaces(ctx: typer.Context, json: Json = False) -> None:
    """List the workspaces, where they are open, and how long nobody used them."""
    with session_of(ctx).connect() as client:
        found = client.call("workspaces.list")["workspaces"]
    if json:
        output.as_json(found)
        return
    output.table(COLUMNS, [_row(one) for one in found])


def _row(one: dict[str, Any]) -> list[object]:
    runs = one["state"] in {"ready", "silent", "starting"}
    idle = time.time() - one["last_activity"] if one["last_activity"] else None
    return [
        one["name"],
        one["state"],
        one["run"],
        one["address"] if runs else one["message"],
        one["kernels"] if runs else "",
        "" if idle is None else values.elapsed(max(0.0, idle)),
        one["cwd"],
    ]


def stop(ctx: typer.Context, name: NameArgument, json: Json = False) -> None:
    """Stop a workspace, with all its kernels; it can be started again."""
    with session_of(ctx).connect() as client:
        info = client.call("workspaces.stop", {"name": name})
    if json:
        output.as_json(info)
        return
    output.line(
        f"Stopping workspace {name} (run {info['run']}). Start it again: "
        f"spice-tui jupyter start {name}"
    )


def remove(ctx: typer.Context, name: NameArgument, json: Json = False) -> None:
    """Forget a workspace that does not run; its notebooks stay in the app folder."""
    with session_of(ctx).connect() as client:
        answer = client.call("workspaces.remove", {"name": name})
    if json:
        output.as_json(answer)
        return
    output.line(answer["message"])


class JupyterGroup(TableGroup):
    """`jupyter NAME` is `jupyter start NAME`, as in Spell."""

    table: ClassVar[dict[str, Entry]] = {
        "start": Entry("jupyter", "start", "Make a workspace, or start it again.", files=True),
        "list": Entry("jupyter", "list_workspaces", "List the workspaces."),
        "stop": Entry("jupyter", "stop", "Stop a workspace."),
        "rm": Entry("jupyter", "remove", "Forget a workspace that does not run."),
    }

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.table and args[0] not in {"-h", "--help"}:
            args = ["start", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=JupyterGroup,
    help="Workspaces: notebook servers that stay. `jupyter NAME` makes or starts one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _nothing() -> None:
    pass


# Without a callback, typer would take a group's only command for the group itself.
app.callback()(_nothing)
