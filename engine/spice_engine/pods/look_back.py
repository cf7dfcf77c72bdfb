"""What trainers say of a pod's table in hindsight: rewards of its steps, and a policy's episode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidRequest, NotTrained
from spice_engine.pods import plan
from spice_engine.pods.live import Pod, Table
from spice_engine.pods.model import Manifest
from spice_engine.pods.service import Pods

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spice_engine.learning.policy import Policy

ANSWER_SECONDS = 30.0
_KEPT = 16


@dataclass(frozen=True)
class Episode:
    """A policy's way through a simulated pod: step i is that from row `first + i` to the next.

    `actions` [N], `rewards` [N], and the fields that actions change, `local` [N + 1, K].
    """

    first: int
    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    local: NDArray[np.float64]


class LookBack:
    """Asks trainers about the tables that pods answer by; episodes are kept while they fit."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._episodes: dict[tuple[str, int, str], tuple[Table, Episode]] = {}

    async def rewards(
        self,
        pod: Pod,
        table: Table,
        manifest: Manifest,
        rows: NDArray[np.int64],
        levels: Sequence[Sequence[Any]] = (),
    ) -> NDArray[np.float64]:
        """Rewards [N, A] of all actions, or of these levels, at rows that have a next one.

        Raises:
            SpiceError: why they cannot be known: no trust, or what is wrong with the code.
        """
        more = {"rows": rows.tobytes(), "levels": levels}
        answer = await self._ask("hindsight", pod, table, manifest, more)
        return _numbers(answer).reshape(len(rows), -1)

    async def episode(
        self, pod: Pod, table: Table, manifest: Manifest, policy: Policy, version: int
    ) -> Episode:
        """The episode a policy makes of the rows of a simulated pod.

        Raises:
            SpiceError: why it cannot be known.
        """
        key = (pod.name, version, pod.text_hash)
        kept = self._episodes.get(key)
        if kept is not None and kept[0] is table:
            return kept[1]
        data = await asyncio.to_thread(policy.to_bytes)
        answer = await self._ask("rollout", pod, table, manifest, {"policy": data})
        episode = _episode(answer)
        while len(self._episodes) >= _KEPT:
            del self._episodes[next(iter(self._episodes))]
        self._episodes[key] = (table, episode)
        return episode

    async def step(
        self,
        pod: Pod,
        table: Table,
        manifest: Manifest,
        row: int,
        local: list[float] | None,
        values: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """One step as `spice_engine.learning.step_question.explain_step` explains it.

        `values` are those of actions with ranges.

        Raises:
            SpiceError: why it cannot be known.
        """
        more = {"row": row, "local": local, "action_values": dict(values or {})}
        return await self._ask("explain_step", pod, table, manifest, more)

    async def policy(
        self, pod: Pod, table: Table, manifest: Manifest, policy: Policy, rules: int
    ) -> dict[str, Any]:
        """A policy on all data, as `learning.policy_question.explain_policy` explains it.

        Raises:
            SpiceError: why it cannot be known.
        """
        data = await asyncio.to_thread(policy.to_bytes)
        more = {"policy": data, "rules": rules}
        return await self._ask("explain_policy", pod, table, manifest, more)

    async def comparison(
        self,
        pod: Pod,
        table: Table,
        manifest: Manifest,
        sides: Sequence[Mapping[str, Any]],
        seconds: float,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Policies on the same steps, as `learning.compare_question.compare` compares them.

        Raises:
            SpiceError: why they cannot be compared.
        """
        more = {"sides": [dict(side) for side in sides]}
        return await self._ask("compare", pod, table, manifest, more, seconds, on_progress)

    async def _ask(
        self,
        method: str,
        pod: Pod,
        table: Table,
        manifest: Manifest,
        more: Mapping[str, Any],
        seconds: float = ANSWER_SECONDS,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> Any:
        if manifest.gym is not None:
            raise InvalidRequest(
                f"pod {pod.name!r} acts in an environment: what its actions pay, only acting tells."
            )
        upkeep = self._pods.upkeep
        await upkeep.require_trust(manifest)
        if table.loaded is None:
            raise NotTrained(
                f"pod {pod.name!r} has no data here, only the window of its package.",
                hint=pod.first_error or "Its data are being loaded.",
            )
        params = plan.trainer_params(
            manifest,
            table.loaded,
            self._pods.location.root,
            fingerprint="",
            interpretations=await upkeep.interpretations(pod.name, manifest),
        )
        trainers = self._pods.pools.trainers
        return await trainers.call(
            method, {**params, **more}, on_progress=on_progress, deadline=seconds
        )


def table_of(pod: Pod) -> Table:
    """The table that the pod answers by.

    Raises:
        NotTrained: it has none yet, or an empty one.
    """
    if pod.table is None or not rows_of(pod.table):
        hint = pod.first_error or "It is being loaded."
        raise NotTrained(f"pod {pod.name!r} has no data yet.", hint=hint)
    return pod.table


def rows_of(table: Table) -> int:
    """How many rows can be learned from: those whose buckets were complete when it was read."""
    return table.loaded["training_rows"] if table.loaded is not None else table.closed


def cut_of(policy: Policy | None) -> int | None:
    """When what was held out from the policy's training begins."""
    return None if policy is None else policy.evaluation.get("held_out_from")


def _numbers(data: bytes) -> NDArray[np.float64]:
    import numpy as np

    return np.frombuffer(data, dtype=np.float64)


def _episode(answer: Mapping[str, Any]) -> Episode:
    import numpy as np

    actions = np.frombuffer(answer["actions"], dtype=np.int32).astype(np.int64)
    local = _numbers(answer["local"]).reshape(len(actions) + 1, -1)
    return Episode(answer["first"], actions, _numbers(answer["rewards"]), local)
