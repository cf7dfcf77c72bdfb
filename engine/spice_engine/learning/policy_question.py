"""A whole policy explained on a pod's data: which action is taken when, and what it looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.assignment import Assignment, check_fits
from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.importance import MAX_ROWS, feature_weights, field_weights
from spice_engine.learning.policy import Policy
from spice_engine.learning.rules import Rules, rules_of
from spice_engine.records import record

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

MOST_STEPS = 100_000
"""Of more steps evenly spaced ones (of a simulated pod, the first) are looked at."""
TOP_FIELDS = 3
MOST_FEATURES = 30


@record
class _Seen:
    """What the policy sees and does on N steps: features [N, D], choices and their rewards [N].

    `rewards` [N, A] of all actions are known where no action changes the state.
    """

    raw: Matrix
    chosen: NDArray[np.int64]
    taken: Matrix
    rewards: Matrix | None


def explain_policy(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `explain_policy`: a policy on all steps of the pod's data.

    `params` as for `train`, and `policy`, the bytes of its file; `rules`: how many at most.

    Returns `kind` (of the model), `steps`, `actions` (each with `action`, how often `taken`, mean
    `reward`, and `typical`: the mean of the most important fields where it is taken), `fields`
    (`field`, `lost` per step, share `changed`), `lost_by` (`rewards`, or the policy's own
    `values`), `features` (name to mean contribution), `rules` (`conditions`, `action`, `steps`,
    `reward`), `rules_total`, `rules_exact`, `rules_agree`, and `weights` of a linear policy
    (feature to action to weight of the standardised feature).

    Raises InvalidPolicy where the policy is of another shape, and what training raises.
    """
    assignment = Assignment(params)
    policy = Policy.from_bytes(params["policy"])
    check_fits(policy, params)
    look = _contextual if params.get("simulation") is None else _simulated
    seen = look(assignment, policy, report)
    stride = max(1, -(-len(seen.raw) // MAX_ROWS))
    few = seen.raw[::stride]
    every = policy.model.values(few) if seen.rewards is None else seen.rewards[::stride]
    fields = field_weights(
        policy.model,
        few,
        policy.layout,
        lambda choices: every[np.arange(len(few)), choices],
        params["seed"],
        report.check,
    )
    names = policy.feature_names
    features = feature_weights(policy.model, few, names, report.check)
    rules = rules_of(policy.model, seen.raw, seen.chosen, names)
    shown = [one.field for one in fields[:TOP_FIELDS]]
    return {
        "kind": policy.model.kind,
        "steps": len(seen.raw),
        "actions": _actions(policy, seen, shown),
        "fields": [
            {"field": one.field, "lost": one.lost, "changed": one.changed} for one in fields
        ],
        "lost_by": "values" if seen.rewards is None else "rewards",
        "features": dict(list(features.items())[:MOST_FEATURES]),
        "rules": _rules(policy, seen, rules)[: params["rules"]],
        "rules_total": len(rules.conditions),
        "rules_exact": rules.exact,
        "rules_agree": rules.agreement,
        "weights": _weights(policy),
    }


def _contextual(assignment: Assignment, policy: Policy, report: Report) -> _Seen:
    task = assignment.task(report.check, policy.levels)
    steps = task.split.every
    some = slice(None, None, max(1, -(-len(steps) // MOST_STEPS)))
    steps, rewards = steps[some], task.rewards[some]
    raw = policy.layout.raw(task.values, steps)
    chosen = choose(policy.model.values(raw))
    return _Seen(raw, chosen, rewards[np.arange(len(steps)), chosen], rewards)


def _simulated(assignment: Assignment, policy: Policy, report: Report) -> _Seen:
    """The policy's own episode: what it sees depends on what it did."""
    from spice_engine.learning.simulated_choosers import chooser
    from spice_engine.learning.simulated_steps import Stepper
    from spice_engine.learning.simulated_values import View
    from spice_engine.learning.simulator import Simulator

    world = assignment.simulated_task(report.check, policy.levels).world
    steps = assignment.split.every[:MOST_STEPS]
    view = View.of(policy.layout, world, steps)
    found = Stepper(Simulator(world, report.check)).act(steps, chooser(policy.model, view, steps))
    return _Seen(view.at(steps, found.local[:-1]), found.actions, found.rewards, None)


def _actions(policy: Policy, seen: _Seen, fields: list[str]) -> list[dict[str, Any]]:
    places = {field: policy.layout.position(field) for field in fields}
    found: list[dict[str, Any]] = []
    for index, action in enumerate(policy.actions):
        here = seen.chosen == index
        count = int(here.sum())
        found.append(
            {
                "action": action,
                "taken": count,
                "reward": float(seen.taken[here].mean()) if count else None,
                "typical": {
                    field: float(seen.raw[here, place].mean()) if count else None
                    for field, place in places.items()
                },
            }
        )
    return found


def _rules(policy: Policy, seen: _Seen, rules: Rules) -> list[dict[str, Any]]:
    """Those that apply most often first; without those that never do."""
    steps = np.bincount(rules.of, minlength=len(rules.conditions))
    sums = np.bincount(rules.of, seen.taken, len(rules.conditions))
    order: list[int] = np.argsort(-steps, kind="stable").tolist()
    return [
        {
            "conditions": list(rules.conditions[rule]),
            "action": policy.actions[rules.actions[rule]],
            "steps": int(steps[rule]),
            "reward": float(sums[rule] / steps[rule]),
        }
        for rule in order
        if steps[rule]
    ]


def _weights(policy: Policy) -> dict[str, dict[str, float]]:
    """Of a linear policy, the features whose weights part the actions most, first."""
    model = policy.model
    if not isinstance(model, LinearModel):
        return {}
    spread: Matrix = model.weights.max(axis=1) - model.weights.min(axis=1)
    order: list[int] = np.argsort(-spread, kind="stable")[:MOST_FEATURES].tolist()
    names = policy.feature_names
    found: dict[str, dict[str, float]] = {}
    for column in order:
        if spread[column] > 0:
            weights: list[float] = model.weights[column].tolist()
            found[names[column]] = dict(zip(policy.actions, weights, strict=True))
    return found
