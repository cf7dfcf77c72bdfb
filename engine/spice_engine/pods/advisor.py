"""Answers what to do: by the newest policy of a pod, or by another version of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spice_engine.errors import Conflict, NotTrained
from spice_engine.pods import aliases
from spice_engine.pods.package_parts import fits
from spice_engine.pods.service import Pods
from spice_engine.pods.training import LATEST
from spice_engine.protocol.pods import Recommendation
from spice_engine.store import policies as policy_table
from spice_engine.store.database import Database
from spice_engine.store.policies import PolicyRow

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy

CACHED_POLICIES = 32
"""Policies other than the newest of each pod that stay in memory."""


class Advisor:
    """The service behind recommendations."""

    def __init__(self, pods: Pods, database: Database) -> None:
        self._pods = pods
        self._database = database
        self._policies: dict[tuple[str, int], Policy] = {}

    async def recommend(
        self,
        name: str,
        at: int | None,
        alias: str,
        *,
        explain: bool,
        state: Mapping[str, float] | None = None,
    ) -> Recommendation:
        """What to do, by the policy `alias` names.

        Raises:
            NotFound: no such pod or alias.
            NotTrained: it has no policy, or no data, yet.
        """
        pod = self._pods.get(name)
        if pod.seen < pod.posted:
            await self._pods.catching_up.wait(pod, working=self._pods.is_working(name))
        policy, version = await self.policy_called(name, alias)
        if policy is None or version is None:
            if pod.state == "failed":
                message = f"pod {name!r} could not be trained: it has no policy to ask."
                raise NotTrained(message, hint=pod.first_error)
            waiting = pod.training_problem if pod.training is None else None
            raise NotTrained(
                "Please wait to get a recommendation until after training completes",
                hint=f"Now it says: {waiting.message}." if waiting is not None else "",
            )
        return pod.recommend(policy, version, at, tag=alias, explain=explain, state=state)

    async def policy_called(self, name: str, alias: str) -> tuple[Policy | None, int | None]:
        """The policy `alias` names and its version; None where the pod has no latest one yet.

        Raises:
            NotFound: no such pod or alias.
        """
        pod = self._pods.get(name)
        if alias == LATEST:
            return pod.policy, pod.policy_version
        return await self._policy_of(name, alias)

    async def serve_version(self, name: str, version: int) -> None:
        """Go back (or forth) to a version of a pod's policy, until it is trained again.

        Raises:
            NotFound: no such pod or version.
            Conflict: it cannot answer for the pod as its manifest is now.
        """
        pod = self._pods.get(name)
        row = await self._database.read(
            lambda connection: policy_table.get(connection, name, version)
        )
        policy = await self._pods.upkeep.stored.policy(row)
        if pod.manifest is not None and not fits(policy, pod.manifest):
            raise Conflict(
                f"version {version} of {name!r} was trained for other fields or actions than its "
                "manifest has now.",
                hint="Name another version, or bring the manifest back first.",
            )

        def change(connection: sqlite3.Connection) -> PolicyRow:
            policy_table.set_alias(connection, name, LATEST, version)
            return policy_table.get(connection, name, version)

        row = await self._database.write(change)
        await self._pods.upkeep.stored.serve_version(pod, row)

    async def _policy_of(self, name: str, alias: str) -> tuple[Policy, int]:
        row = await self._database.read(lambda connection: aliases.resolve(connection, name, alias))
        return await self._cached_policy(name, row), row.version

    async def _cached_policy(self, name: str, row: PolicyRow) -> Policy:
        key = (name, row.version)
        if key not in self._policies:
            self._policies[key] = await self._pods.upkeep.stored.policy(row)
            while len(self._policies) > CACHED_POLICIES:
                del self._policies[next(iter(self._policies))]
        return self._policies[key]
