"""Single steps of a pod: both states, and what every action gets by which line of code."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidManifest, InvalidRequest, SpiceError
from spice_engine.learning.levels import Level
from spice_engine.pods import plan
from spice_engine.pods.advisor import Advisor
from spice_engine.pods.live import Pod, Table
from spice_engine.pods.look_back import Episode, LookBack, cut_of, rows_of, table_of
from spice_engine.pods.manifests import read_manifest
from spice_engine.pods.model import Manifest
from spice_engine.pods.service import Pods
from spice_engine.pods.training import LATEST
from spice_engine.protocol.views import GetStep, Step, StepReward

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy

log = logging.getLogger(__name__)


class Steps:
    """The service behind single steps."""

    def __init__(self, pods: Pods, advisor: Advisor, look_back: LookBack) -> None:
        self._pods = pods
        self._advisor = advisor
        self._look_back = look_back

    async def step(self, request: GetStep) -> Step:
        """One step: both states, and what every action gets by which line of code.

        Raises:
            NotFound: no such pod.
            NotTrained: it has no data yet.
            InvalidRequest: there is no such step.
            InvalidManifest: `text` is no manifest that could judge it.
            NeedsTrust: the rewards are code of a file, and the folder is not trusted.
            InvalidRewards: they cannot be used at all.
        """
        pod = self._pods.get(request.pod)
        manifest = self._pods.manifest_of(request.pod)
        if request.text is not None:
            file = str(pod.path.relative_to(self._pods.location.root))
            manifest = await asyncio.to_thread(_unsaved, request.text, file, manifest)
        table = table_of(pod)
        try:
            return await self._step(pod, table, manifest, request)
        except SpiceError:
            if pod.table is table or pod.table is None:
                raise
        # The data were read anew meanwhile, and the old ones are gone.
        return await self._step(pod, pod.table, manifest, request)

    async def _step(self, pod: Pod, table: Table, manifest: Manifest, request: GetStep) -> Step:
        row = _row_of(table, request)
        policy, version = await self._advisor.policy_called(pod.name, LATEST)
        if policy is not None and not table.fits(policy):
            policy = None
        episode = None
        if policy is not None and version is not None and manifest.simulated:
            saved = self._pods.manifest_of(pod.name)
            episode = await self._episode_or_none(pod, table, saved, policy, version)
        at = None if episode is None else row - episode.first
        if episode is None or at is None or not 0 <= at < len(episode.actions):
            episode = at = None
        local = None if episode is None or at is None else episode.local[at].tolist()
        level: Level | None = None
        if policy is not None and episode is not None and at is not None:
            level = policy.level(int(episode.actions[at]))
        elif policy is not None and not manifest.simulated and row >= policy.span - 1:
            level = await asyncio.to_thread(_chosen, policy, table, row)
        values = _values(manifest, level)
        answer = await self._look_back.step(pod, table, manifest, row, local, values)
        rewards = [_reward(name, one, values.get(name)) for name, one in answer["rewards"].items()]
        chosen = "" if level is None else level.action
        cut = cut_of(policy)
        following = dict(answer["next"])
        if episode is not None and at is not None:
            names = manifest.local_fields
            following |= dict(zip(names, episode.local[at + 1].tolist(), strict=True))
        return Step(
            pod=pod.name,
            row=row,
            rows=rows_of(table),
            time=answer["time"],
            next_time=answer["next_time"],
            current=_finite(answer["current"]),
            following=_finite(following),
            rewards=rewards,
            chosen=chosen if chosen in manifest.action_names else "",
            best=_best(rewards),
            held_out=cut is not None and answer["time"] >= cut,
        )

    async def _episode_or_none(
        self, pod: Pod, table: Table, manifest: Manifest, policy: Policy, version: int
    ) -> Episode | None:
        try:
            return await self._look_back.episode(pod, table, manifest, policy, version)
        except SpiceError as error:
            log.debug("pod %s: no episode for its step: %s", pod.name, error)
            return None


def _row_of(table: Table, request: GetStep) -> int:
    from spice_engine.pods.timeline_rows import row_at

    last = rows_of(table) - 2
    row = last if request.row is None else request.row
    if request.row is None and request.time is not None:
        # The newest state has no step yet, but somebody who points at it means the last one.
        row = min(row_at(table, request.time), last) if request.time >= 0 else -1
    if not 0 <= row <= last:
        raise InvalidRequest(
            f"there is no step from row {row}.", hint=f"Steps begin at rows 0 to {last}."
        )
    return row


def _chosen(policy: Policy, table: Table, row: int) -> Level:
    answer = policy.recommend(table.values[row - policy.span + 1 : row + 1])
    return Level(answer.action, answer.value, answer.unit)


def _unsaved(text: str, file: str, saved: Manifest) -> Manifest:
    """The manifest of a text, with which the pod's data can be judged."""
    manifest, problems = read_manifest(text.encode("utf-8", "replace"), file)
    if manifest is None:
        raise InvalidManifest(
            "the unsaved manifest has errors.",
            hint="The editor shows them.",
            problems=[dataclasses.asdict(problem) for problem in problems],
        )
    same = (manifest.fields, manifest.local_fields, _clock(manifest))
    if same != (saved.fields, saved.local_fields, _clock(saved)):
        raise InvalidManifest(
            "the unsaved manifest has other fields or times than the pod's data.",
            hint="Save it to look at its steps.",
        )
    return manifest


def _clock(manifest: Manifest) -> tuple[Any, ...]:
    """What says which rows a table has."""
    params = manifest.params
    return params.epoch_time, params.period, params.granularity, params.interpolation


def _values(manifest: Manifest, chosen: Level | None) -> dict[str, float]:
    """At which value each action with a range is looked at: the chosen one, else the middle."""
    values = {
        name: one["from"] + (one["to"] - one["from"]) / 2
        for name, one in plan.ranges(manifest).items()
    }
    if chosen is not None and chosen.value is not None and chosen.action in values:
        values[chosen.action] = chosen.value
    return values


def _reward(action: str, data: dict[str, Any], at: float | None) -> StepReward:
    place: dict[str, Any] = data.get("place") or {}
    error = data.get("error")
    return StepReward(
        action=action,
        value=data.get("value"),
        error=str(error["message"]) if error else "",
        file=place.get("file", ""),
        line=place.get("line", 0),
        column=place.get("column", 0),
        code=data.get("code", ""),
        lawful=data["lawful"],
        action_value=at,
    )


def _best(rewards: list[StepReward]) -> str:
    """The lawful action that got most; the first of equals."""
    known = [
        (one.value, -i) for i, one in enumerate(rewards) if one.value is not None and one.lawful
    ]
    return rewards[-max(known)[1]].action if known else ""


def _finite(state: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in state.items()}
