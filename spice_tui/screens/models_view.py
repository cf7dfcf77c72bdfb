"""View 4: models and policies; below, the versions of the chosen one and all about one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from spice_engine.errors import SpiceError
from spice_engine.protocol.models import ModelVersionInfo, ModelVersions
from spice_tui.models import clock
from spice_tui.models.model_rows import (
    MODELS,
    VERSIONS,
    about_version,
    model_rows,
    version_rows,
)
from spice_tui.screens.view import View
from spice_tui.widgets.keys import bindings
from spice_tui.widgets.pane import Pane
from spice_tui.widgets.reading import Reading
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World


class ModelsView(View):
    """Enter in the list goes to the versions; enter there serves a policy's version again."""

    CONTEXTS: ClassVar = ("model", "pod")
    BINDINGS: ClassVar = [*bindings("model"), *bindings("pod")]
    DEFAULT_CSS = """
    ModelsView #models-list { height: 1fr; }
    ModelsView .lower { height: 50%; }
    ModelsView #model-versions { width: 1fr; }
    ModelsView #model-about { width: 44; }
    """

    def __init__(self, app: SpiceApp) -> None:
        super().__init__("models")
        self.spice = app
        self.table = TablePane(
            MODELS, empty="No models yet. :create-model makes one; training a pod does, too."
        )
        self._versions = TablePane(VERSIONS, empty="Choose a model.")
        self._about = Reading()
        self._known: dict[str, tuple[object, ModelVersions]] = {}
        self._asked: dict[str, object] = {}

    def compose(self) -> ComposeResult:
        yield Pane("Models", self.table, id="models-list")
        with Horizontal(classes="lower", id="models-lower"):
            yield Pane("Versions", self._versions, id="model-versions")
            yield Pane("About", self._about, id="model-about")

    def on_mount(self) -> None:
        self.spice.link.want("models", "servers")

    def opened(self) -> None:
        """Names may have changed: ask again."""
        self.reload()

    def reload(self) -> None:
        """Ask again for the versions of the chosen model."""
        self._asked.clear()
        self._load_chosen()

    def show(self, world: World) -> None:
        """Show what is new."""
        self.table.show(model_rows(world), clock.now())
        self._load_chosen()

    @property
    def contexts(self) -> tuple[str, ...]:
        """Those of a model, and those of a pod where its policy is chosen."""
        return ("model", "pod") if self.model in self.spice.world.pods else ("model",)

    # -- the chosen model and version

    @property
    def model(self) -> str:
        """The chosen model; empty when there is none."""
        row = self.table.table.model.current
        return row.key if row else ""

    @property
    def version(self) -> ModelVersionInfo | None:
        """The chosen version."""
        known = self._known.get(self.model)
        row = self._versions.table.model.current
        if known is None or row is None:
            return None
        return next((one for one in known[1].versions if str(one.number) == row.key), None)

    def _load_chosen(self) -> None:
        """Ask for the versions of the chosen model where they may be others."""
        name, world = self.model, self.spice.world
        pod = world.pods.get(name)
        state = (world.models.get(name), pod.policy_version if pod else None)
        if name and world.attached and self._asked.get(name) != state:
            self._asked[name] = state
            self.spice.begin(self._load(name, state))
        self._fill()

    async def _load(self, name: str, state: object) -> None:
        try:
            found = await self.spice.fetch(ModelVersions, "models.get", name=name)
        except SpiceError:
            self._known.pop(name, None)  # removed meanwhile, or an engine without models
        else:
            self._known[name] = (state, found)
        self._fill()

    def _fill(self) -> None:
        known = self._known.get(self.model)
        versions = known[1].versions if known is not None else ()
        self._versions.show(version_rows(versions), clock.now())
        self.query_one("#model-versions").border_title = f"Versions of {self.model or 'none'}"
        self._tell()

    def _tell(self) -> None:
        one = self.version
        self._about.say(about_version(one) if one is not None else "")

    @on(GridTable.Highlighted)
    def _highlighted(self, event: GridTable.Highlighted) -> None:
        if event.table is self.table.table:
            self.spice.model = event.key
            if event.key in self.spice.world.pods:
                self.spice.choose_pod(event.key)
            self._load_chosen()
            self.spice.show_keys()
        else:
            self._tell()

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        if event.table is self.table.table:
            self.go_to(self.query_one("#model-versions", Pane))
        elif (one := self.version) is not None and one.pod:
            self.spice.choose_pod(one.pod)
            self.spice.begin(self.spice.action_rollback(str(one.policy_version or one.number)))
