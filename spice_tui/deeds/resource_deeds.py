"""What can be done with resources: outputs of runs, uploads, links."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spice_tui.base import Refused
from spice_tui.deeds.model_deeds import ModelDeeds
from spice_tui.models import resource_words

if TYPE_CHECKING:
    from spice_engine.protocol.resources import ResourceInfo
    from spice_tui.screens.resources_view import ResourcesView


class ResourceDeeds(ModelDeeds):
    """Actions of the context `resource`."""

    def _resources_view(self) -> ResourcesView | None:
        from spice_tui.screens.resources_view import ResourcesView

        view = self.current_view
        return view if isinstance(view, ResourcesView) else None

    def resource_chosen(self) -> ResourceInfo:
        """The entry of the tree that has the cursor.

        Raises:
            SpiceError: none has.
        """
        view = self._resources_view()
        one = view.chosen if view is not None else None
        if one is None:
            raise Refused("no run, upload or file is chosen.", hint="View 6 has the tree of them.")
        return one

    def action_go_up(self) -> None:
        """Go to what it lies in."""
        view = self._resources_view()
        if view is not None:
            view.go_up()

    async def action_model_of_resource(self) -> None:
        """Make a model of the chosen resource."""
        await self.create_model("", self.resource_chosen().path)

    async def action_serve_resource(self) -> None:
        """Make a model of the chosen resource and serve that."""
        await self.serve_resource(self.resource_chosen().path)

    async def action_copy_resource(self, folder: str = "") -> None:
        """Copy the chosen resource into a folder."""
        one = self.resource_chosen()
        target = await self.folder_for(folder, one.path.rpartition("/")[2])
        if target:
            done = await self.ask("resources.copy", path=one.path, destination=target)
            self.say(f"{done['copied']} files were copied to {target}.")

    def action_copy_mount(self) -> None:
        """Copy the option that shows the chosen resource to a run."""
        self.copy(resource_words.mount_option(self.resource_chosen().path), "the mount")

    async def action_upload(self, path: str = "", name: str = "") -> None:
        """Take a file or folder of this machine into the store."""
        if not path or not name:
            from spice_tui.screens.form import Form, FormField

            fields = (
                FormField("path", "File or folder", value=path, required=True),
                FormField("name", "Name", value=name or Path(path).name, required=True),
            )
            answer = await self.ask_person(Form("Upload", fields))
            if answer is None:
                return
            path, name = answer["path"], answer["name"]
        source = Path(path).expanduser()
        if self.settings.root is not None and not source.is_absolute():
            source = self.settings.root / source
        made = await self.ask("resources.upload", source=str(source), name=name)
        self.say(f"{made['path']} was taken in.")
        self._reload()

    async def action_link(self, name: str = "") -> None:
        """Give the chosen resource a short name."""
        one = self.resource_chosen()
        if not name:
            name = await self._ask_text("Link", f"Short name of {one.path}", "")
        if name:
            await self.ask("resources.link", alias=name, path=one.path)
            self.say(f"{name} is {one.path} now.")
            self._reload()

    async def action_unlink(self, name: str) -> None:
        """Take a short name away."""
        await self.ask("resources.unlink", alias=name)
        self.say(f"{name} is no link any more.")
        self._reload()

    def action_remove_upload(self, upload: str = "") -> None:
        """Remove an upload, after a while in which that can be taken back."""
        path = upload or self.resource_chosen().path
        if not path.startswith("uploads/"):
            raise Refused(f"{path} is no upload.", hint="Runs and models have their own views.")

        async def do() -> None:
            await self.ask("resources.remove", path=path)
            self.say(f"{path} is removed.")
            self._reload()

        self.later(f"{path} is removed", do)

    def _reload(self) -> None:
        view = self._resources_view()
        if view is not None:
            view.reload()
