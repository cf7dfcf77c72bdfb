"""What can be done with models."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from spice_engine.errors import SpiceError
from spice_tui.base import Refused
from spice_tui.deeds.server_deeds import ServerDeeds

if TYPE_CHECKING:
    from spice_engine.protocol.models import ModelVersionInfo
    from spice_tui.screens.models_view import ModelsView


class ModelDeeds(ServerDeeds):
    """Actions of the context `model`, and those on runs that make models."""

    model: str = ""
    """The chosen model."""

    async def models_view(self) -> ModelsView:
        """The view of models, on show."""
        from spice_tui.screens.models_view import ModelsView

        view = await self.show_view("models")
        assert isinstance(view, ModelsView)
        return view

    def _models_view(self) -> ModelsView | None:
        from spice_tui.screens.models_view import ModelsView

        view = self.current_view
        return view if isinstance(view, ModelsView) else None

    def version_chosen(self) -> ModelVersionInfo:
        """The version the view of models has the cursor on.

        Raises:
            SpiceError: none is chosen.
        """
        view = self._models_view()
        one = view.version if view is not None else None
        if one is None:
            raise Refused("no version of a model is chosen.", hint="View 4 lists the models.")
        return one

    # -- making

    async def action_create_model(self, name: str = "", resource: str = "") -> None:
        """Make the next version of a model; without more words, of the chosen version's files."""
        view = self._models_view()
        one = view.version if view is not None else None
        if not resource and not name and one is not None and not one.pod:
            resource = f"models/{one.model}/v{one.number}"
        await self.create_model(name, resource)

    async def create_model(self, name: str, resource: str) -> str:
        """Ask for what is not known and make a model; its `NAME:VERSION`, empty when left."""
        from spice_tui.screens.form import Form, FormField

        values = {"name": name, "resource": resource, "files": "", "version": "", "text": ""}
        note = ""
        while True:
            fields = (
                FormField("name", "Name", "my-model", values["name"], required=True),
                FormField(
                    "resource", "Of", "runs/3, uploads/x, a folder", values["resource"], True
                ),
                FormField("files", "Files", "all; or PATH[:DEST] …", values["files"]),
                FormField("version", "Own name of the version", "", values["version"]),
                FormField("text", "Description", "", values["text"]),
            )
            answer = await self.ask_person(Form("Create model", fields, note))
            if answer is None:
                return ""
            values = answer
            request: dict[str, Any] = {
                "name": values["name"],
                "resource": self._resource(values["resource"]),
                "version": values["version"],
                "files": values["files"].split(),
                "description": values["text"],
            }
            try:
                made = await self.ask("models.create", **request)
            except SpiceError as error:
                note = str(error)
                continue
            break
        self.model = str(made["model"])
        self.say(f"Model {made['model']}: version v{made['number']} was made.")
        return f"{made['model']}:v{made['number']}"

    def _resource(self, text: str) -> str:
        """A folder or file beside the screen's folder by its whole path, all else as it is."""
        root = self.settings.root
        if root is None or text.partition("/")[0] in {"runs", "uploads", "models", "public"}:
            return text
        path = root / PurePosixPath(text)
        return str(path) if path.exists() else text

    async def serve_resource(self, resource: str) -> None:
        """Make a model of a resource, then serve that."""
        made = await self.create_model("", resource)
        if made:
            await self.serve_form([made], "")

    async def action_model_of_run(self) -> None:
        """Make a model of the chosen run's outputs."""
        await self.create_model("", f"runs/{self.run_named().id}")

    async def action_serve_run(self) -> None:
        """Make a model of the chosen run's outputs and serve that."""
        await self.serve_resource(f"runs/{self.run_named().id}")

    async def action_serve_model(self) -> None:
        """Stand up a server of the chosen version."""
        one = self.version_chosen()
        await self.serve_form([f"{one.model}:v{one.number}"], "")

    # -- changing

    async def action_download_model(self, folder: str = "") -> None:
        """Write the chosen version's files into a folder."""
        one = self.version_chosen()
        target = await self.folder_for(folder, f"{one.model}-v{one.number}")
        if target:
            done = await self.ask(
                "models.download", name=one.model, version=f"v{one.number}", destination=target
            )
            self.say(f"{done['copied']} files were written to {target}.")

    async def folder_for(self, folder: str, suggested: str) -> str:
        """The whole path of a folder of this machine; empty when the question was left."""
        from spice_tui.screens.form import Form, FormField

        if not folder:
            field = FormField("folder", "Folder", value=suggested, required=True)
            answer = await self.ask_person(Form("Copy to", (field,)))
            if answer is None:
                return ""
            folder = answer["folder"]
        path = PurePosixPath(folder)
        if self.settings.root is not None and not path.is_absolute():
            return str(self.settings.root / path)
        return folder

    async def action_alias_model(self, alias: str = "") -> None:
        """Give the chosen version a name."""
        one = self.version_chosen()
        if not alias:
            alias = await self._ask_text("Alias", f"Alias of {one.model} v{one.number}", "")
        if alias:
            await self.ask("models.alias", name=one.model, alias=alias, version=f"v{one.number}")
            self.say(f"{one.model}: {alias} is v{one.number} now.")
            self._reload_models()

    async def action_describe_model(self, text: str = "") -> None:
        """Write the description of the chosen version."""
        one = self.version_chosen()
        if not text:
            text = await self._ask_text("Description", "Description", one.description)
        if text:
            await self.ask(
                "models.update_description",
                name=one.model,
                version=f"v{one.number}",
                description=text,
            )
            self._reload_models()

    async def _ask_text(self, title: str, label: str, value: str) -> str:
        from spice_tui.screens.form import Form, FormField

        answer = await self.ask_person(Form(title, (FormField("text", label, value=value),)))
        return answer["text"] if answer is not None else ""

    def action_remove_version(self) -> None:
        """Remove the chosen version, after a while in which that can be taken back."""
        one = self.version_chosen()
        self._remove(one.model, f"v{one.number}")

    def action_remove_model(self, model: str = "") -> None:
        """Remove a model, after a while in which that can be taken back."""
        name = model or self.model
        if not name:
            raise Refused("no model is chosen.", hint="View 4 lists the models.")
        self._remove(name, "")

    def _remove(self, name: str, version: str) -> None:
        what = f"model {name} {version}".rstrip()

        async def do() -> None:
            await self.ask("models.remove", name=name, version=version)
            self.say(f"{what[:1].upper()}{what[1:]} is removed.")
            self._reload_models()

        self.later(f"{what} is removed", do)

    def _reload_models(self) -> None:
        view = self._models_view()
        if view is not None:
            view.reload()
