"""Search over parameters by code: ask for a trial, do it, tell what came out.

    from spice_runtime import search

    with search.create({"lr": search.log(1e-4, 1e-1)}, goal="min", trials=40) as found:
        for trial in found:
            trial.tell(train(**trial.params))
        print(found.best)

It works inside of runs and outside, in a folder whose engine runs. The engine keeps every point
and every value before it answers: a script that ends and comes back goes on (`resume=True`).
"""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_runtime.client.door import PATIENCE, Door
from spice_runtime.client.errors import ClientException, ConflictRequest, ServerError

if TYPE_CHECKING:
    Spec = Mapping[str, Any]

_UNDER_WAY = ("asked", "running")
_OVER = ("complete", "failed", "build_failed", "mount_failed", "interrupted", "killed", "stopped")
_LOOK_SECONDS = 0.2


class SearchFailed(ClientException):
    """A trial's run failed, or reported nothing of the metric."""


# -- what to search over


def choice(*values: Any) -> Spec:
    """One of these values."""
    return {"values": list(values)}


def uniform(low: float, high: float) -> Spec:
    """A number from low to high."""
    return {"low": low, "high": high}


def whole(low: int, high: int, *, scale: str = "linear") -> Spec:
    """A whole number from low to high."""
    return {"low": low, "high": high, "type": "int", "scale": scale}


def log(low: float, high: float) -> Spec:
    """A number from low to high, above 0, all of whose sizes are as likely."""
    return {"low": low, "high": high, "scale": "log"}


def reverse_log(low: float, high: float) -> Spec:
    """The mirror image of `log`: dense near high."""
    return {"low": low, "high": high, "scale": "reverse_log"}


# -- searches


def create(
    params: Mapping[str, Spec | Sequence[Any]],
    *,
    method: str = "bayesian",
    trials: int | None = None,
    goal: str = "",
    metric: str = "",
    seed: int | None = None,
    name: str = "",
    resume: bool = False,
    pruner: str = "",
    pruner_options: Mapping[str, Any] | None = None,
    sampler_options: Mapping[str, Any] | None = None,
    description: str = "",
    door: Door | None = None,
) -> Search:
    """A search whose trials this script does.

    `params` are by name `choice`, `uniform`, `whole`, `log`, `reverse_log`, or a list of values.
    `method` is grid, random or bayesian; a grid has all of its points for `trials`, without
    `trials` there is no end. With `resume` a search of this `name` that is not over goes on: its
    trials that were asked for and not told come first.

    Raises:
        ClientException: the engine cannot be reached, or refuses.
    """
    at = door or _door()
    if resume:
        if not name:
            raise ValueError("resume needs the name of a search.")
        found = [
            one
            for one in at.get("searches")["searches"]
            if (one["name"], one["source"], one["state"]) == (name, "code", "running")
        ]
        if found:
            return Search(at, found[-1], resumed=True)
    request = {
        "method": method,
        "parameters": [
            {"name": one, **(spec if isinstance(spec, Mapping) else {"values": list(spec)})}
            for one, spec in params.items()
        ],
        "trials": trials,
        "goal": goal,
        "metric": metric or ("value" if pruner else ""),
        "seed": seed,
        "name": name,
        "pruner": pruner,
        "pruner_options": dict(pruner_options or {}),
        "sampler_options": dict(sampler_options or {}),
        "description": description,
    }
    return Search(at, at.create("searches", request))


def get(number: int, *, door: Door | None = None) -> Search:
    """The search of that number.

    Raises:
        ClientException: the engine cannot be reached, or has none.
    """
    at = door or _door()
    return Search(at, at.get(f"searches/{number}"))


def current() -> Trial | None:
    """The trial that this run is; None in what is no trial of a search."""
    number, trial = os.environ.get("SPICE_SEARCH_ID", ""), os.environ.get("SPICE_TRIAL", "")
    if not number.isdecimal() or not trial.isdecimal():
        return None
    found = get(int(number))
    page = found.door.get(f"searches/{number}/trials", first=int(trial), count=1)["trials"]
    return Trial(found, page[0])


