"""The versions of a pod's policy: listed, named, and gone back to."""

from __future__ import annotations

import sqlite3

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.pods import aliases
from spice_engine.pods.aliases import LATEST
from spice_engine.pods.package_parts import PodsService, VersionServer
from spice_engine.protocol.packages import PolicyVersion, PolicyVersions
from spice_engine.store import policies
from spice_engine.store.database import Database


class Versions:
    """The service behind versions and aliases."""

    def __init__(self, database: Database, pods: PodsService, server: VersionServer) -> None:
        self._database = database
        self._pods = pods
        self._server = server

    async def list(self, pod: str) -> PolicyVersions:
        """All versions that are kept, newest first.

        Raises:
            NotFound: no such pod.
        """
        serving = self._pods.get(pod).policy_version
        rows = await self._database.read(lambda connection: policies.list_versions(connection, pod))
        best = aliases.best_of(rows)
        return PolicyVersions(
            [
                PolicyVersion(
                    version=row.version,
                    algorithm=row.algorithm,
                    created=row.created,
                    training=row.training_number,
                    aliases=list(row.aliases),
                    held_out=aliases.held_out(row),
                    serving=row.version == serving,
                )
                for row in rows
            ],
            best.version if best else None,
        )

    async def aliases(self, pod: str) -> dict[str, int]:
        """Every name that was given, and the version it names.

        Raises:
            NotFound: no such pod.
        """
        name = self._pods.get(pod).name
        return await self._database.read(lambda connection: policies.aliases(connection, name))

    async def set_alias(self, pod: str, alias: str, version: str) -> dict[str, int]:
        """Make `alias` name a version, which is given by number (`3`, `v3`) or another name.

        `latest` also makes the pod serve it.

        Raises:
            NotFound: no such pod.
            AliasNotFound: no such version.
            Conflict: it is to be served, and cannot answer for the manifest there is now.
            InvalidRequest: `alias` cannot be a name.
        """
        name = self._pods.get(pod).name
        aliases.check_alias(alias)
        if alias == LATEST:
            row = await self._database.read(
                lambda connection: aliases.resolve(connection, name, version)
            )
            await self._server.serve_version(name, row.version)
            return await self.aliases(name)

        def change(connection: sqlite3.Connection) -> None:
            row = aliases.resolve(connection, name, version)
            policies.set_alias(connection, name, alias, row.version)

        await self._database.write(change)
        return await self.aliases(name)

    async def remove_alias(self, pod: str, alias: str) -> dict[str, int]:
        """Take a name away.

        Raises:
            NotFound: no such pod, or no such name.
            InvalidRequest: it is `latest`.
        """
        name = self._pods.get(pod).name
        if alias == LATEST:
            raise InvalidRequest("'latest' always names a version.", hint="Set it to another one.")
        if not await self._database.write(
            lambda connection: policies.remove_alias(connection, name, alias)
        ):
            raise aliases.AliasNotFound(f"pod {name!r} has no alias {alias[:100]!r}.")
        return await self.aliases(name)

    async def rollback(self, pod: str, version: str) -> PolicyVersions:
        """Serve an earlier version, until the pod is trained again; by default the one before.

        Raises:
            NotFound: no such pod.
            AliasNotFound: no such version.
            Conflict: there is no version before the one that serves, or it cannot answer for the
                manifest there is now.
        """
        name = self._pods.get(pod).name

        def find(connection: sqlite3.Connection) -> int:
            if version:
                return aliases.resolve(connection, name, version).version
            latest = policies.get_by_alias(connection, name, LATEST)
            if latest is None:
                raise NotFound(f"pod {name!r} has no version yet.", hint="Train it first.")
            rows = policies.list_versions(connection, name)
            before = next((row for row in rows if row.version < latest.version), None)
            if before is None:
                raise Conflict(f"pod {name!r} has no version before v{latest.version}.")
            return before.version

        await self._server.serve_version(name, await self._database.read(find))
        return await self.list(name)
