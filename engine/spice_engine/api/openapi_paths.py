"""The hand-written part of the OpenAPI document: errors, the plain paths and the events."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

INTEGER: Schema = {"type": "integer", "format": "int64"}
TEXT: Schema = {"type": "string"}
FREE: Schema = {"type": "object"}

ERROR_SCHEMAS: dict[str, Schema] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {**TEXT, "description": "Stable, in snake case."},
                    "message": {**TEXT, "description": "What happened, in one sentence."},
                    "hint": {**TEXT, "description": "What to do about it."},
                    "place": {
                        "type": "object",
                        "properties": {"file": TEXT, "line": INTEGER, "column": INTEGER},
                    },
                    "problems": {"type": "array", "items": FREE},
                },
            }
        },
    }
}

_MEANINGS = {
    "400": "The request, a manifest or data cannot be used.",
    "401": "The token is missing or wrong.",
    "403": "The Host is unknown, or a foreign page wants to write.",
    "404": "There is no such thing.",
    "405": "The path exists, but not with this method.",
    "408": "The body came too slowly.",
    "409": "The thing is in a state in which this cannot be done.",
    "413": "The body is too large.",
    "429": "A bounded queue is full; try again after `Retry-After` seconds.",
    "500": "A child process failed, or a defect; the engine's log holds the details.",
    "503": "Something is not there yet or any more.",
    "504": "The work took longer than its deadline.",
    "507": "The disk is full, read-only or broken.",
}

ERROR_RESPONSES: dict[str, Any] = {
    status: {
        "description": meaning,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for status, meaning in _MEANINGS.items()
}
# The server's own word for what is no HTTP, or has too long a line.
ERROR_RESPONSES["400"]["content"]["text/plain"] = {"schema": TEXT}


def array_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def answer(schema: Schema, kind: str = "application/json") -> dict[str, Any]:
    return {"description": "The answer.", "content": {kind: {"schema": schema}}}


def error(status: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{status}"}


def deep_object(name: str) -> dict[str, str | bool]:
    """How a map is sent as query parameter `name`."""
    return {
        "style": "deepObject",
        "explode": True,
        "description": f"As `{name}[key]=value` for each member, or as one JSON object.",
    }


def path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}


def entry(
    tag: str,
    summary: str,
    responses: dict[str, Any],
    *parameters: dict[str, Any],
    open_to_all: bool = False,
) -> dict[str, Any]:
    shared = {"400": error("400"), "403": error("403"), "500": error("500")}
    if not open_to_all:
        shared["401"] = error("401")
    return {
        "tags": [tag],
        "summary": summary,
        # Open on loopback where the setting open_loopback says so, else with the token.
        "security": [] if open_to_all else [{}, {"token": []}],
        "parameters": list(parameters),
        "responses": {**shared, **responses},
    }


def fixed_paths() -> dict[str, dict[str, Any]]:
    """Paths that are neither operations nor of the v0.1 API, as OpenAPI path items."""
    text = "text/plain"
    html: dict[str, Any] = {"200": answer(TEXT, "text/html")}
    return {
        "/health": {
            "get": entry(
                "plain",
                "`ok` as long as the engine answers.",
                {"200": answer(TEXT, text)},
                open_to_all=True,
            )
        },
        "/ready": {
            "get": entry(
                "plain",
                "Whether everything is up.",
                {
                    "200": answer(TEXT, text),
                    "503": {**answer(TEXT, text), "description": "What is missing."},
                },
            )
        },
        "/metrics": {"get": entry("plain", "Prometheus text.", {"200": answer(TEXT, text)})},
        "/": {"get": entry("plain", "The pods with their last curves, as a page.", html)},
        "/docs": {"get": entry("plain", "This API as a page.", html)},
        "/api/openapi.json": {"get": entry("plain", "This API.", {"200": answer(FREE)})},
        "/api/v1/events": {"get": _events()},
    }


def _events() -> dict[str, Any]:
    found = entry(
        "events",
        "Subscriptions as JSON messages over a WebSocket.",
        {
            "101": {"description": "The socket is open."},
            "400": error("400"),
            "429": error("429"),
        },
    )
    found["description"] = (
        'Send {"subscribe": "topic", "id": 1} and {"unsubscribe": 1}. What comes: welcome, then '
        "per subscription a snapshot, deltas (seq counts from 1), gap (read those rows again), "
        'end and error. {"observe": "pod", "id": 2, "data": "time,…"} sends observations (also: '
        "format, dataspace, key); `observed` comes when they are on disk. The token: "
        "Authorization header, subprotocol bearer.<token> beside "
        'spice.events.v1, or the first message {"token": "…"}.'
    )
    return found
