"""`pods`: the pods of the folder, everything about one, its versions, and registries."""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import evaluation, failures, judging, loading, output, pod_details, values
from spice_tui.cli.groups import group
from spice_tui.cli.output import Json
from spice_tui.cli.pod_argument import PodArgument
from spice_tui.cli.session import expand, session_of

STATE_COLORS = {"ready": "green", "training": "blue", "failed": "red", "untrained": "yellow"}
COLUMNS = ("NAME", "MANIFEST PATH", "EPISODES", "STATE", "POLICY", "REGRET CLOSED")

app = group("List, show and publish the pods of the folder.")


@app.command("list")
def list_pods(ctx: typer.Context, json: Json = False) -> None:
    """List the pods of the folder."""
    with session_of(ctx).connect() as client:
        loading.await_all(client)
        pods = client.call("pods.list")["pods"]
    if json:
        output.as_json(pods)
    else:
        show_pods(pods)


def show_pods(pods: list[dict[str, Any]]) -> None:
    """Print a line a pod; REGRET CLOSED is held out: 100 % is the oracle, 0 % one action."""
    rows = [
        [
            pod["name"],
            pod["manifest"],
            pod["episodes"],
            output.paint(state_text(pod), STATE_COLORS.get(pod["state"], "bold")),
            "-" if pod.get("policy_version") is None else f"v{pod['policy_version']}",
            evaluation.percent(evaluation.regret_closed(pod.get("evaluation"))),
        ]
        for pod in sorted(pods, key=lambda pod: pod["name"])
    ]
    output.table(COLUMNS, rows, right=["EPISODES", "REGRET CLOSED"])


def state_text(pod: dict[str, Any]) -> str:
    """The state, with the number of errors where there are some."""
    counted = Counter(problem["severity"] for problem in pod.get("problems", ()))
    errors = counted.get("error", 0)
    plural = "s" if errors > 1 else ""
    return f"{pod['state']} ({errors} error{plural})" if errors else pod["state"]


@app.command()
def show(ctx: typer.Context, pod: PodArgument, json: Json = False) -> None:
    """Show one pod: data, actions, problems, and how well it does."""
    with session_of(ctx).connect() as client:
        loading.await_pod(client, pod, loading.GLANCE)
        found = client.call("pods.get", {"pod": pod})
        trainings = client.call("pods.trainings", {"pod": pod})["trainings"]
        feeds = client.call("pods.feeds", {"pod": pod})["feeds"]
    if json:
        output.as_json({**found, "trainings": trainings, "feeds": feeds})
        return
    version = found.get("policy_version")
    output.pairs(
        [
            ("Pod", found["name"]),
            ("Manifest", found["manifest"]),
            ("State", found["state"]),
            ("Problem", evaluation.problem_class(found.get("evaluation"))),
            ("Dataspaces", ", ".join(found["dataspaces"])),
            ("Actions", ", ".join(found["actions"])),
            ("Fields", ", ".join(found["fields"])),
            ("Episodes", found["episodes"]),
            ("Policy", f"v{version}" if version is not None else "none yet"),
            ("Training", found.get("training")),
            ("Learns on", pod_details.learns_on(found.get("continual"))),
            ("Last decision", (found.get("continual") or {}).get("decided")),
        ]
    )
    for problem in found.get("problems", ()):
        output.line(output.safe(failures.problem_line(problem)))
    if found.get("evaluation"):
        output.line()
        evaluation.show(found["evaluation"])
    if feeds:
        output.line()
        pod_details.show_feeds(feeds)
    if trainings:
        output.line()
        output.table(
            ["TRAINING", "ALGORITHM", "STATE", "STARTED", "EPISODES", "LAST SCORE"],
            [_training(item) for item in trainings[-10:]],
            right=["EPISODES", "LAST SCORE"],
        )


app.command()(pod_details.evaluate)
app.command()(judging.explain)
app.command()(pod_details.feeds)


@app.command()
def versions(ctx: typer.Context, pod: PodArgument, json: Json = False) -> None:
    """List the versions of a pod's policy, newest first."""
    with session_of(ctx).connect() as client:
        found = client.call("pods.versions", {"pod": pod})
    if json:
        output.as_json(found)
    else:
        _show_versions(found)


