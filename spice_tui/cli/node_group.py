"""`node-group` and `cluster`: this machine, and the named pools that servers' pods take from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_tui.cli import completion, output, values
from spice_tui.cli.groups import group
from spice_tui.cli.output import Json
from spice_tui.cli.pools import Kind, set_pool
from spice_tui.cli.session import session_of

COLUMNS = ("NAME", "CPU", "MEMORY", "GPUS", "CPU USED", "MEMORY USED", "GPUS USED", "PODS")

app = group("List and size the node groups of this machine.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The group.", autocompletion=completion.node_groups)
]
Cpu = Annotated[float | None, typer.Option("--cpu", metavar="CORES", help="Its cores.")]
Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Its memory: 512M, 2G.")]
Gpus = Annotated[int | None, typer.Option("--gpus", metavar="N", help="Its GPUs.")]


@app.command("list")
def list_groups(ctx: typer.Context, json: Json = False) -> None:
    """List the node groups, and what is taken of them."""
    with session_of(ctx).connect() as client:
        groups = client.call("node_groups.list")["groups"]
    if json:
        output.as_json(groups)
    else:
        show(groups)


def show(groups: list[dict[str, Any]]) -> None:
    """Print a line a group."""
    rows = [
        [
            one["name"],
            values.number(one["cpu"]),
            values.size_text(one["memory"]),
            one["gpus"],
            values.number(one["cpu_used"]),
            values.size_text(one["memory_used"]),
            one["gpus_used"],
            one["replicas"],
        ]
        for one in groups
    ]
    output.table(COLUMNS, rows, right=COLUMNS[1:])


KIND = Kind("node group", "node-group", "node_groups", "groups", show)


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new group.")],
    *,
    cpu: Cpu = None,
    memory: Memory = "",
    gpus: Gpus = None,
    json: Json = False,
) -> None:
    """Make a node group; what is not named is all this machine has."""
    sizes = {"cpu": cpu, "gpus": gpus}
    set_pool(ctx, KIND, name, memory, sizes, new=True, json=json)


@app.command()
def scale(
    ctx: typer.Context,
    name: Name,
    *,
    cpu: Cpu = None,
    memory: Memory = "",
    gpus: Gpus = None,
    json: Json = False,
) -> None:
    """Change the size of a node group; pods that run stay."""
    if cpu is None and not memory and gpus is None:
        raise typer.BadParameter("give --cpu, --memory or --gpus.", ctx=ctx)
    sizes = {"cpu": cpu, "gpus": gpus}
    set_pool(ctx, KIND, name, memory, sizes, new=False, json=json)


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    json: Json = False,
) -> None:
    """Remove a node group that no server uses."""
    with session_of(ctx).connect() as client:
        answer = client.call("node_groups.remove", {"name": name})
    if json:
        output.as_json(answer)
    else:
        output.line(f"Successfully removed node group {output.safe(name)}.")


def cluster(ctx: typer.Context, json: Json = False) -> None:
    """Show this machine, which is the cluster, its node groups and its machine types."""
    import platform

    from spice_tui.cli import machine_type

    with session_of(ctx).connect(make=True) as client:
        groups = client.call("node_groups.list")["groups"]
        types = client.call("machine_types.list")["machine_types"]
        servers = client.call("servers.list")["servers"]
    machine = {
        "name": platform.node() or "localhost",
        "provider": "local",
        "system": f"{platform.system()} {platform.machine()}",
        "servers": len(servers),
        "node_groups": groups,
        "machine_types": types,
    }
    if json:
        output.as_json(machine)
        return
    whole = next((one for one in groups if one["name"] == "default"), None)
    output.pairs(
        [
            ("Name", machine["name"]),
            ("Provider", "local"),
            ("System", machine["system"]),
            ("CPU", values.number(whole["cpu"]) if whole else ""),
            ("Memory", values.size_text(whole["memory"]) if whole else ""),
            ("GPUs", whole["gpus"] if whole else ""),
            ("Servers", str(len(servers))),
        ]
    )
    output.line()
    output.line("Node groups, for servers")
    show(groups)
    output.line()
    output.line("Machine types, for runs")
    machine_type.show(types)
