"""What pages about the chosen pod have in common: they load when it is another, or has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_engine.errors import SpiceError
from spice_tui.widgets.pane import Page

if TYPE_CHECKING:
    from spice_engine.protocol.pods import PodInfo
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class PodPage(Page):
    """`load` is called with the pod while the page is on top and shows something outdated."""

    def __init__(self, app: SpiceApp) -> None:
        super().__init__()
        self.spice = app
        self._shown: object = None
        self._loading = False
        self._outdated = False

    def state_of(self, pod: PodInfo) -> object:
        """What must be the same for what was loaded to be still good."""
        return (pod.name, pod.policy_version, pod.state == "loading")

    async def load(self, pod: PodInfo) -> None:
        """Ask the engine, and show what it says.

        Raises:
            SpiceError: what it says is that it cannot.
        """
        raise NotImplementedError

    def refused(self, error: SpiceError) -> None:
        """Show why there is nothing to show."""
        raise NotImplementedError

    def opened(self) -> None:
        """Look again."""
        self.show(self.spice.world)

    def reload(self) -> None:
        """What was loaded is no longer good."""
        self._shown = None
        self._outdated = True  # also what is being loaded at this moment
        self.show(self.spice.world)

    def show(self, world: World) -> None:
        """Load what is outdated, one load at a time."""
        pod = world.pods.get(self.spice.pod)
        if pod is None or not world.attached or self._loading or not self.is_attached:
            return
        state = self.state_of(pod)
        if state != self._shown:
            self._loading = True
            self.spice.begin(self._load(pod, state))

    async def _load(self, pod: PodInfo, state: object) -> None:
        self._outdated = False
        try:
            await self.load(pod)
        except SpiceError as error:
            self.refused(error)
        finally:
            self._shown = None if self._outdated else state
            self._loading = False
        self.show(self.spice.world)  # it may have changed meanwhile
