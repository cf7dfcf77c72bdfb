"""`stats`: what the processes of a run use."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from spice_engine.errors import Conflict
from spice_tui.cli import output, values
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of
from spice_tui.cli.which_run import RunArgument, number_of

EVERY_SECONDS = 2.0
COLUMNS = ["CPU %", "MEM %", "MEM USAGE / TOTAL", "NETWORK I/O", "BLOCK I/O", "PROCESSES"]
GPU_COLUMNS = [
    "GPU NAME",
    "TEMPERATURE",
    "PERFORMANCE STATE",
    "PWR USAGE / LIMIT",
    "MEM USAGE / TOTAL",
    "MEM %",
    "GPU %",
]


def stats(
    ctx: typer.Context,
    run: RunArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Again every two seconds, to the run's end.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", hidden=True)] = False,
    json: Json = False,
) -> None:
    """Show what a run's processes use now: cores, memory, disks, GPUs."""
    with session_of(ctx).connect() as client:
        number = number_of(client, run)
        first = True
        while True:
            try:
                found = client.call("runs.stats", {"id": number})
            except Conflict:
                if first:
                    raise
                output.note(f"Run {number} is no longer running.")
                return
            _print(found, raw=raw, json=json)
            if not follow:
                return
            output.flush()
            first = False
            time.sleep(EVERY_SECONDS)


def _print(found: dict[str, Any], *, raw: bool, json: bool) -> None:
    if json:
        output.as_json(found)
        return
    row = _row(found)
    if raw:
        output.raw([row])
    else:
        output.table(COLUMNS, [row], right=["CPU %", "MEM %", "PROCESSES"])
    if found["gpus"]:
        rows = [_gpu_row(one) for one in found["gpus"]]
        if raw:
            output.raw(rows)
        else:
            output.table(GPU_COLUMNS, rows)


def _row(found: dict[str, Any]) -> list[str]:
    received, sent, read, written = (
        "-" if found[name] is None else values.size_text(found[name])
        for name in ("network_received", "network_sent", "block_read", "block_write")
    )
    memory, total = values.size_text(found["memory"]), values.size_text(found["memory_total"])
    return [
        f"{found['cpu_percent']:.1f}",
        f"{found['memory_percent']:.1f}",
        f"{memory} / {total}",
        f"{received} / {sent}",
        f"{read} / {written}",
        str(found["processes"]),
    ]


def _gpu_row(gpu: dict[str, Any]) -> list[str]:
    used, total = gpu["memory_used"], gpu["memory_total"]
    return [
        gpu["name"],
        f"{values.number(gpu['temperature'])} C",
        gpu["performance_state"] or "-",
        f"{values.number(gpu['power_draw'])} / {values.number(gpu['power_limit'])} W",
        f"{values.size_text(used)} / {values.size_text(total)}",
        f"{100 * used / total:.1f}" if total else "-",
        values.number(gpu["utilization"]),
    ]
