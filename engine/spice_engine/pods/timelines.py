"""Timelines: a pod's data in stretches, with what its policy does there and hindsight would."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from typing import TYPE_CHECKING

from spice_engine.errors import SpiceError
from spice_engine.learning.levels import pack_levels
from spice_engine.pods import plan
from spice_engine.pods.advisor import Advisor
from spice_engine.pods.live import Pod, Table
from spice_engine.pods.look_back import Episode, LookBack, cut_of, rows_of, table_of
from spice_engine.pods.model import Manifest
from spice_engine.pods.service import Pods
from spice_engine.protocol.views import GetTimeline, Timeline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spice_engine.learning.policy import Policy
    from spice_engine.pods.timeline_rows import Stretches

log = logging.getLogger(__name__)


class Timelines:
    """The service behind timelines."""

    def __init__(self, pods: Pods, advisor: Advisor, look_back: LookBack) -> None:
        self._pods = pods
        self._advisor = advisor
        self._look_back = look_back

    async def timeline(self, request: GetTimeline) -> Timeline:
        """A pod's data in stretches, with what its policy does and hindsight would.

        What cannot be known of the policy or the rewards is left out, not an error.

        Raises:
            NotFound: no such pod or alias.
            NotTrained: the pod has no data yet.
            InvalidRequest: `points` or a field is wrong.
        """
        pod = self._pods.get(request.pod)
        manifest, table = self._pods.manifest_of(request.pod), table_of(pod)
        policy, version = await self._advisor.policy_called(request.pod, request.alias)
        if policy is not None and not (
            table.fits(policy) and policy.names == tuple(manifest.action_names)
        ):
            policy = version = None
        parts = await asyncio.to_thread(_stretches, table, manifest, policy, request)
        if manifest.simulated:
            found = _Found()
            if policy is not None and version is not None:
                found = await self._lived(pod, table, manifest, policy, version, parts)
        elif manifest.gym is not None:
            # The table holds what was posted; what other actions would have led to nobody knows.
            found = _Found()
            if policy is not None:
                from spice_engine.pods.timeline_rows import choices

                found.chosen = await asyncio.to_thread(choices, policy, table, parts.asked)
        else:
            found = await self._judged(pod, table, manifest, policy, parts)
        return await asyncio.to_thread(
            _timeline, request, pod, manifest, parts, found, policy, version
        )

    async def _judged(
        self, pod: Pod, table: Table, manifest: Manifest, policy: Policy | None, parts: Stretches
    ) -> _Found:
        """What a policy chooses and hindsight would, where actions change nothing."""
        from spice_engine.pods.timeline_rows import choices

        found = _Found()
        if policy is not None:
            found.chosen = await asyncio.to_thread(choices, policy, table, parts.asked)
        rows = parts.asked[: int(parts.asked.searchsorted(rows_of(table) - 1))]
        levels = pack_levels(policy.levels) if policy is not None else []
        # Without a policy nobody has chosen which values of a range are looked at.
        if len(rows) and len(manifest.action_names) and (levels or not plan.ranges(manifest)):
            try:
                found.rewards = await self._look_back.rewards(pod, table, manifest, rows, levels)
            except SpiceError as error:
                log.debug("pod %s: no rewards for its timeline: %s", pod.name, error)
        return found

    async def _lived(
        self,
        pod: Pod,
        table: Table,
        manifest: Manifest,
        policy: Policy,
        version: int,
        parts: Stretches,
    ) -> _Found:
        """What a policy makes of a simulated pod."""
        try:
            episode = await self._look_back.episode(pod, table, manifest, policy, version)
        except SpiceError as error:
            log.debug("pod %s: no episode for its timeline: %s", pod.name, error)
            return _Found()
        return await asyncio.to_thread(_of_episode, episode, manifest, parts)


@dataclasses.dataclass
class _Found:
    """What is known at the rows that were asked about: what was chosen [N], and the rewards of
    all actions [M, A] at the first of them; or those of the chosen ones [N], and `local` fields."""

    chosen: NDArray[np.int64] | None = None
    rewards: NDArray[np.float64] | None = None
    taken: NDArray[np.float64] | None = None
    local: dict[str, NDArray[np.float64]] = dataclasses.field(
        default_factory=dict[str, "NDArray[np.float64]"]
    )


def _stretches(
    table: Table, manifest: Manifest, policy: Policy | None, request: GetTimeline
) -> Stretches:
    from spice_engine.pods.timeline_rows import stretches

    first = table.loaded["first_datum"] if table.loaded is not None else 0
    between = (request.start, request.end)
    actions = len(policy.actions if policy is not None else manifest.action_names)
    return stretches(table, (first, rows_of(table)), between, request.points, actions)


def _of_episode(episode: Episode, manifest: Manifest, parts: Stretches) -> _Found:
    import numpy as np

    at = parts.asked - episode.first
    inside = (at >= 0) & (at < len(episode.actions))
    chosen = np.full(len(at), -1, dtype=np.int64)
    chosen[inside] = episode.actions[at[inside]]
    taken = np.full(len(at), math.nan)
    taken[inside] = episode.rewards[at[inside]]
    rows = np.arange(parts.first, parts.end) - episode.first
    lived = (rows >= 0) & (rows < len(episode.local))
    local: dict[str, NDArray[np.float64]] = {}
    for index, name in enumerate(manifest.local_fields):
        column = np.full(len(rows), math.nan)
        column[lived] = episode.local[rows[lived], index]
        local[name] = column
    return _Found(chosen, None, taken, local)


def _timeline(
    request: GetTimeline,
    pod: Pod,
    manifest: Manifest,
    parts: Stretches,
    found: _Found,
    policy: Policy | None,
    version: int | None,
) -> Timeline:
    """Put together; blocks on NumPy."""
    import numpy as np

    from spice_engine.learning.evaluation import choose
    from spice_engine.pods.timeline_rows import columns_of, mean_by, most_often, thin, times_of

    table, actions, count = parts.table, len(manifest.action_names), parts.count
    thinned = {
        name: thin(
            found.local.get(name, table.values[parts.first : parts.end, column]), parts.length
        )
        for name, column in columns_of(table, request.fields).items()
    }
    where = parts.of(parts.asked)
    chosen = best = [-1] * count
    # Of actions with ranges, from levels to the actions.
    names = np.arange(actions) if policy is None else policy.name_of
    rewards: list[float | None] = [None] * count
    if found.chosen is not None:
        done = np.where(found.chosen >= 0, names[found.chosen], -1)
        chosen = most_often(done, where, count, actions)
        if found.taken is not None:
            rewards = mean_by(found.taken, where, count)
    if found.rewards is not None:
        judged = len(found.rewards)
        best = most_often(names[choose(found.rewards)], where[:judged], count, actions)
        if found.chosen is not None:
            own = found.chosen[:judged]
            taken = found.rewards[np.arange(judged), np.maximum(own, 0)]
            rewards = mean_by(np.where(own >= 0, taken, math.nan), where[:judged], count)
    whole = np.array([table.loaded["first_datum"] if table.loaded else 0, rows_of(table) - 1])
    first, last = times_of(table, whole).tolist()
    return Timeline(
        pod=pod.name,
        granularity=table.granularity,
        first=first,
        last=last,
        holdout=cut_of(policy),
        actions=list(manifest.action_names),
        times=times_of(table, parts.begins).tolist(),
        values={name: one.means for name, one in thinned.items()},
        lows={name: one.lows for name, one in thinned.items()},
        highs={name: one.highs for name, one in thinned.items()},
        chosen=chosen,
        best=best,
        rewards=rewards,
        policy_version=version,
    )
