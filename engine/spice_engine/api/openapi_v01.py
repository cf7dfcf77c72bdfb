"""The v0.1 API's part of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from spice_engine.api.openapi_paths import (
    ERROR_RESPONSES,
    INTEGER,
    TEXT,
    Schema,
    answer,
    array_of,
    deep_object,
    entry,
    path,
)

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
        "action_value": {"type": "number"},
        "confidence": {"type": "number"},
        "tag": TEXT,
        "values": {"type": "object", "additionalProperties": {"type": "number"}},
        "features": {"type": "object", "additionalProperties": {"type": "number"}},
        "rule": {"type": "array", "items": TEXT},
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


_INTERPRETATION: Schema = {
    "type": "object",
    "required": ["Start", "End"],
    "properties": {
        "Start": INTEGER,
        "End": INTEGER,
        "Name": TEXT,
        "Actions": {"type": "array", "items": TEXT},
        "Tags": {"type": "array", "items": TEXT},
    },
}
_OBSERVATION: Schema = {
    "type": "object",
    "required": ["time"],
    "properties": {
        "time": INTEGER,
        "identifiers": {"type": "object", "additionalProperties": TEXT},
        "measurements": {"type": "object", "additionalProperties": {"type": "number"}},
        "categories": {"type": "object", "additionalProperties": TEXT},
        "tags": {"type": "array", "items": TEXT},
    },
}
_EXPORT: Schema = {
    "type": "object",
    "properties": {
        "directory": {**TEXT, "description": "Relative to the app folder, and inside of it."},
        "filename": {**TEXT, "description": "By default the pod's name with .spicepod."},
        "overwrite": {"type": "boolean", "default": True},
    },
}
_IMPORT: Schema = {
    "type": "object",
    "required": ["archive_path"],
    "properties": {"archive_path": {**TEXT, "description": "A file inside of the app folder."}},
}
_TAKEN = {
    "description": "On disk.",
    "headers": {
        "X-Rows": {"schema": INTEGER, "description": "Rows that were kept."},
        "X-Bad-Rows": {"schema": INTEGER, "description": "Rows that were left out."},
        "X-Duplicate": {"schema": TEXT, "description": "`true`: they were sent before."},
    },
}
_EMPTY = {"description": "Done; no body."}
_GONE = {"404": {"description": "There is no such thing; for pods and runs without a body."}}
_BODY_ERRORS = ("408", "413", "429")


def _texts(*statuses: str) -> dict[str, Any]:
    """Errors as this API has them: plain text, unless the gate before it answers in JSON."""
    found: dict[str, Any] = {}
    for status in statuses:
        known = ERROR_RESPONSES[status]
        content = {"text/plain": {"schema": TEXT}, **known["content"]}
        found[status] = {"description": known["description"], "content": content}
    return found


def _get(summary: str, responses: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    found = entry("v0.1", summary, {**_texts("400", "500"), **responses}, *parameters)
    return {"get": found}


def _post(
    summary: str,
    responses: dict[str, Any],
    *parameters: dict[str, Any],
    body: dict[str, Schema] | None = None,
    needs_token: bool = False,
) -> dict[str, Any]:
    found = entry(
        "v0.1",
        summary,
        {**_texts("400", "409", "500", "503", "504", "507", *_BODY_ERRORS), **_GONE, **responses},
        *parameters,
    )
    if needs_token:
        found["security"] = [{"token": []}]
    if body is not None:
        content = {kind: {"schema": schema} for kind, schema in body.items()}
        found["requestBody"] = {"content": content}
    return {"post": found}


_REFUSED: dict[str, Any] = {
    "description": "`response.result` says why not.",
    "content": {"application/json": {"schema": _REFUSAL}, "text/plain": {"schema": TEXT}},
}


def v01_paths() -> dict[str, dict[str, Any]]:
    """The paths of the v0.1 API, as OpenAPI path items."""
    api = "/api/v0.1"
    pod, name, run = f"{api}/pods/{{pod}}", path("pod"), path("run")
    package = {"type": "string", "contentMediaType": "application/zip"}
    paths = {
        f"{api}/pods": _get("Every pod.", {"200": answer(array_of(_POD))}),
        pod: _get("One pod.", {"200": answer(_POD), **_GONE}, name),
        f"{pod}/train": _post(
            "Begin a training run; `ok` comes at once.",
            {"200": answer(TEXT, "text/plain")},
            name,
            body={"application/json": _TRAIN},
        ),
        f"{pod}/training_runs": _get(
            "Training runs of a pod.", {"200": answer(array_of(_RUN)), **_GONE}, name
        ),
        f"{pod}/training_runs/{{run}}": _get(
            "One training run.", {"200": answer(_RUN), **_GONE}, name, run
        ),
        f"{pod}/training_runs/{{run}}/loggers/{{logger}}": _post(
            "Where the curves are: the address of a TensorBoard on the engine's machine.",
            {"200": answer(TEXT, "text/plain"), **_texts("409", "500")},
            name,
            run,
            path("logger"),
        ),
        f"{pod}/training_runs/{{run}}/episodes": _post(
            "Not of use here: the engine records episodes itself.", _texts("405"), name, run
        ),
        f"{pod}/observations": {**_observations(name), **_observe(name)},
        f"{pod}/dataspaces/{{from}}/{{name}}/data": _post(
            "Add data of one dataspace, in the form its processor reads.",
            {"201": _TAKEN},
            name,
            path("from"),
            path("name"),
            _KEY,
            body={"text/csv": TEXT, "application/json": {}},
        ),
        f"{pod}/interpretations": {**_interpretations(name), **_interpret(name)},
        f"{api}/algorithms": _get(
            "What can be trained with.", {"200": answer(array_of(_ALGORITHM))}
        ),
        f"{api}/diagnostics": _get(
            "What there is, and all that is wrong with it.", {"200": answer(TEXT, "text/plain")}
        ),
    }
    for base, parameters in ((pod, (name,)), (f"{pod}/models/{{tag}}", (name, path("tag")))):
        paths[f"{base}/recommendation"] = _recommendation(*parameters)
        paths[f"{base}/export"] = _post(
            "Write the pod with its policy into a .spicepod file of the app folder.",
            {"200": _EMPTY},
            *parameters,
            body={"application/json": _EXPORT},
            needs_token=True,
        )
        paths[f"{base}/import"] = _post(
            "Make or replace the pod by a .spicepod file: of the app folder, or the body itself.",
            {"200": _EMPTY},
            *parameters,
            body={"application/json": _IMPORT, "application/zip": package},
            needs_token=True,
        )
    return paths


_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "What is sent twice with the same key within 24 hours counts once.",
    "schema": {**TEXT, "maxLength": 255},
}


def _time(name: str, meaning: str) -> dict[str, Any]:
    text = f"Unix seconds (decimal, or hexadecimal with 0x) or RFC 3339; {meaning}"
    return {"name": name, "in": "query", "description": text, "schema": TEXT}


_BOUNDS = (_time("start", "absent: all before `end`."), _time("end", "absent: all from `start`."))


def _recommendation(*parameters: dict[str, Any]) -> dict[str, Any]:
    return _get(
        "What to do.",
        {
            "200": answer(_RECOMMENDATION),
            "400": _REFUSED,
        },
        *parameters,
        _time("time", "absent or 0: now."),
        {
            "name": "explain",
            "in": "query",
            "description": "`true` adds each action's value and the features that mattered.",
            "schema": {"type": "boolean"},
        },
        {
            "name": "state",
            "in": "query",
            **deep_object("state"),
            "schema": {"type": "object", "additionalProperties": {"type": "number"}},
        },
    )


def _observations(name: dict[str, Any]) -> dict[str, Any]:
    content = {
        "text/csv": {"schema": TEXT},
        "application/json": {"schema": array_of(_OBSERVATION)},
    }
    responses = {"200": {"description": "The raw rows.", "content": content}, **_GONE}
    return _get(
        "The raw rows of a pod: CSV, or JSON where `Accept` is application/json.",
        {**responses, **_texts("504", "507")},
        name,
        *_BOUNDS,
    )


def _observe(name: dict[str, Any]) -> dict[str, Any]:
    return _post(
        "Add observations of any dataspaces of a pod, under the names they are served by.",
        {"201": _TAKEN},
        name,
        _KEY,
        body={"text/csv": TEXT, "application/json": array_of(_OBSERVATION)},
    )


def _interpretations(name: dict[str, Any]) -> dict[str, Any]:
    return _get(
        "What was said of stretches of a pod's data.",
        {"200": answer(array_of(_INTERPRETATION)), **_GONE},
        name,
        *_BOUNDS,
    )


def _interpret(name: dict[str, Any]) -> dict[str, Any]:
    return _post(
        "Say something of stretches of a pod's data: all of it is taken, or nothing.",
        {"201": _EMPTY},
        name,
        body={"application/json": array_of(_INTERPRETATION)},
    )
