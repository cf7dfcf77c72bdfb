"""One model server's own OpenAPI document, with the schemas that its predictor declares."""

from __future__ import annotations

import json
from typing import Any, cast

from aiohttp import web

from spice_engine.api.openapi_paths import ERROR_RESPONSES, ERROR_SCHEMAS, Schema
from spice_engine.api.openapi_servers import prediction
from spice_engine.api.predict import served_of
from spice_engine.api.replies import json_response
from spice_engine.api.server_paths import ServerPaths
from spice_engine.serving.directory import Directory, Served


class ServerDocuments:
    """The handler of `/servers/{server}/openapi.json`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._paths = ServerPaths(directory.owner)

    def install(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get("/servers/{server}/openapi.json", self.document)

    async def document(self, request: web.Request) -> web.Response:
        """The document, made anew: a rollout may change it."""
        served = served_of(self._directory, request)
        return json_response(build(served, self._paths.owned_predict))


def build(served: Served, owned: str) -> dict[str, Any]:
    """The document as plain data; `owned` is the template of Spell's path form."""
    shared: dict[str, Schema] = {}
    payload = _placed(served.predictor.get("payload_schema"), shared)
    answered = _placed(served.predictor.get("answer_schema"), shared)
    predict = prediction("Predict.", payload, answered)
    if served.door.auth != "none":
        predict["post"]["security"] = [{"token": []}]
    models = f" Models: {', '.join(served.models)}." if served.models else ""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": served.name,
            "version": str(served.version),
            "description": f"A model server ({served.predictor.get('class', 'predictor')})."
            f"{models} Deadline {served.door.deadline:g} s; bodies of at most "
            f"{served.door.max_body} bytes.",
        },
        "servers": [{"url": "/"}],
        "paths": {
            f"/servers/{served.name}/predict": predict,
            owned.replace("{server}", served.name): predict,
        },
        "components": {
            "schemas": {**shared, **ERROR_SCHEMAS},
            "responses": ERROR_RESPONSES,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The server's token, or the engine's.",
                }
            },
        },
    }


def _placed(declared: Any, shared: dict[str, Schema]) -> Schema:
    """A predictor's JSON Schema as part of a document: its definitions go to the shared ones."""
    if not isinstance(declared, dict) or not declared:
        return {}
    try:
        text = json.dumps(declared, separators=(",", ":"))
        text = text.replace('"$ref":"#/$defs/', '"$ref":"#/components/schemas/')
        schema = cast("Schema", json.loads(text))
    except (TypeError, ValueError, RecursionError):
        return {}  # what is no JSON says nothing to a client
    definitions = schema.pop("$defs", None)
    if isinstance(definitions, dict):
        shared.update(cast("dict[str, Schema]", definitions))
    return schema
