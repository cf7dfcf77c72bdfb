"""`pods`: the pods of the folder, and everything about one."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from spice_tui.cli import completion, evaluation, failures, output, values
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

PodArgument = Annotated[
    str, typer.Argument(metavar="POD", help="Name of the pod.", autocompletion=completion.pods)
]
STATE_COLORS = {"ready": "green", "training": "blue", "failed": "red", "untrained": "yellow"}
COLUMNS = ("NAME", "MANIFEST PATH", "EPISODES", "STATE", "POLICY", "REGRET CLOSED")

app = typer.Typer(
    help="List and show the pods of the folder.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def group() -> None:
    """List and show the pods of the folder."""


@app.command("list")
def list_pods(ctx: typer.Context, json: Json = False) -> None:
    """List the pods of the folder."""
    with session_of(ctx).connect() as client:
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
        found = client.call("pods.get", {"pod": pod})
        trainings = client.call("pods.trainings", {"pod": pod})["trainings"]
    if json:
        output.as_json({**found, "trainings": trainings})
        return
    version = found.get("policy_version")
    output.pairs(
        [
            ("Pod", found["name"]),
            ("Manifest", found["manifest"]),
            ("State", found["state"]),
            ("Actions", ", ".join(found["actions"])),
            ("Fields", ", ".join(found["fields"])),
            ("Episodes", found["episodes"]),
            ("Policy", f"v{version}" if version is not None else "none yet"),
            ("Training", found.get("training")),
        ]
    )
    for problem in found.get("problems", ()):
        output.line(output.safe(failures.problem_line(problem)))
    if found.get("evaluation"):
        output.line()
        evaluation.show(found["evaluation"])
    if trainings:
        output.line()
        output.table(
            ["TRAINING", "ALGORITHM", "STATE", "STARTED", "EPISODES", "LAST SCORE"],
            [_training(item) for item in trainings[-10:]],
            right=["EPISODES", "LAST SCORE"],
        )


def _training(training: dict[str, Any]) -> list[object]:
    episodes = training.get("episodes") or []
    return [
        f"{training['pod']}/{training['number']}",
        training["algorithm"],
        training["state"],
        values.ago(training["started"]),
        len(episodes),
        values.number(episodes[-1]["score"]) if episodes else "-",
    ]
