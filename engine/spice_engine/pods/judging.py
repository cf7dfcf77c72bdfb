"""Judges policies on a pod's data: compares some of them, and explains one as a whole."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidRequest, NotFound, NotTrained
from spice_engine.events import Bus
from spice_engine.learning.catalog import ALGORITHMS
from spice_engine.pods.advisor import Advisor
from spice_engine.pods.live import Pod, Table
from spice_engine.pods.look_back import LookBack, table_of
from spice_engine.pods.model import Manifest
from spice_engine.pods.service import Pods
from spice_engine.protocol.judging import (
    ActionUse,
    ComparedPair,
    ComparedPolicy,
    ComparePolicies,
    Comparison,
    ComparisonProgress,
    ExplainPolicy,
    FieldWeight,
    PolicyExplanation,
    PolicyRule,
)

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy

TOPIC = "comparisons"
MAX_RULES = 1000
MAX_OTHERS = 4
_TEST = ("difference", "low", "high", "p", "block", "words")
_FIGURES = ("steps", "start", "end", *_TEST)


class Judging:
    """The service behind comparisons and explanations; `seconds` is how long one may take.

    The topic `comparisons` follows those that train.
    """

    def __init__(
        self, pods: Pods, advisor: Advisor, look_back: LookBack, bus: Bus, seconds: float
    ) -> None:
        self._pods = pods
        self._advisor = advisor
        self._look_back = look_back
        self._seconds = seconds
        self._number = 0
        self._going: dict[str, ComparisonProgress] = {}
        self._topic = bus.topic(TOPIC, "state", self._snapshot)

    def _snapshot(self) -> dict[str, Any]:
        return {key: dataclasses.asdict(one) for key, one in self._going.items()}

    async def compare(self, request: ComparePolicies) -> Comparison:
        """Paired tests of two or more policies on the same steps.

        Raises:
            NotFound: no such pod, version, alias or algorithm.
            NotTrained: it has no data, or no policy, yet.
            InvalidRequest: it learns by acting, without data, holds no data out, or there are
                too many others.
            InvalidPolicy: a version was made for other fields or actions.
        """
        if len(request.others) > MAX_OTHERS:
            raise InvalidRequest(f"others: {MAX_OTHERS} at most.")
        pod, table, manifest = self._of(request.pod)
        names = [request.first, request.second, *request.others]
        found = [await self._side(pod, manifest, name) for name in names]
        answer = await self._told(pod, table, manifest, names, [sent for _, sent in found])
        judged = (answer["first"], answer["second"], *answer["others"])
        sides = [_compared(told, one) for (told, _), one in zip(found, judged, strict=True)]
        better: int | None = answer["better"]
        return Comparison(
            pod=pod.name,
            first=sides[0],
            second=sides[1],
            others=sides[2:],
            better="" if better is None else sides[better].name,
            pairs=[_pair(one, sides) for one in answer["pairs"]],
            **{key: answer[key] for key in _FIGURES},
        )

    async def _told(
        self,
        pod: Pod,
        table: Table,
        manifest: Manifest,
        names: list[str],
        sides: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """The trainer's answer; meanwhile the topic tells how its trainings do."""
        self._number += 1
        key = str(self._number)
        going = ComparisonProgress(self._number, pod.name, names)

        def on_progress(data: dict[str, Any]) -> None:
            self._going[key] = dataclasses.replace(
                going, place=data["side"], episode=data["episode"], score=data["score"]
            )
            self._topic.set(key, self._going[key])

        try:
            return await self._look_back.comparison(
                pod, table, manifest, sides, self._seconds, on_progress
            )
        finally:
            if self._going.pop(key, None) is not None:
                self._topic.remove(key)

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


def _pair(found: dict[str, Any], sides: list[ComparedPolicy]) -> ComparedPair:
    places: tuple[int, int] = (found["first"], found["second"])
    names = [sides[place].name for place in places]
    better: int | None = found["better"]
    return ComparedPair(
        first=names[0],
        second=names[1],
        better="" if better is None else names[better],
        **{key: found[key] for key in _TEST},
    )
