"""Stored policies of pods: which of them serves, and by which table."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import shutil
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from spice_engine.errors import SpiceError
from spice_engine.pods.kept_window import kept_window
from spice_engine.pods.live import Pod, Table
from spice_engine.pods.training import LATEST
from spice_engine.store import policies as policy_table
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore
from spice_engine.store.policies import PolicyRow

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy

log = logging.getLogger(__name__)


class StoredPolicies:
    """Takes policies out of the store; `publish` tells that a pod's state changed."""

    def __init__(
        self, database: Database, objects: ObjectStore, publish: Callable[[Pod], None]
    ) -> None:
        self._database = database
        self._objects = objects
        self._publish = publish

    async def policy(self, row: PolicyRow) -> Policy:
        """A stored policy.

        Raises:
            SpiceError: its file is gone, damaged or of another version.
        """
        data = await asyncio.to_thread(self._objects.read_bytes, row.object)
        return await asyncio.to_thread(read_policy, data)

    async def offer(self, pod: Pod, table: Table, fingerprint: str) -> bool:
        """Serve the stored policy; whether nothing new is to be learned.

        That is so when the policy called latest was learned from exactly this, or the newest one
        was and somebody went back to another since.
        """
        if pod.policy is not None and fingerprint in {pod.fingerprint, pod.newest_fingerprint}:
            return True

        def read(connection: sqlite3.Connection) -> tuple[PolicyRow | None, PolicyRow | None]:
            latest = policy_table.get_by_alias(connection, pod.name, LATEST)
            newest = policy_table.list_versions(connection, pod.name)
            return latest, newest[0] if newest else None

        row, newest = await self._database.read(read)
        if row is None or newest is None:
            return False
        if not row.fingerprint:
            row = await self._adopt(pod, table, row, fingerprint)
            newest = row if newest.version == row.version else newest
        known = {row.fingerprint, newest.fingerprint}
        if pod.policy is None or fingerprint in known:
            try:
                policy = await self.policy(row)
            except SpiceError as error:
                version = row.version
                log.warning("pod %s: version %s cannot be used: %s", pod.name, version, error)
                return False
            if not table.fits(policy):
                log.info("pod %s: version %s is for other fields", pod.name, row.version)
                return False
            pod.last_training = pod.last_training or row.training_number
            self.serve(pod, table, policy, row.version, row.fingerprint)
            pod.newest_fingerprint = newest.fingerprint
        return fingerprint in known

    async def _adopt(self, pod: Pod, table: Table, row: PolicyRow, fingerprint: str) -> PolicyRow:
        """An imported policy that can read the data here counts as learned from them."""
        try:
            fits = table.fits(await self.policy(row))
        except SpiceError as error:
            log.warning("pod %s: version %s cannot be used: %s", pod.name, row.version, error)
            return row
        if not fits:
            return row
        await self._database.write(
            lambda connection: policy_table.set_fingerprint(
                connection, pod.name, row.version, fingerprint
            )
        )
        return dataclasses.replace(row, fingerprint=fingerprint)

    async def serve_without_data(self, pod: Pod) -> None:
        """Serve an imported policy by the window that came with it, while there are no data."""
        if pod.policy is not None and pod.table is not None and pod.table.complete:
            return
        row = await self._database.read(
            lambda connection: policy_table.get_by_alias(connection, pod.name, LATEST)
        )
        if row is None:
            return
        try:
            table = await kept_window(self._database, self._objects, pod.name, row.version)
            if table is not None:
                self.serve(pod, table, await self.policy(row), row.version, row.fingerprint)
        except SpiceError as error:
            log.warning("pod %s: version %s cannot be used: %s", pod.name, row.version, error)

    async def serve_version(self, pod: Pod, row: PolicyRow) -> None:
        """Serve this stored policy from now on, until the pod is trained again.

        Raises:
            SpiceError: its file cannot be read.
        """
        policy = await self.policy(row)
        table = pod.table
        if table is None or not table.fits(policy):
            table = await kept_window(self._database, self._objects, pod.name, row.version)
        if table is None:
            return  # it is served with the data, when these are read
        newest = pod.newest_fingerprint or pod.fingerprint
        self.serve(pod, table, policy, row.version, row.fingerprint)
        pod.newest_fingerprint = newest

    def serve(self, pod: Pod, table: Table, policy: Policy, version: int, fingerprint: str) -> None:
        """Answer by this policy, of this table, from now on."""
        pod.policy, pod.policy_version, pod.fingerprint = policy, version, fingerprint
        pod.newest_fingerprint = fingerprint
        pod.evaluation = dict(policy.evaluation)
        use(pod, table)
        self._publish(pod)


def use(pod: Pod, table: Table) -> None:
    """Answer from this table from now on."""
    previous, pod.table = pod.table, table
    pod.answers.clear()
    pod.newest.clear()
    if previous is not None and previous is not table and previous is not pod.learned_from:
        release(previous)


def release(table: Table) -> None:
    """Remove a table's files; what is mapped of them stays readable."""
    if table.folder:
        shutil.rmtree(table.folder, ignore_errors=True)


def read_policy(data: bytes) -> Policy:
    """Load a policy; imports NumPy at its first call, so it runs in a thread."""
    from spice_engine.learning.policy import Policy

    return Policy.from_bytes(data)
