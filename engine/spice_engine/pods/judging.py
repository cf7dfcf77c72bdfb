"""Judges policies on a pod's data: compares two of them, and explains one as a whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidRequest, NotFound, NotTrained
from spice_engine.learning.catalog import ALGORITHMS
from spice_engine.pods.advisor import Advisor
from spice_engine.pods.live import Pod, Table
from spice_engine.pods.look_back import LookBack, table_of
from spice_engine.pods.model import Manifest
from spice_engine.pods.service import Pods
from spice_engine.protocol.judging import (
    ActionUse,
    ComparedPolicy,
    ComparePolicies,
    Comparison,
    ExplainPolicy,
    FieldWeight,
    PolicyExplanation,
    PolicyRule,
)

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy

MAX_RULES = 1000
_FIGURES = ("steps", "start", "end", "difference", "low", "high", "p", "block", "words")


class Judging:
    """The service behind comparisons and explanations; `seconds` is how long one may take."""

    def __init__(self, pods: Pods, advisor: Advisor, look_back: LookBack, seconds: float) -> None:
        self._pods = pods
        self._advisor = advisor
        self._look_back = look_back
        self._seconds = seconds

    async def compare(self, request: ComparePolicies) -> Comparison:
        """A paired test of two policies on the same steps.

        Raises:
            NotFound: no such pod, version, alias or algorithm.
            NotTrained: it has no data, or no policy, yet.
            InvalidRequest: it learns by acting, without data, or holds no data out.
            InvalidPolicy: a version was made for other fields or actions.
        """
        pod, table, manifest = self._of(request.pod)
        found = [await self._side(pod, manifest, name) for name in (request.first, request.second)]
        answer = await self._look_back.comparison(
            pod, table, manifest, [sent for _, sent in found], self._seconds
        )
        first = _compared(found[0][0], answer["first"])
        second = _compared(found[1][0], answer["second"])
        better: int | None = answer["better"]
        return Comparison(
            pod=pod.name,
            first=first,
            second=second,
            better="" if better is None else (first, second)[better].name,
            **{key: answer[key] for key in _FIGURES},
        )

    async def explain(self, request: ExplainPolicy) -> PolicyExplanation:
        """What a policy does, and why, over all data of its pod.

        Raises:
            NotFound: no such pod or alias.
            NotTrained: it has no data, or no policy, yet.
            InvalidRequest: it learns by acting, without data, or `rules` is out of range.
            InvalidPolicy: the policy was made for other fields or actions.
        """
        if not 1 <= request.rules <= MAX_RULES:
            raise InvalidRequest(f"rules: a number from 1 to {MAX_RULES}.")
        pod, table, manifest = self._of(request.pod)
        policy, version = await self._policy(pod, request.alias)
        answer = await self._look_back.policy(pod, table, manifest, policy, request.rules)
        return PolicyExplanation(
            pod=pod.name,
            policy_version=version,
            algorithm=policy.algorithm,
            actions=[ActionUse(**one) for one in answer.pop("actions")],
            fields=[FieldWeight(**one) for one in answer.pop("fields")],
            rules=[PolicyRule(**one) for one in answer.pop("rules")],
            **answer,
        )

    def _of(self, name: str) -> tuple[Pod, Table, Manifest]:
        pod, manifest = self._pods.get(name), self._pods.manifest_of(name)
        if manifest.gym is not None:
            raise InvalidRequest(
                f"pod {name!r} acts in an environment: it has no data to judge policies on.",
                hint=f"How it does is shown by: spice-tui pods evaluate {name}",
            )
        return pod, table_of(pod), manifest

    async def _policy(self, pod: Pod, alias: str) -> tuple[Policy, int]:
        policy, version = await self._advisor.policy_called(pod.name, alias)
        if policy is None or version is None:
            raise NotTrained(
                f"pod {pod.name!r} has no policy yet.",
                hint=pod.first_error or f"Train it: spice-tui train {pod.name}",
            )
        return policy, version

    async def _side(
        self, pod: Pod, manifest: Manifest, name: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is told of one side, and what the trainer is sent; an alias goes first."""
        try:
            policy, version = await self._policy(pod, name)
        except NotFound as error:
            if name in ALGORITHMS:
                return _algorithm(name, manifest)
            known = ", ".join(ALGORITHMS)
            hint = f"{error.hint} Algorithms are: {known}."
            raise NotFound(
                f"pod {pod.name!r} has no version {name[:100]!r}, nor is that an algorithm.",
                hint=hint.strip(),
            ) from error
        shown = name if name == f"v{version}" else f"{name} (v{version})"
        told = {"name": shown, "kind": "version", "version": version, "algorithm": policy.algorithm}
        data = await asyncio.to_thread(policy.to_bytes)
        return told, {"name": shown, "policy": data}


def _algorithm(name: str, manifest: Manifest) -> tuple[dict[str, Any], dict[str, Any]]:
    training = manifest.training
    own = name == training.algorithm
    told = {"name": name, "kind": "algorithm", "version": None, "algorithm": name}
    return told, {
        "name": name,
        "algorithm": name,
        "hyperparameters": dict(training.hyperparameters) if own else {},
        "episodes": manifest.params.episodes,
    }


def _compared(told: dict[str, Any], evaluation: dict[str, Any]) -> ComparedPolicy:
    return ComparedPolicy(
        **told,
        unseen=evaluation["unseen"],
        evaluation={key: value for key, value in evaluation.items() if key != "unseen"},
    )
