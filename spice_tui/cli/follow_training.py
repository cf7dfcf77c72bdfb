"""Follow a training run: its episodes, the lines they stand between, and the policies it serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spice_engine.errors import EngineUnavailable
from spice_tui.cli import evaluation, output, progress, values
from spice_tui.cli.following import FollowingClient
from spice_tui.models.world import ACTIVE_TRAINING

REFERENCES = ("random", "best_constant", "oracle")


class EpisodeFollower:
    """Prints the episodes of one training run, each once, in order of arrival.

    `named` puts into lines the names of files that a person knows them by.
    """

    def __init__(
        self,
        client: FollowingClient,
        pod: str,
        number: int,
        shown: progress.Bar,
        *,
        quiet: bool,
        named: Callable[[str], str] = str,
    ) -> None:
        self._named = named
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
        while training["state"] in ACTIVE_TRAINING:
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
            self._shown.line(self._named(episode_line(episode)))
            self._shown.advance(len(self._printed), _standing(episode))

    def _print_references(self, detail: dict[str, Any]) -> None:
        found = [(name, detail[name]) for name in REFERENCES if detail.get(name) is not None]
        if found and not self._referenced:
            self._referenced = True
            text = ", ".join(f"{n.replace('_', ' ')} {values.number(v, 5)}" for n, v in found)
            self._shown.line(output.paint(f"For comparison: {text}", "dim"))

    def _note_served(self, training: dict[str, Any]) -> None:
        version = training.get("policy_version")
        if version is None or version == self._served or training["state"] not in ACTIVE_TRAINING:
            return
        self._served = version
        if not self._quiet:
            text = f"Policy v{version} serves; better ones are sought."
            self._shown.line(output.paint(text, "dim"))


def _standing(episode: dict[str, Any]) -> str:
    """What a bar says beside it."""
    if episode.get("error"):
        return ""
    closed = (episode.get("detail") or {}).get("regret_closed")
    score = f"score {values.number(episode['score'], 5)}"
    return score if closed is None else f"{score}, {evaluation.percent(closed)} of regret closed"


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
