"""The first start: what to begin with, and the tutorial."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from spice_engine.errors import SpiceError
from spice_tui.deeds.page_deeds import PageDeeds
from spice_tui.models import tutorial

if TYPE_CHECKING:
    from spice_tui.widgets.tutorial_bar import TutorialBar


class BeginningDeeds(PageDeeds):
    """Welcomes a person in a folder without pods."""

    tutorial_bar: TutorialBar

    async def welcome(self) -> None:
        """Ask how to begin, once in each folder."""
        from spice_tui.screens.welcome import WelcomeScreen

        if self.saved.tutorial_seen:
            return
        self.saved = dataclasses.replace(self.saved, tutorial_seen=True)
        choice = await self.ask_person(WelcomeScreen(self.settings.folder))
        if choice == "tutorial":
            await self.action_tutorial()
        elif choice == "new":
            self.prompt.open("new ")
        elif choice == "packages":
            await self.action_packages()

    async def action_tutorial(self, word: str = "") -> None:
        """Begin the tutorial, with its sample pod; `off` ends it."""
        if word == "off":
            self.tutorial_bar.end()
            return
        if tutorial.SAMPLE not in self.world.pods:
            try:
                await self.action_add(f"samples/{tutorial.SAMPLE}")
            except SpiceError as error:
                self.complain(error)
                return
        self.choose_pod(tutorial.SAMPLE)
        self.tutorial_bar.begin()
        await self.action_graph()
