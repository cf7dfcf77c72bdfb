"""`server list`, `describe` and `status`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from spice_tui.cli import output, server_follow, values
from spice_tui.cli.output import Json
from spice_tui.cli.server_arguments import ServerArgument
from spice_tui.cli.session import session_of

COLORS = {
    "running": "green",
    "ready": "green",
    "failed": "red",
    "failing": "red",
    "stopped": "yellow",
    "stopping": "yellow",
}


def list_servers(
    ctx: typer.Context,
    *,
    raw: Annotated[bool, typer.Option("--raw", hidden=True)] = False,
    json: Json = False,
) -> None:
    """List the servers."""
    with session_of(ctx).connect() as client:
        servers = client.call("servers.list")["servers"]
    if json:
        output.as_json(servers)
        return
    rows = [[one["name"], one["url"], pods(one), age(one)] for one in servers]
    if raw:
        output.raw(rows)
    elif not servers:
        output.line("There are no model servers to display.")
    else:
        output.table(["NAME", "URL", "PODS (READY/TOTAL)", "AGE"], rows)


def pods(server: dict[str, Any]) -> str:
    """`1/2` of a server that runs; else its state."""
    state = server["state"]
    text = f"{server['pods_ready']}/{server['pods_wanted']}" if state == "running" else state
    return output.paint(text, COLORS.get(state, "blue"))


def age(server: dict[str, Any]) -> str:
    """How long it runs as it is: since its last update."""
    if server["state"] != "running":
        return "--"
    return values.elapsed(time.time() - server["updated"])


def status(ctx: typer.Context, server: ServerArgument, json: Json = False) -> None:
    """List the pods of a server."""
    with session_of(ctx).connect() as client:
        info = client.call("servers.get", {"server": server})["info"]
    if json:
        output.as_json(info)
        return
    output.table(
        ["POD ID", "CREATED AT", "READY AT", "STATE", "VERSION", "RESTARTS"],
        [
            [
                pod["number"],
                values.clock(pod["created"]),
                values.clock(pod["ready"]) or "--",
                output.paint(pod["state"], COLORS.get(pod["state"], "blue")),
                pod["version"],
                pod["restarts"],
            ]
            for pod in info["replicas"]
        ],
        right=["VERSION", "RESTARTS"],
    )
    for pod in info["replicas"]:
        if pod["message"]:
            _show_lines(f"{pod['number']}: {pod['message']}")
    if info["message"]:
        _show_lines(info["message"])
    if info["rollout"] and info["rollout"]["state"] != "done":
        output.line(output.safe(rollout_text(info["rollout"])))


def _show_lines(text: str) -> None:
    for line in text.splitlines():
        output.line(output.safe(line))


def rollout_text(rollout: dict[str, Any]) -> str:
    """One rollout in a line."""
    before = rollout["from_version"]
    versions = f"version {before} → {rollout['to_version']}" if before else "first version"
    text = f"Rollout of {versions}: {rollout['state']}"
    if rollout["state"] == "running":
        text += f", {rollout['ready']} of {rollout['wanted']} pods ready"
    return f"{text}. {server_follow.parted(rollout['message'])[0]}".rstrip()


def describe(
    ctx: typer.Context,
    server: ServerArgument,
    *,
    token: Annotated[bool, typer.Option("--token", help="Show the token callers need.")] = False,
    json: Json = False,
) -> None:
    """Show everything about a server."""
    with session_of(ctx).connect() as client:
        found = client.call("servers.get", {"server": server})
    if not token:
        found["token"] = ""
    if json:
        output.as_json(found)
        return
    info, definition = found["info"], found["definition"]
    output.line("Server Info:")
    output.pairs([*_identity(info, definition, found), ("Token", found["token"])])
    output.line()
    output.line("Performance Info:")
    output.pairs(_performance(info, definition))
    _show_versions(found["versions"], info["version"])
    _show_decisions(found["decisions"])


def _identity(
    info: dict[str, Any], definition: dict[str, Any], found: dict[str, Any]
) -> list[tuple[str, object]]:
    needs = definition["dependencies"]
    now, since = info["version"], info["running_since"]
    mounts = (f"{path} at /mounts/{place}" for path, place in definition["mounts"].items())
    places = {pod["model_path"] for pod in info["replicas"] if pod["model_path"]}
    return [
        ("Server Name", info["name"]),
        ("Models", ", ".join(info["models"])),
        ("Status", info["state"]),
        ("Message", server_follow.parted(info["message"])[0]),
        ("Rollout", rollout_text(info["rollout"]) if info["rollout"] else ""),
        ("Type", info["type"]),
        ("Debug", "Yes" if definition["debug"] else "No"),
        ("Version", info["version"]),
        ("Code", next((v["code"][:12] for v in found["versions"] if v["number"] == now), "")),
        ("Entrypoint", info["entrypoint"]),
        ("Predictor Class", found["predictor"].get("class") or definition["classname"]),
        ("Description", definition["description"]),
        ("Date Created", values.clock(info["created"])),
        ("Time Running", values.elapsed(time.time() - since) if since else ""),
        ("URL", info["url"]),
        ("Node Group", definition["node_group"]),
        ("Mounts", ", ".join(mounts)),
        ("/model by", ", ".join(sorted(places))),
        ("Environment", found["environment"]),
        ("Environment Vars", ", ".join(definition["env"])),
        ("Python", needs["python"]),
        ("Pip", ", ".join(needs["pip"])),
        ("Requirements", f"{len(needs['requirements'].splitlines()) or ''}"),
        ("Setup", "; ".join(needs["setup"])),
        ("Auth", definition["door"]["auth"]),
        ("CORS", ", ".join(definition["door"]["cors"])),
    ]


def _performance(info: dict[str, Any], definition: dict[str, Any]) -> list[tuple[str, object]]:
    limits, scaling, batching = (definition[name] for name in ("limits", "scaling", "batching"))
    target = scaling["cpu_utilization"]
    return [
        ("Pods", f"{info['pods_ready']}/{info['pods_wanted']}"),
        ("Requests per Second", values.number(info["rate"])),
        ("Errors per Second", values.number(info["errors"])),
        ("Latency p50, p99", f"{_ms(info['p50'])}, {_ms(info['p99'])}"),
        ("CPU Request", limits["cpu_request"]),
        ("CPU Limit", limits["cpu_limit"]),
        ("Memory Request", _bytes(limits["memory_request"])),
        ("Memory Limit", _bytes(limits["memory_limit"])),
        ("GPU Limit", limits["gpus"] or ""),
        ("Min Pods", str(scaling["min_pods"])),
        ("Max Pods", scaling["max_pods"]),
        ("Target Pod CPU", f"{100 * target:.0f}%" if target else ""),
        ("Target Req per Second", scaling["requests_per_second"]),
        ("Target Queue", f"{scaling['queue_ms']:g}ms"),
        ("Number of Worker Processes", definition["num_processes"]),
        ("Threads", definition["threads"]),
        ("Batching Enabled", "Yes" if batching["enabled"] else "No"),
        ("Batch Timeout", f"{batching['wait_ms']:g}ms" if batching["enabled"] else ""),
        ("Max Batch Size", batching["max_size"] if batching["enabled"] else ""),
        ("Deadline", f"{definition['door']['deadline']:g} s"),
    ]


def _show_versions(versions: list[dict[str, Any]], now: int) -> None:
    rows = [
        [
            ("*" if one["number"] == now else "") + str(one["number"]),
            values.ago(one["created"]),
            one["state"],
            one["code"][:12],
            output.shorten(server_follow.parted(one["message"])[0], 60),
        ]
        for one in sorted(versions, key=lambda one: -one["number"])[:10]
    ]
    if rows:
        output.line()
        output.table(["VERSION", "CREATED", "STATE", "CODE", "MESSAGE"], rows)


def _show_decisions(decisions: list[dict[str, Any]]) -> None:
    rows = [
        [
            values.ago(one["time"]),
            f"{one['before']} → {one['after']}",
            one["reason"],
            ", ".join(f"{name} {values.number(value)}" for name, value in one["inputs"].items()),
        ]
        for one in sorted(decisions, key=lambda one: -one["time"])[:5]
    ]
    if rows:
        output.line()
        output.table(["SCALED", "PODS", "REASON", "INPUTS"], rows)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{values.number(value)} ms"


def _bytes(value: int | None) -> str:
    return "" if value is None else values.size_text(value)
