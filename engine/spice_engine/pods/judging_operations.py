"""The operations that judge policies: one against another, and one as a whole."""

from __future__ import annotations

from spice_engine.learning.catalog import ALGORITHMS
from spice_engine.operations import operation
from spice_engine.pods.judging import Judging
from spice_engine.protocol.engine import Nothing
from spice_engine.protocol.judging import (
    ComparePolicies,
    Comparison,
    ExplainPolicy,
    LearningAlgorithm,
    LearningAlgorithms,
    PolicyExplanation,
)


@operation("pods.compare", http="POST /api/v1/pods/{pod}/compare")
async def compare(judging: Judging, request: ComparePolicies) -> Comparison:
    """Compare policies of a pod on the same steps by paired tests."""
    return await judging.compare(request)


@operation("pods.explain", http="GET /api/v1/pods/{pod}/explanation")
async def explain(judging: Judging, request: ExplainPolicy) -> PolicyExplanation:
    """Explain a whole policy: which action it takes when, and what it looks at."""
    return await judging.explain(request)


@operation("pods.algorithms", http="GET /api/v1/algorithms")
def algorithms(_: Judging, request: Nothing) -> LearningAlgorithms:
    """List the learning algorithms that there are."""
    return LearningAlgorithms(
        [LearningAlgorithm(one.id, one.name, one.summary) for one in ALGORITHMS.values()]
    )
