"""`hyper list`, `describe`, `importance`, `wait`: what searches there are and how they go."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from spice_tui.cli import completion, output, values
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of
from spice_tui.client import Client

SearchArgument = Annotated[
    str,
    typer.Argument(
        metavar="SEARCH", help="Number of the search.", autocompletion=completion.searches
    ),
]


def number_of(text: str) -> int:
    """The search that `3` or `#3` names.

    Raises:
        ValueError: it names none.
    """
    digits = text.strip().removeprefix("#")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 18 or int(digits) == 0:
        raise ValueError(f"{text!r} is not the number of a search.")
    return int(digits)


def list_searches(
    ctx: typer.Context,
    archived: Annotated[bool, typer.Option("--archived", help="Those that are archived.")] = False,
    json: Json = False,
) -> None:
    """List the searches, oldest first."""
    with session_of(ctx).connect() as client:
        found = client.call("searches.list", {"archived": archived})["searches"]
    if json:
        output.as_json(found)
        return
    output.table(
        ["ID", "NAME", "TYPE", "# RUNS", "STATUS", "METRIC", "BEST", "CREATED AT"],
        [
            [
                one["id"],
                one["name"],
                one["method"],
                sum(one["counts"].values()),
                status_text(one),
                one["metric"],
                "" if one["best"] is None else values.number(one["best"]["value"], 6),
                values.ago(one["created"]),
            ]
            for one in found
        ],
        right=["ID", "# RUNS", "BEST"],
    )


def status_text(search: Mapping[str, Any]) -> str:
    """`Queued` while nothing of it runs yet, `Running`, `Finished` as the original said, or how
    else it ended."""
    if search["state"] == "running":
        begun = sum(count for state, count in search["counts"].items() if state != "asked")
        return "Running" if begun else "Queued"
    state = str(search["state"])
    return "Finished" if state == "complete" else state.capitalize()


def describe(ctx: typer.Context, search: SearchArgument, json: Json = False) -> None:
    """Show a search and its trials."""
    number = option(search, number_of, "SEARCH")
    with session_of(ctx).connect() as client:
        found = client.call("searches.get", {"id": number})
        trials = all_trials(client, number)
    if json:
        output.as_json({**found, "trial_list": trials})
    else:
        show(found, trials)


def all_trials(client: Client, number: int) -> list[dict[str, Any]]:
    """Every trial of a search."""
    found: list[dict[str, Any]] = []
    while page := client.call("searches.trials", {"id": number, "first": len(found) + 1})["trials"]:
        found += page
    return found


def show(search: Mapping[str, Any], trials: list[dict[str, Any]]) -> None:
    """Print a search and a line a trial."""
    ended = search["ended"] or time.time()
    goal = {"min": "least", "max": "most"}[search["goal"]]
    output.pairs(
        [
            ("ID", search["id"]),
            ("Name", search["name"]),
            ("Type", search["method"]),
            ("# Runs", f"{len(trials)} of {search['trials']}" if search["trials"] else len(trials)),
            ("Command", values.command_text(search["command"])),
            ("Pod", search["pod"]),
            ("Machine Type", search["machine_type"]),
            ("Status", status_text(search)),
            ("Message", search["message"]),
            ("Duration", values.elapsed(ended - search["created"])),
            ("Description", search["description"]),
            ("Metric", search["metric"] and f"{search['metric']}, {search['aggregate']}, {goal}"),
            ("Sampler", with_options(search, "sampler")),
            ("Pruner", with_options(search, "pruner")),
            ("Seed", search["seed"]),
            ("Parallel Runs", search["parallel"]),
            ("Best", best_text(search)),
        ]
    )
    names = [one["name"] for one in search["parameters"]]
    output.line()
    output.table(
        ["Trial", "Run ID", "Status", "Duration", *names, search["metric"] or "Value", "Chosen by"],
        [trial_row(trial, names) for trial in trials],
        right=["Trial", "Run ID"],
    )
    for trial in trials:
        if trial["state"] == "failed" and trial["message"]:
            output.line(f"Trial {trial['number']}: {output.safe(trial['message'])}")


def with_options(search: Mapping[str, Any], what: str) -> str:
    """`tpe (startup 10, candidates 24)`."""
    found = search[f"{what}_options"]
    told = ", ".join(f"{name} {values.number(value)}" for name, value in found.items())
    return f"{search[what]} ({told})" if told else search[what]


def best_text(search: Mapping[str, Any]) -> str:
    """The best trial in a line."""
    best = search["best"]
    if best is None:
        return ""
    params = ", ".join(f"{name}={text(value)}" for name, value in best["params"].items())
    return f"{values.number(best['value'], 8)} by trial {best['number']}: {params}"


def trial_row(trial: Mapping[str, Any], names: list[str]) -> list[object]:
    """A trial's line in the table."""
    ended = trial["ended"] or time.time()
    return [
        trial["number"],
        trial["run"] or "",
        trial["state"].capitalize(),
        values.elapsed(ended - trial["asked"]),
        *(text(trial["params"].get(name, "")) for name in names),
        "" if trial["value"] is None else values.number(trial["value"], 8),
        why_text(trial["why"]),
    ]


def text(value: Any) -> str:
    """A value of a parameter with all its digits."""
    if isinstance(value, str):
        return value
    return repr(value) if isinstance(value, float) else json_module.dumps(value)


def why_text(why: Mapping[str, Any]) -> str:
    """How a point was chosen; l/g is the ratio of densities, of good trials to others."""
    if why.get("by") != "tpe":
        return str(why.get("by", ""))
    import math

    ratio = float(why["log_ratio"])
    return f"tpe, l/g {values.number(math.exp(min(ratio, 700.0)))}"


def importance(ctx: typer.Context, search: SearchArgument, json: Json = False) -> None:
    """Show how much of the differences among the trials each parameter explains, by itself."""
    number = option(search, number_of, "SEARCH")
    with session_of(ctx).connect() as client:
        found = client.call("searches.importance", {"id": number})
    if json:
        output.as_json(found)
        return
    output.table(
        ["PARAMETER", "SHARE", "DIRECTION"],
        [
            [one["name"], f"{one['share']:.0%}", direction_text(one["direction"])]
            for one in found["parameters"]
        ],
        right=["SHARE"],
    )


def direction_text(direction: float | None) -> str:
    """Which way the value goes as the parameter grows."""
    if direction is None:
        return ""
    way = "up" if direction > 0 else "down"
    return "neither" if abs(direction) < 0.1 else f"{way} ({direction:+.2f})"


def wait(ctx: typer.Context, search: SearchArgument, json: Json = False) -> None:
    """Follow a search to its end: a line a trial; exit code 1 unless it is complete."""
    from spice_tui.cli.hyper_follow import SearchFollower, exit_code

    number = option(search, number_of, "SEARCH")
    found = SearchFollower(session_of(ctx), number, quiet=json).follow()
    if json:
        output.as_json(found)
    raise typer.Exit(exit_code(found))
