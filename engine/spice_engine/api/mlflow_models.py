"""The paths of MLflow's tracking door for logged models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from spice_engine.api import mlflow_messages as messages
from spice_engine.api.mlflow_fields import Fields, experiment_number, experiment_numbers
from spice_engine.api.mlflow_messages import Message
from spice_engine.errors import InvalidRequest
from spice_engine.runs.tracking_models import LoggedModels


class ModelRoutes:
    """The handlers; their paths are in `table`."""

    def __init__(self, models: LoggedModels) -> None:
        self._models = models

    def table(
        self,
    ) -> dict[tuple[str, str], Callable[[Fields, int | None], Awaitable[Message]]]:
        """Method and path of each handler."""
        one = "logged-models/{model_id}"
        return {
            ("POST", "logged-models"): self._create,
            ("POST", "logged-models/search"): self._search,
            ("GET", one): self._get,
            ("PATCH", one): self._finish,
            ("DELETE", one): self._delete,
            ("PATCH", f"{one}/tags"): self._tag,
            ("DELETE", f"{one}/tags/{{tag_key}}"): self._untag,
            ("POST", f"{one}/params"): self._params,
        }

    async def _create(self, given: Fields, inside: int | None) -> Message:
        made = await self._models.create(
            experiment_number(given, "0"),
            name=given.text("name"),
            kind=given.text("model_type"),
            run=given.text("source_run_id"),
            params=given.pairs("params"),
            tags=given.pairs("tags"),
        )
        return {"model": messages.logged_model(*made)}

    async def _get(self, given: Fields, inside: int | None) -> Message:
        found = await self._models.get(given.required("model_id"))
        return {"model": messages.logged_model(*found)}

    async def _finish(self, given: Fields, inside: int | None) -> Message:
        found = await self._models.finish(given.required("model_id"), given.text("status"))
        return {"model": messages.logged_model(*found)}

    async def _delete(self, given: Fields, inside: int | None) -> Message:
        await self._models.delete(given.required("model_id"))
        return {}

    async def _tag(self, given: Fields, inside: int | None) -> Message:
        found = await self._models.set_tags(given.required("model_id"), given.pairs("tags"))
        return {"model": messages.logged_model(*found)}

    async def _untag(self, given: Fields, inside: int | None) -> Message:
        await self._models.set_tags(given.required("model_id"), {}, given.required("tag_key"))
        return {}

    async def _params(self, given: Fields, inside: int | None) -> Message:
        await self._models.set_params(given.required("model_id"), given.pairs("params"))
        return {}

    async def _search(self, given: Fields, inside: int | None) -> Message:
        if given.records("datasets"):
            raise InvalidRequest(
                "logged models cannot be searched by datasets.", hint="Search the runs they are of."
            )
        page = await self._models.search(
            experiment_numbers(given),
            filter_=given.text("filter"),
            orders=[
                (one.required("field_name"), one.flag("ascending", True))
                for one in given.records("order_by")
            ],
            count=given.integer("max_results", 50),
            token=given.text("page_token"),
        )
        token = {"next_page_token": page.token} if page.token else {}
        return {"models": [messages.logged_model(*one) for one in page.items], **token}
