"""`train`: start a training run of a pod and follow it: a bar on a terminal, lines in a pipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import EngineUnavailable, revive
from spice_tui.cli import completion, evaluation, failures, output, progress, values
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.output import Json
from spice_tui.cli.session import expand, session_of

MANIFEST_SUFFIXES = frozenset({".yaml", ".yml"})
ACTIVE = frozenset({"requested", "queued", "loading", "running", "training", "stopping"})
"""States of a training run that has not ended."""
REFERENCES = ("random", "best_constant", "oracle")


def train(
    ctx: typer.Context,
    pod: Annotated[
        str,
        typer.Argument(
            metavar="POD|FILE",
            help="Name of a pod, or a manifest, which is trained once.",
            autocompletion=completion.pods,
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
        str, typer.Option(metavar="NAMES", help="Of the original: there is none to start.")
    ] = "",
    context: Annotated[
        str, typer.Option(metavar="NAME", help="Of the original: not needed, ignored.")
    ] = "",
    background: Annotated[
        bool, typer.Option("--background", "-b", help="Start it and leave.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a pod now, and follow its episodes and how it was evaluated.

    A manifest's path trains it once: with the engine of its app folder where one runs, else with
    one that ends afterwards. A manifest outside of a spicepods folder leaves no policy behind.
    """
    if number_episodes is not None and number_episodes < 1:
        raise typer.BadParameter("must be 1 or more.", param_hint="--number-episodes")
    if loggers or context:
        output.note("--loggers and --context are those of the original; they change nothing here.")
    request = {"pod": pod, "algorithm": learning_algorithm, "episodes": number_episodes}
    if is_manifest(pod):
        if background:
            raise typer.BadParameter("goes with a pod's name only.", param_hint="--background")
        ended = train_file(Path(pod), request, quiet=json)
    else:
        session = session_of(ctx)
        if background:
            with session.connect() as client:
                _tell_started(client.call("pods.train", request), json=json)
            return
        with session.connect(FollowingClient) as client:
            ended = train_pod(client, request, quiet=json)
    if json:
        output.as_json(ended)
    else:
        tell_ended(ended)
        if is_manifest(pod):
            output.note("Exiting after single training run.")
    if ended["state"] != "complete":
        raise typer.Exit(exit_code_of(ended))


def is_manifest(argument: str) -> bool:
    """Whether the argument is a manifest's path, and not the name of a pod."""
    path = expand(argument)
    return path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file()


