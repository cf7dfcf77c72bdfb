"""View 4: versions of policies, which serves, and what they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from spice_engine.errors import SpiceError
from spice_engine.protocol.packages import PolicyVersion, PolicyVersions
from spice_tui.models import clock, details
from spice_tui.models.rows import MODELS, model_rows
from spice_tui.screens.list_view import ListView
from spice_tui.widgets.table import GridTable

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class ModelsView(ListView):
    """Enter goes back to the chosen version, which can be taken back for a while."""

    TITLE = "Models"
    COLUMNS = MODELS
    EMPTY = "No pod has a policy yet. Training one makes its first version."

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("models", app)
        self._versions: dict[str, list[PolicyVersion]] = {}
        self._known: dict[str, int | None] = {}

    def opened(self) -> None:
        """Names may have changed: ask again."""
        self._known.clear()

    def show(self, world: World) -> None:
        """Ask for the versions of pods that have a new one."""
        served = {name: pod.policy_version for name, pod in world.pods.items()}
        for name, version in served.items():
            if name not in self._known or self._known[name] != version:
                self._known[name] = version
                self.spice.begin(self._load(name))
        for name in self._versions.keys() - served.keys():
            del self._versions[name]
            self._known.pop(name, None)
        self._fill()

    async def _load(self, pod: str) -> None:
        try:
            found = await self.spice.fetch(PolicyVersions, "pods.versions", pod=pod)
        except SpiceError:
            self._known.pop(pod, None)  # asked again when the engine or the pod is back
            return
        self._versions[pod] = found.versions
        self._fill()

    def _fill(self) -> None:
        self.table.show(model_rows(self._versions), clock.now())
        self.tell()

    def describe(self, key: str) -> str:
        """Everything about a version, and how it is asked."""
        row = self.table.table.model.row_of(key)
        if row is None:
            return ""
        pod, _, version = key.rpartition(":")
        known = [(name, value) for name, value in row.values.items() if name != "created"]
        hint = f"\n\n:rollback {version}\n:alias NAME {version}\n:lineage {pod}"
        return details.lines(known) + hint

    def pod_of(self, key: str) -> str:
        """The pod the version is of."""
        return key.rpartition(":")[0]

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        self.spice.choose_pod(self.pod_of(event.key))
        self.spice.begin(self.spice.action_rollback(event.key.rpartition(":")[2]))
