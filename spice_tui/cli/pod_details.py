"""`pods evaluate` and `pods feeds`: how well a pod does, and how its live data come in."""

from __future__ import annotations

import json as json_module
import time
from typing import Annotated, Any

import typer

from spice_engine.errors import NotFound, NotTrained
from spice_engine.units import format_duration
from spice_tui.cli import evaluation, judging, output, values
from spice_tui.cli.output import Json
from spice_tui.cli.pod_argument import PodArgument
from spice_tui.cli.session import session_of
from spice_tui.client import Client

FEED_COLORS = {"running": "green", "failing": "red", "invalid": "red", "starting": "blue"}
_SECOND = 1_000_000_000
FEED_COLUMNS = (
    "DATASPACE",
    "ROLE",
    "CONNECTOR",
    "STATE",
    "LAST OK",
    "ROWS",
    "BAD ROWS",
    "FAILURES",
)


def evaluate(
    ctx: typer.Context,
    pod: PodArgument,
    *,
    tag: Annotated[
        str,
        typer.Option(metavar="ALIAS", help="Policy: latest, best, or a version such as v3."),
    ] = "latest",
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            help="Two versions, tags or algorithms instead, by a paired test on the same steps.",
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="C", help="With --compare: a further one; repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Show how a pod's policy was evaluated: reference lines, actions, confidence, candidates."""
    if compare is not None:
        judging.compare(ctx, pod, (*compare, *(also or ())), json=json)
        return
    if also:
        raise typer.BadParameter("--also goes with --compare A B.", ctx=ctx)
    with session_of(ctx).connect() as client:
        found = client.call("pods.versions", {"pod": pod})
        version = _version(pod, tag, found)
        evaluated = _evaluation(client, pod, version["version"])
    if json:
        output.as_json({"pod": pod, "tag": tag, **version, "evaluation": evaluated})
        return
    output.line(
        f"{output.paint(output.safe(pod), 'bold')}, policy v{version['version']}, "
        f"made {values.ago(version['created'])}"
    )
    evaluation.show_whole(evaluated)


def _version(pod: str, tag: str, found: dict[str, Any]) -> dict[str, Any]:
    """The version that a tag names, `latest` being the one that serves.

    Raises:
        NotTrained: there is no version at all.
        NotFound: none has that tag.
    """
    versions: list[dict[str, Any]] = found["versions"]
    if not versions:
        raise NotTrained(f"pod {pod!r} has no policy yet.", hint=f"Train it: spice-tui train {pod}")
    for one in versions:
        serves = tag == "latest" and one["serving"]
        if serves or tag in {*one["aliases"], f"v{one['version']}", str(one["version"])}:
            return one
    best = [one for one in versions if tag == "best" and one["version"] == found["best"]]
    if best:
        return best[0]
    known = ", ".join(f"v{one['version']}" for one in versions)
    raise NotFound(f"pod {pod!r} has no version tagged {tag!r}.", hint=f"There are: {known}.")


def _evaluation(client: Client, pod: str, version: int) -> dict[str, Any]:
    """That of one version, as the store keeps it beside its policy.

    A training's own record tells only of the last version that it made.
    """
    quoted = pod.replace("'", "''")
    sql = f"SELECT evaluation FROM policies WHERE pod = '{quoted}' AND version = {version:d}"
    rows = client.call("store.query", {"sql": sql, "limit": 1})["rows"]
    found = json_module.loads(rows[0][0] or "{}") if rows else {}
    return found if isinstance(found, dict) else {}


def learns_on(continual: dict[str, Any] | None) -> str:
    """When a pod is trained again by itself, and what that waits for; empty where it is not."""
    if not continual:
        return ""
    when = [f"every {format_duration(continual['every'] * _SECOND)}"] if continual["every"] else []
    when += ["on drift"] if continual["drift"] else []
    fresh, needed = continual["fresh"], continual["needed"]
    text = f"{' and '.join(when)}; {fresh} of {needed} new rows"
    at = continual["next"]
    if at is None or at <= time.time():
        return text
    return f"{text}, not before {values.clock(at)}"


def feeds(ctx: typer.Context, pod: PodArgument, json: Json = False) -> None:
    """Show how the live feeds of a pod do: when data came last, and what failed."""
    with session_of(ctx).connect() as client:
        found = client.call("pods.feeds", {"pod": pod})["feeds"]
    if json:
        output.as_json(found)
    elif found:
        show_feeds(found)
    else:
        output.line(f"Pod {output.safe(pod)} has no live feeds.")


def show_feeds(found: list[dict[str, Any]]) -> None:
    """Print a line a feed, then the last error of each that has one."""
    rows = [
        [
            feed["dataspace"],
            feed["role"],
            feed["connector"],
            output.paint(feed["state"], FEED_COLORS.get(feed["state"], "bold")),
            "never" if feed["last_ok"] is None else values.ago(feed["last_ok"]),
            feed["rows"],
            feed["bad_rows"],
            feed["failures"],
        ]
        for feed in found
    ]
    output.table(FEED_COLUMNS, rows, right=["ROWS", "BAD ROWS", "FAILURES"])
    for feed in found:
        if feed["last_error"]:
            when = "" if feed["last_error_at"] is None else f" {values.ago(feed['last_error_at'])}"
            text = f"{feed['dataspace']} ({feed['connector']}){when}: {feed['last_error']}"
            output.line(output.safe(text))
