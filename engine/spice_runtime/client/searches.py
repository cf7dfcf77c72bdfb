"""Searches over parameters, as a script sees them."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from spice_runtime.client.door import Door
from spice_runtime.client.runs import Run, RunsService
from spice_runtime.client.specs import parameter

_SMALL_IS_GOOD = re.compile(r"loss|err|mse|mae|rmse|perplexity|time", re.IGNORECASE)


class HyperService:
    """`client.hyper`."""

    LINEAR = "linear"
    LOG = "log"
    REVERSE_LOG = "reverse_log"
    INT = "int"
    FLOAT = "float"

    def __init__(self, door: Door, runs: RunsService) -> None:
        self._door = door
        self._runs = runs

    def new_grid_search(self, params: Mapping[str, Any], **given: Any) -> HyperSearch:
        """A run for each combination of values. `given` are the arguments of `runs.new`."""
        return self._new("grid", params, given)

    def new_random_search(
        self, params: Mapping[str, Any], num_runs: int, **given: Any
    ) -> HyperSearch:
        """`num_runs` runs, each with values of its own."""
        return self._new("random", params, given, trials=num_runs)

    def new_bayesian_search(
        self,
        params: Mapping[str, Any],
        num_runs: int,
        parallel_runs: int,
        metric: str,
        metric_agg: str,
        **given: Any,
    ) -> HyperSearch:
        """`num_runs` runs that go where `metric` is good. `goal` is min or max; if it is not
        given, the least of a loss, error or time and the largest of anything else."""
        goal = given.pop("goal", None) or ("min" if _SMALL_IS_GOOD.search(metric) else "max")
        return self._new(
            "bayesian",
            params,
            given,
            trials=num_runs,
            parallel=parallel_runs,
            metric=metric,
            aggregate=metric_agg,
            goal=goal,
        )

    def _new(
        self, method: str, params: Mapping[str, Any], given: dict[str, Any], **more: Any
    ) -> HyperSearch:
        for name in ("seed", "pruner", "sampler", "parallel", "metric", "goal", "aggregate"):
            if name in given:
                more[name] = given.pop(name)
        request = {
            "method": method,
            "parameters": [parameter(name, spec) for name, spec in params.items()],
            "run": self._runs.template(given),
            "within": self._runs.workflow,
            **more,
        }
        return HyperSearch(self._door, self._door.create("searches", request))

    def get(self, id: int) -> HyperSearch:  # noqa: A002 - Spell's name
        """The search of that number."""
        return HyperSearch(self._door, self._door.get(f"searches/{int(id)}"))

    def list(self) -> Sequence[HyperSearch]:
        """All searches that are not archived."""
        return [HyperSearch(self._door, one) for one in self._door.get("searches")["searches"]]

    def archive(self, id: int) -> None:  # noqa: A002 - Spell's name
        """Take a search that is over out of the list."""
        self._door.change(f"searches/{int(id)}/archive")


class HyperSearch:
    """One search."""

    def __init__(self, door: Door, info: dict[str, Any]) -> None:
        self._door = door
        self._info = info

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._info:
            raise AttributeError(f"a search has no attribute {name!r}")
        return self._info[name]

    def __repr__(self) -> str:
        return f"HyperSearch(id={self._info['id']}, state={self._info['state']!r})"

    @property
    def status(self) -> str:
        """running, complete, stopped, killed or failed."""
        return self._info["state"]

    @property
    def runs(self) -> list[Run]:
        """Its runs: all of a grid or random search, once each is there, as scripts expect; of
        another those it has made so far."""
        pause = 0.02
        while True:
            trials = self._door.get(f"searches/{self._info['id']}/trials")["trials"]
            made = [one["run"] for one in trials if one["run"] is not None]
            if self._info["method"] == "bayesian" or len(made) >= self._info["trials"]:
                break
            self.refresh()
            if self._info["state"] != "running":
                break
            time.sleep(pause)
            pause = min(1.5 * pause, 0.5)
        return [Run(self._door, self._door.get(f"runs/{number}")) for number in made]

    def refresh(self) -> None:
        """Take in what it is now."""
        self._info = self._door.get(f"searches/{self._info['id']}")

    def stop(self) -> None:
        """End it; its runs keep what they made."""
        self._change("stop")

    def kill(self) -> None:
        """End it and its runs at once."""
        self._change("kill")

    def _change(self, how: str) -> None:
        self._info = self._door.changed(f"searches/{self._info['id']}", how)

    def metrics(self, metric_name: str) -> dict[int, Iterator[tuple[datetime, int, Any]]]:
        """The points of a metric, by the numbers of the runs."""
        return {run.id: run.metrics(metric_name) for run in self.runs}

    def metric_names(self) -> list[str]:
        """The names of all metrics that its runs sent."""
        names: dict[str, None] = {}
        for run in self.runs:
            for one in self._door.get(f"runs/{run.id}/metric-names")["series"]:
                names[one["name"]] = None
        return sorted(names)
