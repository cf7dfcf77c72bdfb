"""Requests and answers about searches over parameters."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from spice_engine.protocol.runs import StartRun
from spice_engine.records import record


@record
class SearchParameter:
    """What is searched over: the given `values`, or the range from `low` to `high`.

    `scale` is linear, log or reverse_log (dense near `high`); `type` is float or int.
    """

    name: str
    values: list[Any] | None = None
    low: float | None = None
    high: float | None = None
    scale: str = "linear"
    type: str = "float"


@record
class StartSearch:
    """Start a search. `method` is grid, random or bayesian.

    With `run` each trial is a run of that command, in which every `:NAME:` is the value of the
    parameter; with `pod` it is a training of that pod with those hyperparameters; with neither
    whoever asks for trials does them and tells what came out.

    `trials` is how many there are (of a grid: all of its points), `parallel` how many at once.
    The points of `metric` that a trial reports make its value by `aggregate` (last, min, max,
    avg), and `goal` (min or max) says which is best. A trial that gets on badly is ended early by
    `pruner` (median, halving or hyperband). The same `seed` gives the same points. `sampler` of a
    Bayesian search is tpe; options of both are numbers or truths by name. `score` of a pod's
    training is holdout or training. What a workflow begins is `within` that, and ends with it. Of
    all requests with the same `request_key` the first begins a search.
    """

    method: str
    parameters: list[SearchParameter]
    run: StartRun | None = None
    pod: str = ""
    score: str = "holdout"
    trials: int | None = None
    parallel: int | None = None
    metric: str = ""
    goal: str = ""
    aggregate: str = "last"
    seed: int | None = None
    sampler: str = ""
    sampler_options: dict[str, Any] = field(default_factory=dict[str, Any])
    pruner: str = ""
    pruner_options: dict[str, Any] = field(default_factory=dict[str, Any])
    name: str = ""
    description: str = ""
    request_key: str = ""
    within: int | None = None


@record
class TrialInfo:
    """One trial; times are Unix seconds.

    Its state is asked (the run is not there yet), running, complete, pruned, failed, stopped or
    killed. `why` tells how its point was chosen, `run` is the run it is. That of a trial which code
    does, or which is a training of a pod, has no command and no process.
    """

    search: int
    number: int
    state: str
    params: dict[str, Any]
    value: float | None
    run: int | None
    asked: float
    ended: float | None
    message: str = ""
    attempt: int = 1
    why: dict[str, Any] = field(default_factory=dict[str, Any])


@record
class SearchInfo:
    """One search; times are Unix seconds.

    Its state is running, stopping, killing, complete, stopped, killed or failed. `command` and
    `machine_type` are those of its runs, `counts` tells how many trials are in each state, and
    `best` is the trial with the best value.
    """

    id: int
    method: str
    source: str
    name: str
    description: str
    state: str
    message: str
    created: float
    ended: float | None
    archived: float | None
    parameters: list[SearchParameter]
    command: list[str]
    machine_type: str
    pod: str
    score: str
    trials: int
    parallel: int
    metric: str
    goal: str
    aggregate: str
    seed: int
    sampler: str
    sampler_options: dict[str, Any]
    pruner: str
    pruner_options: dict[str, Any]
    counts: dict[str, int]
    best: TrialInfo | None
    run: StartRun | None = None


@record
class SearchId:
    """One search, by its number."""

    id: int


@record
class ListSearches:
    """All searches that are not archived, or those that are."""

    archived: bool = False


@record
class SearchList:
    """Searches, oldest first."""

    searches: list[SearchInfo]


@record
class ListTrials:
    """The trials of a search from number `first` on, at most `count`."""

    id: int
    first: int = 1
    count: int = 10_000


@record
class TrialList:
    """Trials in the order of their numbers."""

    trials: list[TrialInfo]


@record
class TrialNumber:
    """One trial of a search."""

    id: int
    trial: int


@record
class AskTrial:
    """Ask for the next trial of a search; the same `key` gets the same trial again. `parent` is the
    run whose code asks."""

    id: int
    key: str = ""
    parent: int | None = None


@record
class TellTrial:
    """Tell what came out of a trial: its `value`, or the `state` failed or pruned."""

    id: int
    trial: int
    value: float | None = None
    state: str = "complete"
    message: str = ""


@record
class ReportTrial:
    """Report a value of a trial that is under way."""

    id: int
    trial: int
    value: float
    step: int


@record
class Reported:
    """Whether the trial gets on so badly that it is better ended."""

    prune: bool


@record
class Importance:
    """What a parameter has to do with the values.

    `share` is the part of their variance that it explains alone, from 0 to 1; `direction` is the
    rank correlation, from -1 to 1, None of values without an order.
    """

    name: str
    share: float
    direction: float | None


@record
class ImportanceList:
    """The parameters of a search, most important first, from `trials` trials."""

    parameters: list[Importance]
    trials: int
