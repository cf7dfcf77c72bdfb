"""What a search was asked for, looked at, completed, and kept as it is stored."""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
from collections.abc import Mapping
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.runs import StartRun
from spice_engine.protocol.searches import SearchParameter, StartSearch
from spice_engine.protocol.servers import Dependencies
from spice_engine.records import record
from spice_engine.runs import pruning, search_space
from spice_engine.runs.search_space import Parameter

LONGEST_NAME = 150
METHODS = ("grid", "random", "bayesian")
AGGREGATES = ("last", "min", "max", "avg")
SCORES = ("holdout", "training")
MOST_TRIALS = 100_000
MOST_BAYESIAN = 10_000
"""Each point is computed from all before it."""

MOST_PARALLEL = 1000
SAMPLER_OPTIONS: Mapping[str, int | bool] = {
    "startup": 10,
    "candidates": 24,
    "multivariate": True,
    "constant_liar": True,
}
"""Of tpe: how many points come by chance first, how many candidates each later one is chosen
from, whether parameters are modelled together, and whether trials under way count as bad."""

_LARGER_IS_BETTER = re.compile(r"acc|reward|score", re.IGNORECASE)


@record
class Plan:
    """A search as it is carried out: what was asked for with nothing left open."""

    asked: StartSearch
    parameters: tuple[Parameter, ...]

    @property
    def source(self) -> str:
        """What a trial is: one of runs, pod, or code."""
        return "runs" if self.asked.run is not None else "pod" if self.asked.pod else "code"

    @property
    def trials(self) -> int:
        """How many there are; 0: as many as are asked for."""
        return self.asked.trials or 0

    @property
    def parallel(self) -> int:
        """How many go on at once, at most."""
        return self.asked.parallel or 1

    @property
    def seed(self) -> int:
        """Of its random numbers."""
        return self.asked.seed or 0

    def as_stored(self) -> dict[str, Any]:
        """Plain data, for `stored`."""
        return dataclasses.asdict(self.asked)


def stored(plain: Mapping[str, Any]) -> Plan:
    """The plan that was stored as plain data."""
    given = dict(plain)
    given["parameters"] = [SearchParameter(**one) for one in given["parameters"]]
    if given["run"] is not None:
        run = dict(given["run"])
        if run.get("dependencies") is not None:
            run["dependencies"] = Dependencies(**run["dependencies"])
        given["run"] = StartRun(**run)
    asked = StartSearch(**given)
    return Plan(asked, search_space.read(asked.parameters))


def complete(asked: StartSearch) -> Plan:
    """The plan of a search that is asked for.

    Raises:
        InvalidRequest: something of it cannot be.
    """
    if asked.method not in METHODS:
        raise InvalidRequest(
            f"there is no search {asked.method[:40]!r}.", hint="Use grid, random or bayesian."
        )
    if asked.run is not None and asked.pod:
        raise InvalidRequest("a search is over a command or over a pod, not over both.")
    if asked.aggregate not in AGGREGATES:
        raise InvalidRequest("aggregate: one of last, min, max, avg.")
    if asked.score not in SCORES:
        raise InvalidRequest("score: holdout or training.")
    parameters = search_space.read(asked.parameters)
    if asked.run is not None:
        _check_names(asked.run, parameters)
    pruner = pruning.check(asked.pruner, asked.pruner_options) if asked.pruner else {}
    if asked.pruner and not asked.metric and not asked.pod:
        raise InvalidRequest("a pruner needs a metric to judge by.", hint="--metric NAME")
    if asked.pruner_options and not asked.pruner:
        raise InvalidRequest("options of a pruner, and no pruner.", hint="--pruner median")
    return Plan(
        dataclasses.replace(
            asked,
            trials=_trials(asked, parameters),
            parallel=_parallel(asked),
            metric="score" if asked.pod else asked.metric,
            goal=_goal(asked),
            seed=_seed(asked),
            sampler=_sampler(asked),
            sampler_options=_sampler_options(asked),
            pruner_options=pruner,
        ),
        parameters,
    )


def _check_names(run: StartRun, parameters: tuple[Parameter, ...]) -> None:
    if run.params.keys() & {one.name for one in parameters}:
        raise InvalidRequest("a parameter is searched over and given a value.")


