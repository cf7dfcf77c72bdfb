"""The paths of MLflow's tracking door for registered models, which are models of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from spice_engine.api.mlflow_fields import Fields
from spice_engine.api.mlflow_messages import Message, milliseconds
from spice_engine.errors import NotSupported
from spice_engine.serving.model_registry import ModelRegistry, Registered, RegisteredModel


class RegistryRoutes:
    """The handlers; their paths are in `table`."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    def table(
        self,
    ) -> dict[tuple[str, str], Callable[[Fields, int | None], Awaitable[Message]]]:
        """Method and path of each handler."""
        models, versions = "registered-models", "model-versions"
        return {
            ("POST", f"{models}/create"): self._create,
            ("GET", f"{models}/get"): self._get,
            ("GET", f"{models}/search"): self._search,
            ("DELETE", f"{models}/delete"): self._delete,
            ("POST", f"{models}/get-latest-versions"): self._latest,
            ("GET", f"{models}/get-latest-versions"): self._latest,
            ("POST", f"{models}/alias"): self._set_alias,
            ("DELETE", f"{models}/alias"): self._remove_alias,
            ("GET", f"{models}/alias"): self._aliased,
            ("POST", f"{versions}/create"): self._create_version,
            ("GET", f"{versions}/get"): self._version,
            ("PATCH", f"{versions}/update"): self._update_version,
            ("DELETE", f"{versions}/delete"): self._delete_version,
            ("GET", f"{versions}/search"): self._search_versions,
            ("GET", f"{versions}/get-download-uri"): self._files,
        }

    async def _create(self, given: Fields, inside: int | None) -> Message:
        if given.text("description") or given.records("tags"):
            raise _nowhere("a registered model")
        made = await self._registry.reserve(given.required("name"))
        return {"registered_model": _model(made)}

    async def _get(self, given: Fields, inside: int | None) -> Message:
        return {"registered_model": _model(await self._registry.get(given.required("name")))}

    async def _search(self, given: Fields, inside: int | None) -> Message:
        page = await self._registry.search(
            given.text("filter"),
            given.listed("order_by"),
            given.integer("max_results", 100),
            given.text("page_token"),
        )
        token = {"next_page_token": page.token} if page.token else {}
        return {"registered_models": [_model(one) for one in page.items], **token}

    async def _delete(self, given: Fields, inside: int | None) -> Message:
        await self._registry.remove(given.required("name"))
        return {}

    async def _latest(self, given: Fields, inside: int | None) -> Message:
        found = await self._registry.get(given.required("name"))
        stages = given.listed("stages")
        # All of them are in no stage, which clients call so.
        wanted = not stages or "none" in {stage.lower() for stage in stages}
        return {"model_versions": [_version(one) for one in found.versions[:1] if wanted]}

    async def _set_alias(self, given: Fields, inside: int | None) -> Message:
        await self._registry.set_alias(
            given.required("name"), given.required("alias"), given.required("version")
        )
        return {}

    async def _remove_alias(self, given: Fields, inside: int | None) -> Message:
        await self._registry.set_alias(given.required("name"), given.required("alias"), "")
        return {}

    async def _aliased(self, given: Fields, inside: int | None) -> Message:
        found = await self._registry.aliased(given.required("name"), given.required("alias"))
        return {"model_version": _version(found)}

    async def _create_version(self, given: Fields, inside: int | None) -> Message:
        if given.records("tags"):
            raise _nowhere("a version of a model")
        made = await self._registry.add(
            given.required("name"), given.required("source"), given.text("description")
        )
        return {"model_version": _version(made)}

    async def _version(self, given: Fields, inside: int | None) -> Message:
        found = await self._registry.version(given.required("name"), given.required("version"))
        return {"model_version": _version(found)}

    async def _update_version(self, given: Fields, inside: int | None) -> Message:
        found = await self._registry.describe(
            given.required("name"), given.required("version"), given.text("description")
        )
        return {"model_version": _version(found)}

    async def _delete_version(self, given: Fields, inside: int | None) -> Message:
        await self._registry.remove(given.required("name"), given.required("version"))
        return {}

    async def _search_versions(self, given: Fields, inside: int | None) -> Message:
        page = await self._registry.search_versions(
            given.text("filter"),
            given.listed("order_by"),
            given.integer("max_results", 10_000),
            given.text("page_token"),
        )
        token = {"next_page_token": page.token} if page.token else {}
        return {"model_versions": [_version(one) for one in page.items], **token}

    async def _files(self, given: Fields, inside: int | None) -> Message:
        found = await self._registry.version(given.required("name"), given.required("version"))
        if not found.source.startswith("mlflow-artifacts:"):
            raise NotSupported(
                f"{found.row.model} v{found.row.number} is no whole folder of what a run left.",
                hint=f"`spice-tui model download {found.row.model}:v{found.row.number} FOLDER`.",
            )
        return {"artifact_uri": found.source}


def _nowhere(what: str) -> NotSupported:
    return NotSupported(
        f"tags, and a description of a model, have no place here: {what} has none.",
        hint="Describe the version, or give the run the tags.",
    )


def _model(one: RegisteredModel) -> Message:
    newest = one.versions[0].row.created if one.versions else one.row.created
    return {
        "name": one.row.name,
        "creation_timestamp": milliseconds(one.row.created),
        "last_updated_timestamp": milliseconds(newest),
        "user_id": one.row.creator,
        "latest_versions": [_version(version) for version in one.versions[:1]],
        "aliases": [
            {"alias": alias, "version": str(version.row.number)}
            for version in one.versions
            for alias in version.row.aliases
        ],
    }


def _version(one: Registered) -> Message:
    row = one.row
    return {
        "name": row.model,
        "version": str(row.number),
        "creation_timestamp": milliseconds(row.created),
        "last_updated_timestamp": milliseconds(row.created),
        "user_id": row.creator,
        "current_stage": "None",
        "description": row.description,
        "source": one.source,
        "run_id": one.run,
        "status": "READY",
        "aliases": list(row.aliases),
    }