class Search:
    """One search. Iterating it asks for trials until there are none; leaving a `with` block ends
    it when an error does."""

    def __init__(self, door: Door, info: dict[str, Any], *, resumed: bool = False) -> None:
        self.door = door
        self.number: int = info["id"]
        self._left = self.unfinished() if resumed else []

    def __enter__(self) -> Search:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # After an error it stays as it is, and can be resumed.
        if kind is None and self.info()["state"] == "running":
            self.stop()

    def __iter__(self) -> Iterator[Trial]:
        while (trial := self.ask()) is not None:
            yield trial

    def __repr__(self) -> str:
        return f"Search({self.number})"

    def info(self) -> dict[str, Any]:
        """Everything about it but its trials."""
        return self.door.get(f"searches/{self.number}")

    def ask(self) -> Trial | None:
        """The next trial; None when there are no more."""
        if self._left:
            return self._left.pop(0)
        try:
            found = _insist(self.door, f"searches/{self.number}/ask", {"key": uuid.uuid4().hex})
        except ConflictRequest:
            info = self.info()
            if info["state"] == "running" and not 0 < info["trials"] <= sum(
                info["counts"].values()
            ):
                raise
            return None
        return Trial(self, found)

    def tell(
        self, trial: Trial, value: float | None = None, state: str = "complete", message: str = ""
    ) -> None:
        """What came out of a trial: its value, or the state failed or pruned."""
        if state == "complete" and (value is None or not math.isfinite(value)):
            state, message = "failed", message or f"Its value is {value}."
        request: dict[str, Any] = {"state": state, "message": message}
        if state == "complete" and value is not None:
            request["value"] = float(value)  # NumPy's and torch's numbers, too
        _insist(self.door, f"searches/{self.number}/trials/{trial.number}/tell", request)

    def trials(self) -> list[dict[str, Any]]:
        """All trials so far, as plain data."""
        found: list[dict[str, Any]] = []
        path = f"searches/{self.number}/trials"
        while page := self.door.get(path, first=len(found) + 1)["trials"]:
            found += page
        return found

    def unfinished(self) -> list[Trial]:
        """Trials that were asked for and not told."""
        return [Trial(self, one) for one in self.trials() if one["state"] in _UNDER_WAY]

    @property
    def best(self) -> dict[str, Any] | None:
        """The best trial so far: its number, params and value."""
        return self.info()["best"]

    def importance(self) -> list[dict[str, Any]]:
        """What each parameter has to do with the values, most important first."""
        return self.door.get(f"searches/{self.number}/importance")["parameters"]

    def stop(self) -> None:
        """End it; trials that were not told count for nothing."""
        _insist(self.door, f"searches/{self.number}/stop", {})


class Trial:
    """One trial: do something with `params`, then `tell`."""

    def __init__(self, search: Search, info: Mapping[str, Any]) -> None:
        self.search = search
        self.number: int = info["number"]
        self.params: dict[str, Any] = dict(info["params"])
        self.why: dict[str, Any] = dict(info["why"])
        self._prune = False

    def __repr__(self) -> str:
        return f"Trial({self.number}, {self.params})"

    def tell(self, value: float | None = None, state: str = "complete", message: str = "") -> None:
        """What came out; see `Search.tell`."""
        self.search.tell(self, value, state, message)

    def report(self, value: float, step: int) -> None:
        """A value on the way, which the search's pruner judges."""
        if not math.isfinite(value):
            self._prune = True
            return
        path = f"searches/{self.search.number}/trials/{self.number}/report"
        request = {"value": float(value), "step": int(step)}
        self._prune = bool(_insist(self.search.door, path, request)["prune"])

    def should_prune(self) -> bool:
        """Whether it is better ended, by the last report; `tell(state="pruned")` then."""
        return self._prune

    def run(
        self,
        command: str | Sequence[str],
        *,
        metric: str = "",
        aggregate: str = "last",
        **given: Any,
    ) -> float | None:
        """Have the engine run a command, each `:NAME:` in it filled in, and tell what it reported
        of the metric; without a metric, that it succeeded. `given` is more of what
        `POST /api/v1/runs` takes.

        Raises:
            SearchFailed: it failed, or reported nothing; that is told, too.
        """
        door = self.search.door
        request = {
            **given,
            "command": command,
            "kind": "trial",
            "made_by": f"search:{self.search.number}",
            "params": {**given.get("params", {}), **self.params},
        }
        run = door.create("runs", request)
        while run["state"] not in _OVER:
            time.sleep(_LOOK_SECONDS)
            run = door.get(f"runs/{run['id']}")
        done = (run["state"], run["outcome"]) == ("complete", "success")
        if done and not metric:
            path = f"searches/{self.search.number}/trials/{self.number}/tell"
            _insist(door, path, {"state": "complete"})
            return None
        value = None
        if done:
            series = door.get(f"runs/{run['id']}/metrics", name=metric, points=100_000)["series"]
            value = _aggregated(series[0]["values"] if series else [], aggregate)
        if value is None:
            message = f"Run {run['id']} ({run['state']}) reported no {metric or 'metric'}."
            self.tell(state="failed", message=message)
            raise SearchFailed(message)
        self.tell(value)
        return value


def _aggregated(values: Sequence[Any], how: str) -> float | None:
    numbers = [one for one in values if isinstance(one, (int, float)) and not math.isnan(one)]
    if not numbers:
        return None
    if how == "avg":
        return math.fsum(numbers) / len(numbers)
    return {"min": min, "max": max}[how](numbers) if how in {"min", "max"} else numbers[-1]


def _insist(door: Door, path: str, request: dict[str, Any]) -> Any:
    """A call that is the same when it is made twice: made again when its answer was lost."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return door.post(path, request)
        except ServerError as error:
            lost = error.response is None and error.exception is not None
            if not lost or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)


def _door() -> Door:
    """The engine of this run, or of the folder around."""
    url, token = os.environ.get("SPICE_URL", ""), os.environ.get("SPICE_TOKEN", "")
    if url and token:
        return Door(url, token, os.environ.get("SPICE_STATE", ""))
    here = Path.cwd()
    for folder in (here, *here.parents):
        state = folder / ".spice"
        try:
            url = (state / "http").read_text().strip()
            return Door(url, (state / "token").read_text().strip(), str(state))
        except OSError:
            continue
    raise ClientException(
        "No engine was found: neither SPICE_URL and SPICE_TOKEN are set, nor is this a folder "
        "whose engine runs (spice-tui engine start)."
    )
