"""Requests and answers about how good policies are, and why they do what they do."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from spice_engine.records import record


@record
class LearningAlgorithm:
    """An algorithm as manifests name it (`id`), its `name`, and what it does in a sentence."""

    id: str
    name: str
    summary: str


@record
class LearningAlgorithms:
    """All of them, by id."""

    algorithms: list[LearningAlgorithm]


@record
class ComparePolicies:
    """Compare policies of a pod on the same steps: versions, aliases, or algorithms.

    Algorithms are trained for it, which changes nothing, and judged on held-out data. `others`:
    further ones than the two, four at most.
    """

    pod: str
    first: str
    second: str
    others: list[str] = field(default_factory=list[str])


@record
class ComparedPolicy:
    """One of them: `kind` is version or algorithm, `unseen` whether the steps were new to it.

    `evaluation` has the figures and intervals on the steps that all were judged on.
    """

    name: str
    kind: str
    version: int | None
    algorithm: str
    unseen: bool
    evaluation: dict[str, Any]


@record
class ComparedPair:
    """A paired test: what the first gains over the second per step, from `low` to `high` at 95 %.

    `p` is how often chance alone would part two equal policies as far; where there are more pairs,
    it counts that. `better` names the one that is better beyond chance, empty: neither.
    """

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    block: float | None
    better: str
    words: str


@record
class Comparison:
    """Paired tests of every two; the figures of the first two stand here as well as in `pairs`.

    `better` names the one that is better than every other beyond chance, empty: none is. Steps lie
    between `start` and `end` (Unix seconds). `words` say it all in a sentence or two.
    """

    pod: str
    first: ComparedPolicy
    second: ComparedPolicy
    steps: int
    start: int
    end: int
    difference: float
    low: float | None
    high: float | None
    p: float | None
    block: float | None
    better: str
    words: str
    others: list[ComparedPolicy] = field(default_factory=list[ComparedPolicy])
    pairs: list[ComparedPair] = field(default_factory=list[ComparedPair])


@record
class ComparisonProgress:
    """A comparison that trains: an item of the state topic `comparisons`, by its number.

    `policies` as they were asked for; the one at `place` trains now, and has learned for so many
    episodes, to that score.
    """

    number: int
    pod: str
    policies: list[str]
    place: int = 0
    episode: int = 0
    score: float | None = None


@record
class ExplainPolicy:
    """Ask what a policy does and why, over all data of its pod; `rules`: so many at most."""

    pod: str
    alias: str = "latest"
    rules: int = 12


@record
class ActionUse:
    """How often an action is taken and what it pays then, on average.

    `typical` is the mean of the most important fields where it is taken.
    """

    action: str
    taken: int
    reward: float | None
    typical: dict[str, float | None] = field(default_factory=dict[str, "float | None"])


@record
class FieldWeight:
    """If a field tells of another time: what is `lost` per step, the share of choices `changed`."""

    field: str
    lost: float
    changed: float


@record
class PolicyRule:
    """Where all conditions hold, the action is taken: on so many steps, with that mean reward."""

    conditions: list[str]
    action: str
    steps: int
    reward: float


@record
class PolicyExplanation:
    """What a policy does and why. `kind` is that of its model.

    `lost_by` says what is lost of: `rewards`, or the policy's own `values`. `features` are mean
    sizes of contributions, largest first. Rules are those that apply most often of `rules_total`;
    `rules_exact`: they are the model itself, otherwise a small tree that does the same on a share
    `rules_agree` of the steps. `weights` of a linear policy: feature to action to weight.
    """

    pod: str
    policy_version: int
    algorithm: str
    kind: str
    steps: int
    actions: list[ActionUse]
    fields: list[FieldWeight]
    lost_by: str
    features: dict[str, float]
    rules: list[PolicyRule]
    rules_total: int
    rules_exact: bool
    rules_agree: float
    weights: dict[str, dict[str, float]] = field(default_factory=dict[str, "dict[str, float]"])