def _show_versions(found: dict[str, Any]) -> None:
    rows = [
        [
            ("*" if one["serving"] else "") + f"v{one['version']}",
            one["algorithm"],
            values.ago(one["created"]),
            "imported" if one["training"] is None else one["training"],
            evaluation.percent(one["held_out"]),
            ", ".join([*one["aliases"], *(["best"] if one["version"] == found["best"] else [])]),
        ]
        for one in found["versions"]
    ]
    columns = ["VERSION", "ALGORITHM", "CREATED", "TRAINING", "REGRET CLOSED", "ALIASES"]
    output.table(columns, rows, right=["REGRET CLOSED"])


@app.command()
def alias(
    ctx: typer.Context,
    pod: PodArgument,
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="The name; 'latest' serves it.")],
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="Such as v3, or another name it has.")
    ] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the name away.")] = False,
    json: Json = False,
) -> None:
    """Name a version of a pod's policy."""
    if remove == bool(version):
        raise InvalidRequest("give either a VERSION or --remove.")
    params = {"pod": pod, "alias": name}
    with session_of(ctx).connect() as client:
        if remove:
            found = client.call("pods.unalias", params)["aliases"]
        else:
            found = client.call("pods.alias", {**params, "version": version})["aliases"]
    if json:
        output.as_json(found)
        return
    for known, number in sorted(found.items()):
        output.line(f"{output.safe(known)} is v{number}")


@app.command()
def rollback(
    ctx: typer.Context,
    pod: PodArgument,
    version: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="Default: the one before.")
    ] = "",
    json: Json = False,
) -> None:
    """Serve an earlier version of a pod's policy, until it is trained again."""
    with session_of(ctx).connect() as client:
        found = client.call("pods.rollback", {"pod": pod, "version": version})
    if json:
        output.as_json(found)
    else:
        _show_versions(found)


@app.command()
def search(
    ctx: typer.Context,
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Words of its name or summary.")
    ] = "",
    json: Json = False,
) -> None:
    """Search the built-in packages and all registries."""
    with session_of(ctx).connect(make=True) as client:
        found = client.call("packages.search", {"text": text}, timeout=180.0)
    if json:
        output.as_json(found)
        return
    output.table(
        ["NAME", "VERSION", "REGISTRY", "SUMMARY"],
        [
            [one["name"], one["version"] or "-", one["registry"], one["summary"]]
            for one in found["packages"]
        ],
    )
    for failure in found["failures"]:
        output.error_line(output.safe(f"warning: {failure}"))


@app.command()
def publish(
    ctx: typer.Context,
    pod: PodArgument,
    registry: Annotated[str, typer.Argument(metavar="FOLDER", help="A registry's folder.")],
    name: Annotated[
        str, typer.Option("--name", metavar="[ORG/]POD", help="Default: the pod's name.")
    ] = "",
    version: Annotated[
        str, typer.Option("--version", metavar="TEXT", help="Default: the next whole number.")
    ] = "",
    summary: Annotated[
        str, typer.Option("--summary", metavar="TEXT", help="Default: the manifest's comment.")
    ] = "",
    json: Json = False,
) -> None:
    """Write a pod's package into a registry's folder; in a git work tree it is committed."""
    params = {
        "pod": pod,
        "registry": str(expand(registry).absolute()),
        "name": name,
        "version": version,
        "summary": summary,
    }
    with session_of(ctx).connect() as client:
        found = client.call("packages.publish", params, timeout=180.0)
    if json:
        output.as_json(found)
        return
    output.line(f"Published {output.safe(found['name'])} {found['version']}: {found['file']}")
    for file in found["files"]:
        output.line(f"  {output.safe(file)}")
    if found["commit"]:
        output.line(f"Committed as {found['commit'][:12]}; push it to let others have it.")


def _training(training: dict[str, Any]) -> list[object]:
    episodes = training.get("episodes") or []
    score = episodes[-1]["score"] if episodes else math.nan  # as where the episode gave none
    return [
        f"{training['pod']}/{training['number']}",
        training["algorithm"],
        training["state"],
        values.ago(training["started"]),
        len(episodes),
        "-" if math.isnan(score) else values.number(score),
    ]
