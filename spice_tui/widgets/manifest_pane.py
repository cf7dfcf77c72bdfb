"""The pane with the chosen pod's manifest, kept in step with the engine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from textual import on

from spice_engine.errors import SpiceError
from spice_engine.protocol.authoring import StartPreview
from spice_tui.actions import table
from spice_tui.models.authoring_door import EngineDoor
from spice_tui.models.draft import Drafts
from spice_tui.models.world import World
from spice_tui.widgets.editor_pane import EditorPane
from spice_tui.widgets.manifest_editor import ManifestEditor
from spice_tui.widgets.pane import Pane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp


class ManifestPane(Pane):
    """Follows the chosen pod; edits of another one stay in its draft."""

    def __init__(self, app: SpiceApp) -> None:
        self._app = app
        self._door = EngineDoor(app.link)
        drafts = Drafts.of_folder(app.settings.key) if app.settings.remember else None
        self.editor = ManifestEditor(self._door, drafts)
        super().__init__("Manifest", self.editor, id="manifest")
        self._pod = ""
        self._known: object = None
        self._attached = False
        self._opening = False

    def show(self, world: World) -> None:
        """Open the chosen pod's manifest; look again at it when the pod changed."""
        if self._attached and not world.attached:
            self.editor.engine_lost()
        self._attached = world.attached
        pod = world.pods.get(self._app.pod)
        if pod is None or not world.attached or not self.is_attached:
            return
        if pod.name != self._pod:
            self._pod = pod.name
            self._app.begin(self.open(pod.name, pod.manifest))
        elif pod is not self._known and not self._opening:
            self._known = pod
            self.editor.show_problems(pod.problems)
            self._app.begin(self.editor.look_at_disk())

    async def open(self, pod: str, path: str) -> None:
        """Edit a manifest."""
        self._pod, self._opening = pod, True
        try:
            await self.editor.open(pod, path)
        except SpiceError:
            self._pod = ""
            raise
        finally:
            self._opening = False
        self.border_title = f"Manifest {path}"
        known = self._app.world.pods.get(pod)
        if known is not None:
            self._known = known
            self.editor.show_problems(known.problems)

    @on(EditorPane.Saved)
    def _saved(self) -> None:
        self._app.performed(table()["editor.save"])

    @on(EditorPane.PreviewWanted)
    def _preview(self, event: EditorPane.PreviewWanted) -> None:
        event.stop()
        request = StartPreview(event.pod, event.text, event.path)
        self._app.begin(self._app.link.call("previews.start", asdict(request)))

    @on(EditorPane.PreviewOver)
    def _preview_over(self, event: EditorPane.PreviewOver) -> None:
        event.stop()
        if self._app.world.attached:
            self._app.begin(self._door.end_preview(event.pod))
