"""Says what code of the app folder would run, and lets its owner trust it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from spice_engine.pods.model import RewardFile
from spice_engine.pods.package_parts import PodsService
from spice_engine.pods.trust import Trust
from spice_engine.protocol.location import Location
from spice_engine.protocol.packages import CodeFile, TrustedFolderInfo, TrustStatus


class Trusting:
    """The service behind `trust`."""

    def __init__(self, location: Location, pods: PodsService, trust: Trust) -> None:
        self._location = location
        self._pods = pods
        self._trust = trust

    async def status(self) -> TrustStatus:
        """Whether the folder is trusted, what would run, and which other folders are trusted."""
        pods: dict[str, list[str]] = {}
        for name in self._pods.names():
            manifest = self._pods.get(name).manifest
            rewards = manifest.training.rewards if manifest is not None else None
            if isinstance(rewards, RewardFile):
                pods.setdefault(rewards.path, []).append(name)
        return await asyncio.to_thread(self._status, pods)

    async def set(self, *, trusted: bool) -> TrustStatus:
        """Trust the folder's code, or do so no more; pods that wait for it are looked at again.

        Raises:
            Forbidden: the folder belongs to another user.
            StorageError: the list of trusted folders cannot be written.
        """
        change = self._trust.grant if trusted else self._trust.revoke
        await asyncio.to_thread(change, self._location.root)
        self._pods.trust_changed(trusted=trusted)
        return await self.status()

    def _status(self, pods: dict[str, list[str]]) -> TrustStatus:
        root = self._location.root
        listed = self._trust.is_trusted(root)
        return TrustStatus(
            folder=str(root),
            trusted=listed or self._pods.is_trusted(),
            code=[
                CodeFile(path, names, Path(root, path).is_file())
                for path, names in sorted(pods.items())
            ],
            folders=[TrustedFolderInfo(one.path, one.since) for one in self._trust.listed()],
            for_this_process=self._pods.is_trusted() and not listed,
        )
