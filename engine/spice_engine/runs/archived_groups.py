"""Tells the services of searches and of workflows what an archive brought."""

from __future__ import annotations

from collections.abc import Sequence

from spice_engine.runs.searches import Searches
from spice_engine.runs.workflows.service import Workflows


class ArchivedGroups:
    """What the import of archives needs of the two."""

    def __init__(self, searches: Searches, workflows: Workflows) -> None:
        self._searches = searches
        self._workflows = workflows

    async def taken_in(self, searches: Sequence[int], workflows: Sequence[int]) -> None:
        """They are in the store, and over: whoever follows is to see them."""
        await self._searches.taken_in(searches)
        for number in workflows:
            await self._workflows.known.note(await self._workflows.known.row(number))
