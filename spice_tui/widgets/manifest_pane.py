"""The pane with the chosen pod's manifest, kept in step with the engine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from spice_engine.errors import SpiceError
from spice_tui.actions import table
from spice_tui.widgets.pane import Pane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.models.world import World
    from spice_tui.widgets.editor_pane import EditorPane
    from spice_tui.widgets.manifest_editor import ManifestEditor


class ManifestPane(Pane):
    """Follows the chosen pod; edits of another one stay in its draft."""

    def __init__(self, app: SpiceApp) -> None:
        self._app = app
        super().__init__("Manifest", id="manifest")
        self._editor: ManifestEditor | None = None
        self._pod = ""
        self._known: object = None
        self._attached = False
        self._opening = False
        self._failed = False

    @property
    def editor(self) -> ManifestEditor:
        """The editor; made when it is first wanted, which is after the first paint."""
        if self._editor is None:
            from spice_tui.models.authoring_door import EngineDoor
            from spice_tui.models.draft import Drafts
            from spice_tui.widgets.manifest_editor import ManifestEditor

            settings = self._app.settings
            drafts = Drafts.of_folder(settings.key) if settings.remember else None
            self._editor = ManifestEditor(EngineDoor(self._app.link), drafts)
        return self._editor

    async def fill(self) -> None:
        """Put the editor into the frame."""
        if not self.editor.is_attached:
            await self.mount(self.editor)
            self.show(self._app.world)

    def show(self, world: World) -> None:
        """Open the chosen pod's manifest; look again at it when the pod changed."""
        if self._editor is None or not self._editor.is_attached:
            return
        if self._attached and not world.attached:
            self.editor.engine_lost()
        self._attached = world.attached
        pod = world.pods.get(self._app.pod)
        if pod is None or not world.attached or not self.is_attached:
            return
        again = self._failed and pod is not self._known
        if pod.name != self._pod or again:
            self._pod, self._known = pod.name, pod
            self._app.begin(self.open(pod.name, pod.manifest))
        elif pod is not self._known and not self._opening and not self._failed:
            self._known = pod
            self.editor.show_problems(pod.problems)
            self._app.begin(self.editor.look_at_disk())

    async def open(self, pod: str, path: str) -> None:
        """Edit a manifest."""
        await self.fill()
        self._pod, self._opening = pod, True
        try:
            await self.editor.open(pod, path)
        except SpiceError:
            # Tried again when the pod changes, not at each look.
            self._failed = True
            raise
        else:
            self._failed = False
        finally:
            self._opening = False
        self.border_title = f"Manifest {path}"
        known = self._app.world.pods.get(pod)
        if known is not None:
            self._known = known
            self.editor.show_problems(known.problems)

    # Handlers by name: a decorator would need the editor's module, and that the first paint's time.

    def on_editor_pane_saved(self) -> None:
        """Tell the tutorial."""
        self._app.performed(table()["editor.save"])

    def on_editor_pane_preview_wanted(self, event: EditorPane.PreviewWanted) -> None:
        """Train what is being written, beside the saved pod."""
        from spice_engine.protocol.authoring import StartPreview

        event.stop()
        request = StartPreview(event.pod, event.text, event.path)
        self._app.begin(self._app.link.call("previews.start", asdict(request)))

    def on_editor_pane_preview_over(self, event: EditorPane.PreviewOver) -> None:
        """The preview is of no use any more."""
        event.stop()
        if self._app.world.attached:
            self._app.begin(self._app.link.call("previews.end", {"pod": event.pod}))
