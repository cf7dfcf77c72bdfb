"""The learning algorithms that there are, by id, each with what it does in one sentence."""

from __future__ import annotations

from collections.abc import Mapping

from spice_engine.records import record


@record
class Algorithm:
    """An algorithm as manifests name it (`id`) and as it is shown to people."""

    id: str
    name: str
    summary: str


ALGORITHMS: Mapping[str, Algorithm] = {
    one.id: one
    for one in (
        Algorithm(
            "auto",
            "Best of several",
            "Tries the others one after another and keeps what does best on the folds.",
        ),
        Algorithm(
            "dql",
            "Deep Q-learning",
            "A neural network of the value of every action, learned by trying them.",
        ),
        Algorithm(
            "fqi",
            "Fitted Q iteration with trees",
            "Regression trees of the value of every action, readable as rules.",
        ),
        Algorithm(
            "linear",
            "Linear values",
            "The value of every action as a weighted sum of levels and differences.",
        ),
        Algorithm(
            "sacd",
            "Soft actor-critic, discrete",
            "Two neural networks value the actions, a third explores no more than pays.",
        ),
        Algorithm(
            "tabular",
            "Tabular Q-learning",
            "A table of values over bins of the few fields that tell most.",
        ),
        Algorithm(
            "vpg",
            "Vanilla policy gradient",
            "A neural network whose better actions become likelier, step by step.",
        ),
    )
}

NETWORKS = frozenset({"dql", "sacd", "vpg"})
"""Those that learn networks."""
