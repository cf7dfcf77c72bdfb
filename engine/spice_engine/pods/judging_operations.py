"""The operations that judge policies: one against another, and one as a whole."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.pods.judging import Judging
from spice_engine.protocol.judging import (
    ComparePolicies,
    Comparison,
    ExplainPolicy,
    PolicyExplanation,
)


@operation("pods.compare", http="POST /api/v1/pods/{pod}/compare")
async def compare(judging: Judging, request: ComparePolicies) -> Comparison:
    """Compare two policies of a pod on the same steps by a paired test."""
    return await judging.compare(request)


@operation("pods.explain", http="GET /api/v1/pods/{pod}/explanation")
async def explain(judging: Judging, request: ExplainPolicy) -> PolicyExplanation:
    """Explain a whole policy: which action it takes when, and what it looks at."""
    return await judging.explain(request)
