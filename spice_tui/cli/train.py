"""`train`: start a training run of a pod and follow it: a bar on a terminal, lines in a pipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from spice_engine.errors import Conflict, NotFound, revive
from spice_tui.cli import completion, evaluation, failures, output, progress
from spice_tui.cli.exit_codes import ExitCode, of_error
from spice_tui.cli.follow_training import EpisodeFollower
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.output import Json
from spice_tui.cli.session import expand, session_of

MANIFEST_SUFFIXES = frozenset({".yaml", ".yml"})


def train(
    ctx: typer.Context,
    pod: Annotated[
        str,
        typer.Argument(
            metavar="POD|FILE",
            help="Name of a pod, or a manifest, which is trained once.",
            autocompletion=completion.pods_and_manifests,
        ),
    ],
    *,
    learning_algorithm: Annotated[
        str, typer.Option(metavar="NAME", help="Instead of the manifest's.")
    ] = "",
    number_episodes: Annotated[
        int | None, typer.Option(metavar="N", help="Instead of the manifest's.")
    ] = None,
    loggers: Annotated[
        str,
        typer.Option(metavar="NAMES", help="On top of the manifest's, by commas: tensorboard."),
    ] = "",
    context: Annotated[
        str, typer.Option(metavar="NAME", help="Of the original: not needed, ignored.")
    ] = "",
    background: Annotated[
        bool, typer.Option("--background", "-b", help="Start it and leave.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="With FILE: let its code run, this once.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a pod now, and follow its episodes and how it was evaluated.

    A manifest's path trains it once: with the engine of its app folder where one runs, else with
    one that ends afterwards. A manifest outside of a spicepods folder leaves no policy behind.
    """
    if number_episodes is not None and number_episodes < 1:
        raise typer.BadParameter("must be 1 or more.", param_hint="--number-episodes")
    if context:
        output.note("--context is of the original; it changes nothing here.")
    request: dict[str, Any] = {
        "pod": pod,
        "algorithm": learning_algorithm,
        "episodes": number_episodes,
        "loggers": [word for part in loggers.split(",") if (word := part.strip())],
    }
    once = is_manifest(pod)
    if once and background:
        raise typer.BadParameter("goes with a pod's name only.", param_hint="--background")
    if trust and not once:
        raise typer.BadParameter("goes with a manifest's path only.", param_hint="--trust")
    if once:
        ended = train_file(pod, request, trust=trust, quiet=json)
    elif background:
        with session_of(ctx).connect() as client:
            _tell_started(client.call("pods.train", request), json=json)
        return
    else:
        with session_of(ctx).connect(FollowingClient) as client:
            ended = train_pod(client, request, quiet=json)
    if json:
        output.as_json(ended)
    else:
        tell_ended(ended)
        if once:
            output.note("Exiting after single training run.")
    if ended["state"] != "complete":
        raise typer.Exit(exit_code_of(ended))


def is_manifest(argument: str) -> bool:
    """Whether the argument is a manifest's path, and not the name of a pod.

    Raises:
        NotFound: it is the path of no file.
    """
    path = expand(argument)
    if path.suffix.lower() not in MANIFEST_SUFFIXES:
        return False
    if not path.is_file():
        raise NotFound(f"there is no file {argument!r}.")
    return True


def train_file(given: str, request: dict[str, Any], *, trust: bool, quiet: bool) -> dict[str, Any]:
    """Train a manifest once; the training as it ended.

    Raises:
        SpiceError: it cannot be trained.
    """
    from spice_tui.cli.train_once import engine_for

    with engine_for(given, expand(given).resolve(), trust=trust) as training:
        training.client.subscribe("trainings")
        training.client.subscribe("episodes")
        started = training.begin(request)
        ended = follow(
            training.client, started, quiet=quiet, ours=training.ours, named=training.named
        )
        for episode in ended["episodes"]:
            episode["error_message"] = training.named(episode["error_message"])
        return {**ended, "message": training.named(ended["message"])}


def train_pod(client: FollowingClient, request: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Train a pod and print how it goes; the training as it ended.

    One that is under way, because the pod was just saved or added, is followed instead, unless
    another one is asked for.

    Raises:
        SpiceError: it could not begin, or the engine went away.
    """
    client.subscribe("trainings")
    client.subscribe("episodes")
    try:
        started = client.call("pods.train", request)
    except Conflict:
        number = client.call("pods.get", {"pod": request["pod"]})["training"]
        asked = request["algorithm"] or request["loggers"] or request["episodes"] is not None
        if number is None or asked:
            raise
        output.note(f"Training {request['pod']}/{number} is under way already.")
        started = client.call("pods.training", {"pod": request["pod"], "number": number})
    return follow(client, started, quiet=quiet)


def follow(
    client: FollowingClient,
    started: dict[str, Any],
    *,
    quiet: bool,
    ours: bool = False,
    named: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Print a training run until it has ended; it as it ended. `ours`: so does the engine.

    Raises:
        SpiceError: the engine went away.
    """
    pod, number = started["pod"], int(started["number"])
    wanted = int(started.get("episodes_wanted") or 0)
    try:
        with progress.bar(f"Training {pod}/{number}", wanted, quiet=quiet) as shown:
            follower = EpisodeFollower(client, pod, number, shown, quiet=quiet, named=named)
            return follower.follow(started)
    except KeyboardInterrupt:
        what = "was broken off." if ours else f"goes on: spice-tui pods show {pod}"
        output.error_line(f"\nTraining {output.safe(pod)}/{number} {what}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def exit_code_of(training: dict[str, Any]) -> int:
    """That of the error which ended it; one no class is known for here is the learning's own."""
    if training["state"] != "failed":
        return ExitCode.FAILED
    error = revive({"code": training.get("error") or ""})
    code = of_error(error.code, error.exit_code)
    return ExitCode.INVALID_POD if code == ExitCode.FAILED else code


def _tell_started(training: dict[str, Any], *, json: bool) -> None:
    if json:
        output.as_json(training)
    else:
        output.line(f"Training {output.safe(training['pod'])}/{training['number']} started.")


def tell_ended(training: dict[str, Any]) -> None:
    name = f"{output.safe(training['pod'])}/{training['number']}"
    if training["state"] != "complete":
        reason = training.get("message") or training.get("error") or "no reason was given."
        failures.say(f"training {name} ended {training['state']}: {reason}")
        return
    version = training.get("policy_version")
    policy = f", policy v{version}" if version is not None else ""
    note = f" {training['message']}" if training.get("message") else ""
    output.line(output.safe(f"Training {name} complete{policy}.{note}"))
    if training.get("evaluation"):
        evaluation.show(training["evaluation"])
