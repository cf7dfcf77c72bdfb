"""`machine-type`: named classes of machines that runs run on, and wait for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_tui.cli import completion, output, values
from spice_tui.cli.groups import group
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.pools import Kind, set_pool
from spice_tui.cli.session import session_of

COLUMNS = ("NAME", "CPU", "MEMORY", "GPUS", "MIN", "MAX", "IDLE-TIMEOUT", "IN-USE", "WAITING")
ANY = "any"

app = group("List and size the machine types that runs run on.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The type.", autocompletion=completion.machine_types)
]
Cpu = Annotated[float | None, typer.Option("--cpu", metavar="CORES", help="Cores of one machine.")]
Memory = Annotated[
    str, typer.Option("--memory", metavar="SIZE", help="Memory of one machine: 512M, 2G.")
]
Gpus = Annotated[int | None, typer.Option("--gpus", metavar="N", help="GPUs of one machine.")]
Most = Annotated[
    int | None,
    typer.Option("--max-machines", metavar="N", help="Machines, which is runs at once."),
]
Least = Annotated[
    int | None, typer.Option("--min-machines", metavar="N", help="Machines that are kept ready.")
]
Idle = Annotated[
    str,
    typer.Option(
        "--idle-timeout",
        metavar="TIME",
        help="How long others stay ready after a run: 90s, 2h; bare: minutes.",
    ),
]


@app.command("list")
def list_types(ctx: typer.Context, json: Json = False) -> None:
    """List the machine types, how many are in use, and how many runs wait."""
    with session_of(ctx).connect() as client:
        types = client.call("machine_types.list")["machine_types"]
    if json:
        output.as_json(types)
    else:
        show(types)


def show(types: list[dict[str, Any]]) -> None:
    """Print a line a type."""
    rows = [
        [
            one["name"],
            values.number(one["cpu"]),
            values.size_text(one["memory"]),
            one["gpus"],
            one["min_machines"],
            ANY if one["max_machines"] is None else one["max_machines"],
            values.elapsed(one["idle_seconds"]),
            one["in_use"],
            one["waiting"],
        ]
        for one in types
    ]
    output.table(COLUMNS, rows, right=COLUMNS[1:])


KIND = Kind("machine type", "machine-type", "machine_types", "machine_types", show, same=str.lower)


def chosen(client: Any, name: str) -> str:
    """The machine type that a name on the command line means, in any case of letters.

    Raises:
        typer.BadParameter: there is none of that name.
    """
    known = [one["name"] for one in client.call("machine_types.list")["machine_types"]]
    if name.lower() not in known:
        raise typer.BadParameter(
            f"invalid choice: {name}. (choose from {', '.join(known)})",
            param_hint="--machine-type",
        )
    return name.lower()


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new type.")],
    *,
    cpu: Cpu = None,
    memory: Memory = "",
    gpus: Gpus = None,
    max_machines: Most = None,
    min_machines: Least = None,
    idle_timeout: Idle = "",
    json: Json = False,
) -> None:
    """Make a machine type: one machine, with all cores and memory there are, and no GPU, unless
    it is told otherwise."""
    sizes = _sizes(cpu, gpus, max_machines, min_machines, idle_timeout)
    set_pool(ctx, KIND, name, memory, sizes, new=True, json=json)


@app.command()
def scale(
    ctx: typer.Context,
    name: Name,
    *,
    cpu: Cpu = None,
    memory: Memory = "",
    gpus: Gpus = None,
    max_machines: Most = None,
    min_machines: Least = None,
    idle_timeout: Idle = "",
    json: Json = False,
) -> None:
    """Change a machine type; runs that have a machine keep it as it was."""
    sizes = _sizes(cpu, gpus, max_machines, min_machines, idle_timeout)
    if not memory and not any(value is not None for value in sizes.values()):
        raise typer.BadParameter(
            "give --max-machines, --min-machines, --idle-timeout, --cpu, --memory or --gpus.",
            ctx=ctx,
        )
    set_pool(ctx, KIND, name, memory, sizes, new=False, json=json)


def _sizes(
    cpu: float | None, gpus: int | None, most: int | None, least: int | None, idle: str
) -> dict[str, Any]:
    return {
        "cpu": cpu,
        "gpus": gpus,
        "max_machines": most,
        "min_machines": least,
        "idle_seconds": option(idle, values.minutes, "--idle-timeout") if idle else None,
    }


@app.command()
def delete(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Remove a machine type that no run uses; a default one gets its first size again."""
    with session_of(ctx).connect() as client:
        answer = client.call("machine_types.remove", {"name": name})
    if json:
        output.as_json(answer)
    else:
        output.line(answer["message"])
