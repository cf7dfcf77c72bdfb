"""The part of the OpenAPI document about model servers: the paths that each of them has."""

from __future__ import annotations

from typing import Any

from spice_engine.api.openapi_paths import FREE, TEXT, Schema, answer, entry, error, path
from spice_engine.serving.directory import Directory

ANYTHING: Schema = {}
_TAG = "servers"
_INFER_TAG = "open inference"
_DEADLINE: dict[str, Any] = {
    "name": "X-Request-Deadline",
    "in": "header",
    "required": False,
    "description": "Seconds until the answer is of no use; at most the server's own deadline.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
_REFUSALS: dict[str, str] = {
    "415": "Nobody can read this content type or encoding.",
    "502": "The replicas that worked on it died.",
}


def refusals() -> dict[str, Any]:
    """What a prediction may be refused with, beside what every path may."""
    schema: Schema = {"$ref": "#/components/schemas/Error"}
    own = {
        status: {"description": meaning, "content": {"application/json": {"schema": schema}}}
        for status, meaning in _REFUSALS.items()
    }
    shared = ("404", "408", "413", "429", "503", "504")
    return {**{status: error(status) for status in shared}, **own}


def prediction(
    summary: str,
    payload: Schema,
    answered: Schema,
    *parameters: dict[str, Any],
    kinds: tuple[str, ...] = ("application/json", "application/msgpack", "application/x-npy"),
) -> dict[str, Any]:
    """A path item of a predict path. `payload` and `answered` are JSON Schema, empty where
    nothing is known of them."""
    found = entry(
        _TAG,
        summary,
        {
            **refusals(),
            "200": answer(answered),
            "default": {"description": "Whatever else the predictor answers.", "content": {}},
        },
        *parameters,
        _DEADLINE,
    )
    content = {kind: {"schema": payload if kind == "application/json" else {}} for kind in kinds}
    found["requestBody"] = {"required": True, "content": content}
    return {"post": found}


def server_paths() -> dict[str, dict[str, Any]]:
    """Path items, with the server's name as a parameter."""
    owner, server, version = Directory().owner, path("server"), path("version")
    told: dict[str, Any] = {"200": answer(FREE), "404": error("404"), "503": answer(FREE)}
    # What a predictor says of its health may be of any form, and of any status.
    health: dict[str, Any] = {
        "404": error("404"),
        "default": {"description": "What the predictor says of its health.", "content": {}},
    }
    predict = prediction("Predict.", ANYTHING, ANYTHING, server)
    owned = prediction("Predict; the path as Spell had it.", ANYTHING, ANYTHING, server)
    infer = "Predict: tensors as the Open Inference Protocol has them, JSON or binary."
    kinds = ("application/json", "application/octet-stream")
    items: dict[str, dict[str, Any]] = {
        "/servers/{server}/predict": predict,
        f"/{owner}/{{server}}/predict": owned,
        "/servers/{server}/health": {"get": entry(_TAG, "Health.", health, server)},
        f"/{owner}/{{server}}/health": {"get": entry(_TAG, "Health.", health, server)},
        "/servers/{server}/ready": {
            "get": entry(_TAG, "Whether a prediction would be served now.", told, server)
        },
        "/servers/{server}/metrics": {
            "get": entry(
                _TAG,
                "Its figures and its predictor's as Prometheus text.",
                {"200": answer(TEXT, "text/plain"), "404": error("404")},
                server,
            )
        },
        "/servers/{server}/openapi.json": {
            "get": entry(
                _TAG, "This server's API.", {"200": answer(FREE), "404": error("404")}, server
            )
        },
        "/v2": {"get": entry(_INFER_TAG, "What this is.", {"200": answer(FREE)})},
        "/v2/health/live": {"get": entry(_INFER_TAG, "Liveness.", {"200": answer(FREE)})},
        "/v2/health/ready": {
            "get": entry(
                _INFER_TAG,
                "Whether every server can predict.",
                {"200": answer(FREE), "503": answer(FREE)},
            )
        },
    }
    for base, named in (
        ("/v2/models/{server}", (server,)),
        ("/v2/models/{server}/versions/{version}", (server, version)),
    ):
        found = {"200": answer(FREE), "404": answer(FREE)}
        items[base] = {"get": entry(_INFER_TAG, "The server's metadata.", found, *named)}
        items[f"{base}/ready"] = {
            "get": entry(_INFER_TAG, "Readiness.", {**found, "503": answer(FREE)}, *named)
        }
        items[f"{base}/infer"] = prediction(infer, FREE, FREE, *named, kinds=kinds)
        items[f"{base}/infer"]["post"]["tags"] = [_INFER_TAG]
        for status in refusals():
            items[f"{base}/infer"]["post"]["responses"][status] = answer(FREE)
    return items