def train_file(path: Path, request: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Train a manifest once; the training as it ended.

    Raises:
        SpiceError: it cannot be trained.
    """
    from spice_tui.cli.train_once import engine_for, pod_of

    with engine_for(expand(str(path)).resolve()) as client:
        client.subscribe("trainings")
        client.subscribe("episodes")
        name, running = pod_of(client, path.name)
        request = {**request, "pod": name}
        plain = not request["algorithm"] and request["episodes"] is None
        if running is not None and plain:
            started = client.call("pods.training", {"pod": name, "number": running})
        else:
            started = client.call("pods.train", request)
        return follow(client, started, quiet=quiet)


def train_pod(client: FollowingClient, request: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Train a pod and print how it goes; the training as it ended.

    Raises:
        SpiceError: it could not begin, or the engine went away.
    """
    client.subscribe("trainings")
    client.subscribe("episodes")
    started = client.call("pods.train", request)
    return follow(client, started, quiet=quiet)


def follow(client: FollowingClient, started: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Print a training run until it has ended; it as it ended.

    Raises:
        SpiceError: the engine went away.
    """
    pod, number = started["pod"], int(started["number"])
    wanted = int(started.get("episodes_wanted") or 0)
    with progress.bar(f"Training {pod}/{number}", wanted, quiet=quiet) as shown:
        try:
            return EpisodeFollower(client, pod, number, shown, quiet=quiet).follow(started)
        except KeyboardInterrupt:
            output.error_line(f"\nTraining {pod}/{number} goes on: spice-tui pods show {pod}")
            raise typer.Exit(ExitCode.INTERRUPTED) from None


def exit_code_of(training: dict[str, Any]) -> int:
    """That of the error which ended it; one no class is known for here is the learning's own."""
    if training["state"] != "failed":
        return ExitCode.FAILED
    code = revive({"code": training.get("error") or ""}).exit_code
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


class EpisodeFollower:
    """Prints the episodes of one training run, each once, in order of arrival."""

    def __init__(
        self,
        client: FollowingClient,
        pod: str,
        number: int,
        shown: progress.Bar,
        *,
        quiet: bool,
    ) -> None:
        self._shown = shown
        self._served: int | None = None
        self._client = client
        self._pod = pod
        self._number = number
        self._quiet = quiet
        self._printed: set[int] = set()
        self._referenced = False

    def follow(self, training: dict[str, Any]) -> dict[str, Any]:
        """Print until the training run has ended; gives it as it ended, with all episodes.

        Raises:
            SpiceError: the engine went away.
        """
        key = f"{self._pod}/{self._number}"
        while training["state"] in ACTIVE:
            topic, event = self._next()
            data = event.data if isinstance(event.data, dict) else {}
            if topic == "episodes" and event.kind == "delta":
                self._print(row for row in data.get("rows", ()) if self._is_ours(row))
            elif topic == "trainings" and event.kind == "delta":
                training = data.get("set", {}).get(key, training)
                self._note_served(training)
            else:  # a snapshot or a gap: something may have been missed
                training = self._ask()
        return self._ask()

    def _next(self) -> Any:
        try:
            return self._client.next_event()
        except EngineUnavailable as error:
            raise EngineUnavailable(
                f"the engine went away during training {self._pod}/{self._number} "
                f"({error.message.rstrip('.')}).",
                hint=f"Look how it went: spice-tui pods show {self._pod}.",
            ) from error

    def _ask(self) -> dict[str, Any]:
        request = {"pod": self._pod, "number": self._number}
        training = self._client.call("pods.training", request)
        self._print(training.get("episodes") or ())
        return training

    def _is_ours(self, row: dict[str, Any]) -> bool:
        return row.get("pod") == self._pod and row.get("number") == self._number

    def _print(self, episodes: Any) -> None:
        for episode in episodes:
            if self._quiet or episode["episode"] in self._printed:
                continue
            self._printed.add(episode["episode"])
            self._print_references(episode.get("detail") or {})
            self._shown.line(episode_line(episode))
            self._shown.advance(len(self._printed))

    def _print_references(self, detail: dict[str, Any]) -> None:
        found = [(name, detail[name]) for name in REFERENCES if detail.get(name) is not None]
        if found and not self._referenced:
            self._referenced = True
            text = ", ".join(f"{n.replace('_', ' ')} {values.number(v, 5)}" for n, v in found)
            self._shown.line(output.paint(f"For comparison: {text}", "dim"))

    def _note_served(self, training: dict[str, Any]) -> None:
        version = training.get("policy_version")
        if version is None or version == self._served or training["state"] not in ACTIVE:
            return
        self._served = version
        if not self._quiet:
            text = f"Policy v{version} serves; better ones are sought."
            self._shown.line(output.paint(text, "dim"))


def episode_line(episode: dict[str, Any]) -> str:
    """`Episode 3  score 41.5  open 12, close 8`, or what went wrong in it."""
    start = f"Episode {episode['episode']}"
    candidate = (episode.get("detail") or {}).get("candidate")
    if candidate:
        start = f"{start} ({candidate})"
    if episode.get("error"):
        text = f"{episode['error']}: {episode.get('error_message', '')}"
        return output.paint(f"{start}  {text}", "red")
    counts = ", ".join(f"{name} {count}" for name, count in episode["actions_taken"].items())
    return output.safe(f"{start}  score {values.number(episode['score'], 5)}  {counts}").rstrip()
