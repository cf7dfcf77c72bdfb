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
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_runtime import search_run
from spice_runtime.client.door import Door
from spice_runtime.client.errors import ClientException, ConflictRequest
from spice_runtime.client.here import engine_around

if TYPE_CHECKING:
    Spec = Mapping[str, Any]

_UNDER_WAY = ("asked", "running")


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
    parallel: int | None = None,
    door: Door | None = None,
) -> Search:
    """A search whose trials this script does.

    `params` are by name `choice`, `uniform`, `whole`, `log`, `reverse_log`, or a list of values.
    `method` is grid, random or bayesian; a grid has all of its points for `trials`, without
    `trials` there is no end; `parallel` only says how many are done at once. With `resume` a
    search of this `name` that is not over goes on: its trials that were asked for and not told
    come first.

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
            return Search(at, found[-1], resumed=True, parent=_run_around(door))
    request = {
        "method": method,
        "parameters": [{"name": one, **_spec(one, given)} for one, given in params.items()],
        "trials": trials,
        "parallel": parallel,
        "goal": goal,
        "metric": metric or ("value" if pruner else ""),
        "seed": seed,
        "name": name,
        "pruner": pruner,
        "pruner_options": dict(pruner_options or {}),
        "sampler_options": dict(sampler_options or {}),
        "description": description,
    }
    return Search(at, at.create("searches", request), parent=_run_around(door))


def _spec(name: str, given: Any) -> Spec:
    if isinstance(given, Mapping):
        return given
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"{name}: search over a list of values, or choice, uniform, whole, log.")
    return {"values": list(given)}


def get(number: int, *, door: Door | None = None) -> Search:
    """The search of that number.

    Raises:
        ClientException: the engine cannot be reached, or has none.
    """
    at = door or _door()
    return Search(at, at.get(f"searches/{number}"), parent=_run_around(door))


def current() -> Trial | None:
    """The trial that this run is; None in what is no trial of a search."""
    number, trial = os.environ.get("SPICE_SEARCH_ID", ""), os.environ.get("SPICE_TRIAL", "")
    if not number.isdecimal() or not trial.isdecimal():
        return None
    found = get(int(number))
    page = found.door.get(f"searches/{number}/trials", first=int(trial), count=1)["trials"]
    return Trial(found, page[0])


class Search:
    """One search. Iterating it asks for trials until there are none, also in several threads at
    once; leaving a `with` block ends it, unless an error does."""

    def __init__(
        self,
        door: Door,
        info: dict[str, Any],
        *,
        resumed: bool = False,
        parent: int | None = None,
    ) -> None:
        self.door = door
        self.number: int = info["id"]
        self.judges = bool(info["pruner"])
        self._parent = parent
        self._lock = threading.Lock()
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
        with self._lock:
            if self._left:
                return self._left.pop(0)
        request = {"key": uuid.uuid4().hex, "parent": self._parent}
        try:
            found = self.door.post(f"searches/{self.number}/ask", request, again=True)
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
        """What came out of a trial: its value, or the state failed or pruned. Of one that was
        ended meanwhile, as by `spice-tui stop`, nothing counts any more."""
        if state == "complete" and (value is None or not math.isfinite(value)):
            state, message = "failed", message or f"Its value is {value}."
        request: dict[str, Any] = {"state": state, "message": message}
        if state == "complete" and value is not None:
            request["value"] = float(value)  # NumPy's and torch's numbers, too
        self._tell(trial, request)

    def _tell(self, trial: Trial, request: dict[str, Any]) -> None:
        path = f"searches/{self.number}/trials"
        try:
            self.door.post(f"{path}/{trial.number}/tell", request, again=True)
        except ConflictRequest:
            (found,) = self.door.get(path, first=trial.number, count=1)["trials"]
            if found["state"] not in {"stopped", "killed"}:
                raise

    def each(self, work: Callable[[Trial], Any], *, parallel: int = 1) -> None:
        """Do every trial by `work`, so many at once, each in a thread. After an error no more are
        asked for, and it is raised when the others are through."""
        ends = threading.Event()

        def go_on() -> None:
            try:
                for trial in self:
                    work(trial)
                    if ends.is_set():
                        return
            except BaseException:
                ends.set()
                raise

        with ThreadPoolExecutor(parallel) as pool:
            try:
                for done in [pool.submit(go_on) for _ in range(parallel)]:
                    done.result()
            except BaseException:  # Control-C, too: the threads end after their trials
                ends.set()
                raise

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
        self.door.change(f"searches/{self.number}/stop")


class Trial:
    """One trial: do something with `params`, then `tell`."""

    def __init__(self, search: Search, info: Mapping[str, Any]) -> None:
        self.search = search
        self.number: int = info["number"]
        self.run_id: int | None = info["run"]
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
            self._prune = self._prune or self.search.judges
            return
        path = f"searches/{self.search.number}/trials/{self.number}/report"
        request = {"value": float(value), "step": int(step)}
        try:
            found = self.search.door.post(path, request, again=True)
        except ConflictRequest:
            self._prune = True  # the search is over
        else:
            self._prune = bool(found["prune"])

    def should_prune(self) -> bool:
        """Whether it is better ended, or was ended meanwhile, by the last report;
        `tell(state="pruned")` then."""
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
        of the metric; without a metric, that it succeeded. None of one that was pruned. `given` is
        more of what `POST /api/v1/runs` takes.

        Raises:
            SearchFailed: it failed, or reported nothing; that is told, too.
        """
        request = {
            **given,
            "command": command,
            "params": {**given.get("params", {}), **self.params},
            "parent": self.run_id,
        }
        run = search_run.followed(self, request, metric)
        if run["state"] == "stopped" and self.should_prune():
            self.tell(state="pruned")
            return None
        # At its timeout or a stop condition, or by a person: what it reported counts.
        stopped = run["state"] == "stopped" and bool(metric)
        if not stopped and (run["state"], run["outcome"]) != ("complete", "success"):
            raise self._failed(f"Run {run['id']}: {run['message'] or run['state']}")
        if not metric:
            self.search._tell(self, {"state": "complete"})  # pyright: ignore[reportPrivateUsage]
            return None
        value = search_run.value_of(self.search.door, run["id"], metric, aggregate)
        if value is None:
            raise self._failed(f"Run {run['id']} reported no number of the metric {metric!r}.")
        self.tell(value)
        return value

    def _failed(self, message: str) -> SearchFailed:
        self.tell(state="failed", message=message)
        return SearchFailed(message)


def _run_around(door: Door | None) -> int | None:
    """The run whose code this is; unknown to the engine behind a door that was given."""
    number = os.environ.get("SPICE_RUN_ID", "")
    inside = door is None and bool(os.environ.get("SPICE_URL"))
    return int(number) if inside and number.isdecimal() else None


def _door() -> Door:
    """The engine of this run, or of the folder around."""
    url, token = os.environ.get("SPICE_URL", ""), os.environ.get("SPICE_TOKEN", "")
    if url and token:
        return Door(url, token, os.environ.get("SPICE_STATE", ""))
    if (found := engine_around(Path.cwd())) is not None:
        return Door(*found)
    raise ClientException(
        "No engine was found: neither SPICE_URL and SPICE_TOKEN are set, nor is this a folder "
        "whose engine runs (spice-tui engine start)."
    )
