"""What can be done with the screen itself: views, panes, help, palette, themes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_engine.errors import NotFound, SpiceError
from spice_tui.actions import OF_APP
from spice_tui.base import Base, Refused
from spice_tui.models import keymap
from spice_tui.theme import themes
from spice_tui.widgets.pane import Deck

if TYPE_CHECKING:
    from spice_tui.screens.view import View
    from spice_tui.widgets.prompt import Prompt


class ScreenDeeds(Base):
    """Actions of the context `app` that change what is on show."""

    last_view: str
    prompt: Prompt

    @property
    def current_view(self) -> View:
        """The view on show."""
        raise NotImplementedError

    async def show_view(self, name: str) -> View:
        """Bring a view on show."""
        raise NotImplementedError

    # -- views

    async def action_view_pods(self) -> None:
        """Show pods."""
        await self.show_view("pods")

    async def action_view_runs(self) -> None:
        """Show runs."""
        await self.show_view("runs")

    async def action_view_trials(self) -> None:
        """Show training runs."""
        await self.show_view("trials")

    async def action_view_models(self) -> None:
        """Show versions of policies."""
        await self.show_view("models")

    async def action_view_servers(self) -> None:
        """Show what answers over HTTP."""
        await self.show_view("servers")

    async def action_view_resources(self) -> None:
        """Show data, code and packages."""
        await self.show_view("resources")

    async def action_view_logs(self) -> None:
        """Show logs."""
        await self.show_view("logs")

    async def action_view_metrics(self) -> None:
        """Show metrics."""
        await self.show_view("metrics")

    async def action_last_view(self) -> None:
        """Go back to the view before."""
        await self.show_view(self.last_view)

    # -- panes

    def action_zoom(self) -> None:
        """Let the pane fill the view, or not."""
        self.current_view.zoom()

    async def action_next_page(self) -> None:
        """Turn to the next page."""
        await self._turn(1)

    async def action_previous_page(self) -> None:
        """Turn to the page before."""
        await self._turn(-1)

    async def _turn(self, step: int) -> None:
        pane = self.current_view.pane
        decks = [pane] if isinstance(pane, Deck) else list(self.current_view.query(Deck))[:1]
        if not decks:
            raise Refused("no pane of this view has pages.")
        await decks[0].turn(step)
        self.draw()

    def action_wider(self) -> None:
        """Make the pane larger."""
        self.current_view.grow(4)

    def action_narrower(self) -> None:
        """Make the pane smaller."""
        self.current_view.grow(-4)

    def action_even(self) -> None:
        """Give all panes their own sizes."""
        self.current_view.set_sizes({})

    async def action_jump(self) -> None:
        """Show letters that take a person to any pane."""
        from spice_tui.screens.jump import JumpScreen

        panes = [pane for pane in self.current_view.panes if pane.region.area]
        chosen = await self.ask_person(JumpScreen([(pane.region, pane) for pane in panes]))
        if chosen is not None:
            self.current_view.go_to(chosen)

    # -- commands and help

    def action_prompt(self) -> None:
        """Open the `:` line."""
        self.prompt.open()

    async def action_help(self) -> None:
        """Show the keys that work here."""
        from spice_tui.screens.help import HelpScreen

        await self.push_screen(HelpScreen(self.contexts(), self.keys))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The palette's key works before all others, but in a dialog it is the dialog's.

        Keys on a pod, a server or a model work where one of those is chosen.
        """
        context = str(parameters[0]).partition(".")[0] if action == "do" and parameters else "app"
        if context != "app" and context in OF_APP and context not in self.contexts():
            return False
        if action == "do" and parameters == ("app.palette",) and len(self.screen_stack) > 1:
            return False
        return super().check_action(action, parameters)

    async def action_palette(self) -> None:
        """Find a command by its name."""
        from spice_tui.screens.palette import Palette

        chosen = await self.ask_person(Palette(self.keys, sorted(self.world.pods)))
        if chosen is None:
            return
        if chosen.action.arguments and not chosen.arguments:
            self.prompt.open(f"{chosen.action.command} ")
            return
        try:
            self.perform(chosen.action, *chosen.arguments)
        except SpiceError as error:
            self.complain(error)

    def action_clashes(self) -> None:
        """Tell which keys have two meanings."""
        found = keymap.clashes(self.keys)
        self.say("\n".join(found) if found else "No key has two meanings in one place.")

    # -- themes

    def first_theme(self) -> str:
        """The theme to begin with: what was asked for, else that of the last time, else ours."""
        wanted = self.settings.theme or self.saved.theme
        if self.settings.ansi:
            wanted = self.settings.theme or themes.ANSI
        if wanted not in self.available_themes:
            self._read_theme(wanted)
        return wanted if wanted in self.available_themes else themes.DEFAULT

    def _read_theme(self, name: str) -> None:
        path = themes.themes_folder() / f"{name}.toml"
        if name and path.name == f"{name}.toml" and path.is_file():
            try:
                self.register_theme(themes.read_theme(path))
            except SpiceError as error:
                self.complain(error)

    def reload_theme(self) -> None:
        """Read the theme's file again, if it has one."""
        if self.theme not in {theme.name for theme in themes.own_themes()}:
            self._read_theme(self.theme)
            self.refresh_css(animate=False)

    def action_theme(self, name: str = "") -> None:
        """Use another theme."""
        known = sorted(self.available_themes)
        if not name:
            name = known[(known.index(self.theme) + 1) % len(known)]
        self._read_theme(name)
        if name not in self.available_themes:
            raise NotFound(f"there is no theme {name!r}.", hint=f"Themes: {', '.join(known)}.")
        self.theme = name
        self.say(f"Theme: {name}.")
