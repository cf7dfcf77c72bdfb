"""The hand-written part of the OpenAPI document: errors, the v0.1 API and the plain paths."""

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

_EPISODE: Schema = {
    "type": "object",
    "properties": {
        "episode": INTEGER,
        "start": INTEGER,
        "end": INTEGER,
        "score": {"type": ["number", "null"]},
        "actions_taken": {"type": "object", "additionalProperties": INTEGER},
        "error": TEXT,
        "error_message": TEXT,
    },
}
_RUN: Schema = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "algorithm": TEXT,
        "loggers": {"type": ["array", "null"], "items": TEXT},
        "start": INTEGER,
        "end": {**INTEGER, "description": "-62135596800 while it runs."},
        "episodes": {"type": "array", "items": _EPISODE},
    },
}
_POD: Schema = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "manifest_path": TEXT,
        "episodes": INTEGER,
        "identifiers": {"type": "array", "items": TEXT},
        "measurements": {"type": "array", "items": TEXT},
        "categories": {"type": "array", "items": TEXT},
    },
}
_OUTCOME: Schema = {
    "type": "object",
    "required": ["result"],
    "properties": {"result": TEXT, "message": TEXT, "error": {"type": "boolean"}},
}
_RECOMMENDATION: Schema = {
    "type": "object",
    "required": ["response"],
    "properties": {
        "response": _OUTCOME,
        "start": INTEGER,
        "end": INTEGER,
        "action": TEXT,
        "confidence": {"type": "number"},
        "tag": TEXT,
        "values": {"type": "object", "additionalProperties": {"type": "number"}},
        "features": {"type": "object", "additionalProperties": {"type": "number"}},
    },
}
_REFUSAL: Schema = {
    "type": "object",
    "required": ["response"],
    "properties": {"response": _OUTCOME},
}
_ALGORITHM: Schema = {
    "type": "object",
    "properties": {"algorithm_id": TEXT, "name": TEXT, "docs_link": TEXT},
}
_TRAIN: Schema = {
    "type": ["object", "null"],
    "properties": {
        "learning_algorithm": TEXT,
        "number_episodes": INTEGER,
        "loggers": {
            "type": ["array", "null"],
            "items": {"type": "string", "enum": ["tensorboard"]},
        },
    },
}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _answer(schema: Schema, kind: str = "application/json") -> dict[str, Any]:
    return {"description": "The answer.", "content": {kind: {"schema": schema}}}


def _error(status: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{status}"}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}


def _get(
    tag: str,
    summary: str,
    responses: dict[str, Any],
    *parameters: dict[str, Any],
    open_to_all: bool = False,
) -> dict[str, Any]:
    shared = {"400": _error("400"), "403": _error("403"), "500": _error("500")}
    if not open_to_all:
        shared["401"] = _error("401")
    return {
        "tags": [tag],
        "summary": summary,
        # Open on loopback where the setting open_loopback says so, else with the token.
        "security": [] if open_to_all else [{}, {"token": []}],
        "parameters": list(parameters),
        "responses": {**shared, **responses},
    }


def fixed_paths() -> dict[str, dict[str, Any]]:
    """Paths that are not operations, as OpenAPI path items."""
    pod = "/api/v0.1/pods/{pod}"
    text = "text/plain"
    gone = {"404": {"description": "There is no such pod or run; no body."}}
    recommendation = {
        "200": _answer(_RECOMMENDATION),
        "400": {**_answer(_REFUSAL), "description": "`response.result` says why not."},
    }
    query = [
        {
            "name": "time",
            "in": "query",
            "description": "Unix seconds or RFC 3339; absent or 0: now.",
            "schema": TEXT,
        },
        {
            "name": "explain",
            "in": "query",
            "description": "`true` adds each action's value and the features that mattered.",
            "schema": {"type": "boolean"},
        },
    ]
    train = _get(
        "v0.1",
        "Begin a training run.",
        {
            "200": {**_answer(TEXT, text), "description": "`ok`; the training goes on."},
            **gone,
            **{
                status: {"description": "Why it was refused.", "content": {text: {"schema": TEXT}}}
                for status in ("400", "409")
            },
            "408": _error("408"),
            "413": _error("413"),
            "429": _error("429"),
        },
        _path("pod"),
    )
    train["requestBody"] = {"content": {"application/json": {"schema": _TRAIN}}}
    no_curves: dict[str, Any] = {"200": _answer(TEXT, "text/html")}
    return {
        "/api/v0.1/pods": {"get": _get("v0.1", "Every pod.", {"200": _answer(_list(_POD))})},
        pod: {"get": _get("v0.1", "One pod.", {"200": _answer(_POD), **gone}, _path("pod"))},
        f"{pod}/train": {"post": train},
        f"{pod}/training_runs": {
            "get": _get(
                "v0.1",
                "Training runs of a pod.",
                {"200": _answer(_list(_RUN)), **gone},
                _path("pod"),
            )
        },
        f"{pod}/training_runs/{{run}}": {
            "get": _get(
                "v0.1",
                "One training run.",
                {"200": _answer(_RUN), **gone},
                _path("pod"),
                _path("run"),
            )
        },
        f"{pod}/recommendation": {
            "get": _get("v0.1", "What to do.", recommendation, _path("pod"), *query)
        },
        f"{pod}/models/{{tag}}/recommendation": {
            "get": _get(
                "v0.1",
                "What to do, by a named policy.",
                recommendation,
                _path("pod"),
                _path("tag"),
                *query,
            )
        },
        "/api/v0.1/algorithms": {
            "get": _get("v0.1", "What can be trained with.", {"200": _answer(_list(_ALGORITHM))})
        },
        "/health": {
            "get": _get(
                "plain",
                "`ok` as long as the engine answers.",
                {"200": _answer(TEXT, text)},
                open_to_all=True,
            )
        },
        "/ready": {
            "get": _get(
                "plain",
                "Whether everything is up.",
                {
                    "200": _answer(TEXT, text),
                    "503": {**_answer(TEXT, text), "description": "What is missing."},
                },
            )
        },
        "/metrics": {"get": _get("plain", "Prometheus text.", {"200": _answer(TEXT, text)})},
        "/": {"get": _get("plain", "The pods with their last curves, as a page.", no_curves)},
        "/docs": {"get": _get("plain", "This API as a page.", no_curves)},
        "/api/openapi.json": {"get": _get("plain", "This API.", {"200": _answer(FREE)})},
        "/api/v1/events": {"get": _events()},
    }


def _events() -> dict[str, Any]:
    entry = _get(
        "events",
        "Subscriptions as JSON messages over a WebSocket.",
        {
            "101": {"description": "The socket is open."},
            "400": _error("400"),
            "429": _error("429"),
        },
    )
    entry["description"] = (
        'Send {"subscribe": "topic", "id": 1} and {"unsubscribe": 1}. What comes: welcome, then '
        "per subscription a snapshot, deltas (seq counts from 1), gap (read those rows again), "
        "end and error. The token: Authorization header, subprotocol bearer.<token> beside "
        'spice.events.v1, or the first message {"token": "…"}.'
    )
    return entry
