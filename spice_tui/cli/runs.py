"""`info`, `label`: what is known about one run."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.run_states import STAGES
from spice_tui.cli import output, values
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of
from spice_tui.cli.which_run import RunArgument, number_of
from spice_tui.client import Client

__all__ = ["RunArgument", "info", "label"]


def info(ctx: typer.Context, run: RunArgument, json: Json = False) -> None:
    """Show everything that is known about one run."""
    with session_of(ctx).connect() as client:
        number = number_of(client, run)
        found = client.call("runs.get", {"id": number})
        asked = _asked(client, number)
        ranks = client.call("runs.ranks", {"id": number}) if found.get("distributed") else {}
        environment = _environment(client, found) if found.get("environment") else ""
    if json:
        output.as_json(found)
        return
    started, ended = found.get("started"), found.get("ended")
    output.pairs(
        [
            ("Run", found["id"]),
            ("Name", found.get("name")),
            ("Kind", found.get("kind")),
            ("Project", found.get("project")),
            ("Status", values.status_text(found)),
            ("Outcome", found.get("outcome")),
            ("Machine Type", found.get("machine_type")),
            ("Message", found.get("message")),
            ("Command", values.command_text(found["command"])),
            ("Directory", found.get("cwd")),
            *_circumstances(found),
            ("Limits", _limits(asked)),
            ("Environment Vars", ", ".join(f"{key}={text}" for key, text in asked["env"].items())),
            ("Created", values.clock(found.get("created"))),
            ("Start Time", values.clock(started)),
            ("End Time", values.clock(ended)),
            ("Duration", values.elapsed(ended - started) if started and ended else ""),
            ("Stages", stages_text(found.get("stages", {}))),
            ("Labels", ", ".join(found.get("labels", []))),
            ("Description", found.get("description")),
            ("Mounts", "; ".join(map(_mount, found.get("mounts", [])))),
            ("From Runs", ", ".join(map(str, found.get("came_from", [])))),
            *_dependencies(found.get("dependencies") or {}),
            ("Environment", environment),
            ("Outputs", _outputs(found)),
            ("Ranks", found.get("distributed") or ""),
            *(_rank(one) for one in ranks.get("ranks", [])),
        ]
    )


def _rank(rank: dict[str, Any]) -> tuple[str, str]:
    running = f"running, process {rank['pid']}"
    state = running if rank["ended"] is None else rank["message"]
    lasted = (rank["ended"] or time.time()) - rank["started"]
    return f"Rank {rank['rank']}", f"{state}, {values.elapsed(lasted)}"


def _circumstances(run: dict[str, Any]) -> list[tuple[str, object]]:
    """What it was asked with beside its command, and how it came about."""
    params = run.get("params", {})
    attempts = run.get("retries") or 0
    after = ", ".join(map(str, run.get("after", [])))
    return [
        ("Hyperparameters", ", ".join(f"{name}={value}" for name, value in params.items())),
        ("Made By", run.get("made_by")),
        ("Parent", run.get("parent")),
        ("Priority", run.get("priority") or ""),
        ("After", f"{after} (all must succeed)" if after and run.get("after_ok") else after),
        ("Attempt", f"{run['attempt']} of {1 + attempts}" if attempts else ""),
        ("Auto-Resume", "yes" if run.get("auto_resume") else ""),
        ("Resumed From Run", run.get("resumed_from")),
        ("Resumed As Run", run.get("resumed_as")),
        ("Source", run.get("source")),
        ("Stop Conditions", "; ".join(run.get("stop_conditions", []))),
        ("TensorBoard", run.get("tensorboard")),
        ("Link", run.get("link")),
        ("Archived", values.clock(run.get("archived"))),
    ]


def _asked(client: Client, number: int) -> dict[str, Any]:
    """What a run was asked for with; nothing, where it cannot be asked for again."""
    try:
        return client.call("runs.asked", {"id": number})
    except InvalidRequest:
        return {"env": {}}


def _limits(asked: dict[str, Any]) -> str:
    parts = [
        f"{values.number(asked['cpu'])} cores" if asked.get("cpu") else "",
        f"{values.size_text(asked['memory'])} of memory" if asked.get("memory") else "",
        f"{values.number(asked['timeout'])} s of running" if asked.get("timeout") else "",
    ]
    return ", ".join(part for part in parts if part)


def _mount(text: str) -> str:
    resource, _, path = text.rpartition(":")
    return f"{resource} at {path}"


def stages_text(stages: dict[str, float]) -> str:
    """What each stage of a run took."""
    found = [(name, stages[name]) for name in STAGES if name in stages]
    return ", ".join(f"{name} {values.number(seconds, 3)} s" for name, seconds in found)


def _dependencies(needs: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("Python", needs.get("python")),
        ("Pip Packages", ", ".join(needs.get("pip", []))),
        ("Requirements", f"{len(needs.get('requirements', '').splitlines()) or ''}"),
        ("Conda Packages", ", ".join(needs.get("conda", []))),
        ("Conda Env File", f"{len(needs.get('conda_file', '').splitlines()) or ''}"),
        ("Apt Packages", ", ".join(needs.get("apt", []))),
        ("Image", needs.get("image")),
        ("Setup", "; ".join(needs.get("setup", []))),
        ("Lock", "of an environment as it was" if needs.get("lock") else ""),
    ]


def _environment(client: Client, run: dict[str, Any]) -> str:
    """The key of a run's environment, whether it was there, and what it took to make."""
    key = run["environment"]
    try:
        told = client.call("environments.show", {"name": str(run["id"])})
    except NotFound:  # an engine before this one noted nothing of it
        return key
    made = f"made in {values.number(told['seconds'], 3)} s" if told["seconds"] else "as it is"
    return f"{key}, {'from the cache, ' if told['cached'] and told['seconds'] else ''}{made}"


def _outputs(run: dict[str, Any]) -> str:
    if not run.get("output_files"):
        return ""
    files = run["output_files"]
    size = values.size_text(run["output_bytes"])
    return f"{values.counted(files, 'file')}, {size}: spice-tui ls runs/{run['id']}"


def label(
    ctx: typer.Context,
    run: RunArgument,
    name: Annotated[str, typer.Argument(help="The label.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take it away instead.")] = False,
    json: Json = False,
) -> None:
    """Add a label to a run, or remove it."""
    with session_of(ctx).connect() as client:
        number = number_of(client, run)
        change = {"id": number, "remove" if remove else "add": [name]}
        changed = client.call("runs.label", change)
    if json:
        output.as_json(changed)
        return
    word = "removed label {} from" if remove else "added label {} to"
    output.line(f"Successfully {word.format(output.safe(name))} run {number}.")