def _trials(asked: StartSearch, parameters: tuple[Parameter, ...]) -> int:
    most = MOST_BAYESIAN if asked.method == "bayesian" else MOST_TRIALS
    if asked.method == "grid":
        size = search_space.grid_size(parameters)
        if size > most:
            raise InvalidRequest(
                f"the grid has {size} points, more than {most}.",
                hint="`hyper random` takes as many of them as you say.",
            )
        if asked.trials is not None and asked.trials != size:
            raise InvalidRequest(f"the grid has {size} points, and all of them are tried.")
        return size
    if asked.trials is None:
        if asked.run is None and not asked.pod:
            return 0
        raise InvalidRequest("trials: how many?", hint="-n 20")
    if not 0 < asked.trials <= most:
        raise InvalidRequest(f"trials: 1 to {most}.")
    return asked.trials


def _parallel(asked: StartSearch) -> int:
    if asked.parallel is None:
        # A Bayesian search learns most from one trial at a time.
        return 1 if asked.method == "bayesian" or asked.pod else os.cpu_count() or 1
    if not 0 < asked.parallel <= MOST_PARALLEL:
        raise InvalidRequest(f"parallel: 1 to {MOST_PARALLEL}.")
    return asked.parallel


def _goal(asked: StartSearch) -> str:
    bayesian = asked.method == "bayesian"
    if bayesian and asked.run is not None and not asked.metric:
        raise InvalidRequest("a Bayesian search needs the metric it is for.", hint="--metric NAME")
    if asked.goal:
        if asked.goal not in {"min", "max"}:
            raise InvalidRequest("goal: min or max.")
        return asked.goal
    if asked.pod or _LARGER_IS_BETTER.search(asked.metric):
        return "max"
    if asked.metric or bayesian:
        what = repr(asked.metric) if asked.metric else "the value"
        raise InvalidRequest(f"is less or more of {what} better?", hint="--goal min or --goal max.")
    return "max"


def _seed(asked: StartSearch) -> int:
    if asked.seed is None:
        return secrets.randbits(32)
    if not 0 <= asked.seed < 2**32:
        raise InvalidRequest("seed: 0 to 2^32 - 1.")
    return asked.seed


def _sampler(asked: StartSearch) -> str:
    own = "tpe" if asked.method == "bayesian" else asked.method
    if asked.sampler and asked.sampler != own:
        raise InvalidRequest(f"a {asked.method} search has the sampler {own}.")
    return own


def _sampler_options(asked: StartSearch) -> dict[str, Any]:
    if asked.method != "bayesian":
        if asked.sampler_options:
            raise InvalidRequest(f"the sampler {asked.method} has no options.")
        return {}
    found = dict(SAMPLER_OPTIONS)
    for name, value in asked.sampler_options.items():
        if name not in found:
            raise InvalidRequest(
                f"the sampler tpe has no option {name[:40]!r}.", hint=f"It has {', '.join(found)}."
            )
        default = found[name]
        if isinstance(default, bool) != isinstance(value, bool) or not isinstance(value, int):
            kind = "true or false" if isinstance(default, bool) else "a whole number"
            raise InvalidRequest(f"the sampler's {name} must be {kind}, not {value!r:.40}.")
        if not isinstance(default, bool) and not 1 <= value <= 100_000:
            raise InvalidRequest(f"the sampler's {name} must be 1 to 100000.")
        found[name] = value
    return found


def check_texts(request: StartSearch) -> None:
    """Refuse a name, metric or description that cannot be.

    Raises:
        InvalidRequest: with the reason.
    """
    name = request.name
    if len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise InvalidRequest(
            f"{name[:40]!r} cannot name a search.",
            hint=f"Up to {LONGEST_NAME} printable characters, no spaces around them.",
        )
    if len(request.metric) > 200 or not request.metric.isprintable():
        raise InvalidRequest("metric: up to 200 printable characters.")
    if len(request.description) > 10_000 or not is_text(request.description):
        raise InvalidRequest("description: up to 10000 characters.")


def is_text(text: str) -> bool:
    """Whether it can be stored: JSON has half characters, which SQLite and frames have not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
