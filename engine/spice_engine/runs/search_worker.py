"""The child that computes for searches: the next point by Optuna, and what matters in a search.

It keeps nothing from call to call. A study is built anew from the trials that the engine stored,
and its random numbers go on from the state stored with the last point: so a search goes on as if
the engine had never been away.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spice_engine.errors import InvalidRequest
from spice_engine.runs.search_importance import importance_of
from spice_engine.workers.child import Report, serve

_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
_HEAD = struct.Struct("<id")
"""Of the state of a generator: its place among its numbers, and a number of a normal distribution
that it has ready (NaN: none)."""


def ask(params: dict[str, Any], _report: Report) -> dict[str, Any]:
    """The next point: `{"point", "state", "why"}`.

    `params` are `space` (see `Parameter.distribution`), `goal`, `seed`, `sampler` (options),
    `pruner` (name and options), `study` (a name), `state` (of the random numbers, None before the
    first point) and `trials`: each its state, value, point, and the step and value it was pruned
    at.

    Raises:
        InvalidRequest: Optuna is not there.
    """
    try:
        import optuna
    except ImportError:
        raise InvalidRequest(
            "a Bayesian search needs Optuna, which is not installed.",
            hint="Install spice-tui[search], or use `hyper random`.",
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = _distributions(params["space"])
    sampler = _sampler(params["seed"], params["sampler"])
    study = optuna.create_study(
        study_name=params["study"],
        sampler=sampler,
        pruner=_pruner(params["pruner"]),
        direction="minimize" if params["goal"] == "min" else "maximize",
    )
    for trial in params["trials"]:
        study.add_trial(_frozen(trial, space))
    if isinstance(study.pruner, optuna.pruners.HyperbandPruner):
        # The sampler learns from trials of the new one's bracket only, from the first report on.
        _begin_hyperband(study.pruner, study)
    if params["state"] is not None:
        _set_state(sampler, params["state"])
    asked = study.ask(space)
    found = asked.params
    point = [found[name] for name in space]
    return {"point": point, "state": _state(sampler), "why": _why(sampler, list(space))}


def _begin_hyperband(pruner: Any, study: Any) -> None:
    pruner._try_initialization(study)


def _distributions(space: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, Any] = {}
    for one in space:
        if "places" in one:
            found[one["name"]] = CategoricalDistribution(tuple(range(one["places"])))
        elif one["whole"]:
            found[one["name"]] = IntDistribution(one["low"], one["high"], log=one["log"])
        else:
            found[one["name"]] = FloatDistribution(one["low"], one["high"], log=one["log"])
    return found


def _frozen(trial: Sequence[Any], space: Mapping[str, Any]) -> Any:
    from optuna.trial import TrialState, create_trial

    state, value, point, last = trial
    return create_trial(
        state=TrialState[_STATES[state]],
        value=value if state in {"complete", "pruned"} else None,
        params=dict(zip(space, point, strict=True)),
        distributions=dict(space),
        intermediate_values={} if last is None else {last[0]: last[1]},
    )


def _pruner(asked: Sequence[Any]) -> Any:
    import optuna

    name, options = asked
    if name != "hyperband":
        return optuna.pruners.NopPruner()
    return optuna.pruners.HyperbandPruner(
        min_resource=options["min_steps"],
        max_resource=options["max_steps"],
        reduction_factor=options["reduction"],
    )


def _sampler(seed: int, options: Mapping[str, Any]) -> Any:
    import optuna

    class Telling(optuna.samplers.TPESampler):
        """Remembers the ratio of densities for which it chose a value."""

        def __init__(self, **named: Any) -> None:
            super().__init__(**named)
            self.ratios: dict[str, float] = {}

        def _compute_acquisition_func(self, samples: Any, mpe_below: Any, mpe_above: Any) -> Any:
            found = super()._compute_acquisition_func(samples, mpe_below, mpe_above)
            self.ratios[",".join(samples)] = float(np.max(found))
            return found

    return Telling(
        seed=seed,
        n_startup_trials=options["startup"],
        n_ei_candidates=options["candidates"],
        multivariate=options["multivariate"],
        constant_liar=options["constant_liar"],
    )


def _why(sampler: Any, names: Sequence[str]) -> dict[str, Any]:
    if not sampler.ratios:
        return {"by": "chance"}
    joint = ",".join(sorted(names))
    found = {",".join(sorted(key.split(","))): value for key, value in sampler.ratios.items()}
    return {
        "by": "tpe",
        "log_ratio": math.fsum(found.values()),
        **({} if joint in found and len(found) == 1 else {"log_ratios": dict(sampler.ratios)}),
    }


def _generators(sampler: Any) -> tuple[np.random.RandomState, np.random.RandomState]:
    return sampler._rng.rng, sampler._random_sampler._rng.rng


def _state(sampler: Any) -> bytes:
    parts: list[bytes] = []
    for generator in _generators(sampler):
        state: Any = generator.get_state()
        _, words, place, ready, number = state
        parts += [_HEAD.pack(place, number if ready else math.nan), words.astype("<u4").tobytes()]
    return b"".join(parts)


def _set_state(sampler: Any, state: bytes) -> None:
    size = _HEAD.size + 4 * 624
    for generator, begin in zip(_generators(sampler), (0, size), strict=True):
        place, number = _HEAD.unpack_from(state, begin)
        words = np.frombuffer(state, "<u4", 624, begin + _HEAD.size)
        ready = not math.isnan(number)
        generator.set_state(("MT19937", words, place, int(ready), number if ready else 0.0))


def importance(params: dict[str, Any], _report: Report) -> list[dict[str, Any]]:
    """What each parameter has to do with the values; see `importance_of`."""
    return [
        {"name": name, **importance_of(column, params["values"], ordered=ordered)}
        for name, ordered, column in params["columns"]
    ]


if __name__ == "__main__":
    serve({"ask": ask, "importance": importance})
