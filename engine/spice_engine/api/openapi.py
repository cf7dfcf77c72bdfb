"""The OpenAPI 3.1 document: every operation from the table, the other paths by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import TypeAdapter

from spice_engine import __version__
from spice_engine.api.openapi_paths import (
    ERROR_RESPONSES,
    ERROR_SCHEMAS,
    deep_object,
    fixed_paths,
)
from spice_engine.api.openapi_servers import server_paths
from spice_engine.api.openapi_v01 import v01_paths
from spice_engine.api.rest import takes_body
from spice_engine.operations import Operation, OperationTable

REF = "#/components/schemas/"
Mode = Literal["validation", "serialization"]
Schema = dict[str, Any]


def build(table: OperationTable) -> dict[str, Any]:
    """The document as plain data. Takes tens of milliseconds: not for the engine's loop."""
    operations = list(table)
    inputs: list[tuple[str, Mode, TypeAdapter[Any]]] = [
        (f"{item.name}:in", "validation", item.request_adapter) for item in operations
    ]
    outputs: list[tuple[str, Mode, TypeAdapter[Any]]] = [
        (f"{item.name}:out", "serialization", item.response_adapter) for item in operations
    ]
    schemas, shared = TypeAdapter.json_schemas([*inputs, *outputs], ref_template=REF + "{model}")
    components = cast("dict[str, Schema]", shared.get("$defs", {}))
    paths: dict[str, dict[str, Any]] = {}
    for item in operations:
        asked = _resolve(schemas[f"{item.name}:in", "validation"], components)
        answered = schemas[f"{item.name}:out", "serialization"]
        entry = _entry(item, asked, answered)
        paths.setdefault(item.path, {})[item.method.lower()] = entry
    paths.update(fixed_paths())
    paths.update(v01_paths())
    paths.update(server_paths())
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "spice-tui engine",
            "version": __version__,
            "description": "Numbers that are not finite are sent as null, bytes as base64 text. "
            "Observations are plain text. "
            "Every error has the form of the schema Error; `code` is stable.",
        },
        "servers": [{"url": "/"}],
        "tags": _tags(paths),
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**components, **ERROR_SCHEMAS},
            "responses": ERROR_RESPONSES,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The text of .spice/token in the app folder.",
                }
            },
        },
    }
    return cast("dict[str, Any]", _for_json(document))


def _entry(item: Operation, asked: Schema, answered: Schema) -> dict[str, Any]:
    properties = cast("dict[str, Schema]", asked.get("properties", {}))
    required = set(cast("Sequence[str]", asked.get("required", ())))
    summary, _, rest = item.summary.partition("\n")
    entry: dict[str, Any] = {
        "operationId": item.name,
        "tags": [item.name.partition(".")[0]],
        "summary": summary.strip(),
        "security": [{"token": []}],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {**properties[name], **_not_empty(properties[name])},
            }
            for name in item.path_parameters
        ],
        "responses": {
            "200": {
                "description": "The operation was carried out.",
                "content": {"application/json": {"schema": answered}},
            },
            **{status: {"$ref": f"#/components/responses/{status}"} for status in ERROR_RESPONSES},
        },
    }
    if rest.strip():
        entry["description"] = rest.strip()
    others = {name: it for name, it in properties.items() if name not in item.path_parameters}
    if takes_body(item):
        needed = sorted(required & others.keys())
        entry["requestBody"] = {
            "required": bool(needed),
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "title": f"{item.name} body",
                        "properties": others,
                        **({"required": needed} if needed else {}),
                        "additionalProperties": False,
                    }
                }
            },
        }
    else:
        entry["parameters"] += [_query(name, it, name in required) for name, it in others.items()]
    return entry


def _query(name: str, schema: Schema, required: bool) -> dict[str, Any]:
    # A query cannot say null; leaving the name out means the same.
    choices = cast("list[Schema]", schema.get("anyOf", []))
    real = [choice for choice in choices if choice.get("type") != "null"]
    if len(real) == 1 and len(choices) == 2:
        schema = {**{key: it for key, it in schema.items() if key != "anyOf"}, **real[0]}
        if schema.get("default", 0) is None:
            del schema["default"]
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": required}
    if schema.get("type") == "object":
        parameter |= deep_object(name)
    return {**parameter, "schema": schema}


def _not_empty(schema: Schema) -> Schema:
    return {"minLength": 1} if schema.get("type") == "string" else {}


def _resolve(schema: Mapping[str, Any], components: Mapping[str, Schema]) -> Schema:
    reference = schema.get("$ref")
    return components[str(reference).removeprefix(REF)] if reference else dict(schema)


def _tags(paths: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    names = {
        str(tag)
        for entries in paths.values()
        for entry in entries.values()
        for tag in entry["tags"]
    }
    return [{"name": name} for name in sorted(names)]


def _for_json(node: Any) -> Any:
    """Pydantic's schema as what this door really sends and takes.

    Integers are bounded to 64 bits, bytes are base64 or a text's, and defaults are plain data.
    """
    if isinstance(node, dict):
        named = cast("dict[str, Any]", node)
        fixed: dict[str, Any] = {key: _for_json(value) for key, value in named.items()}
        if fixed.get("type") == "integer":
            fixed.setdefault("format", "int64")
        if fixed.get("type") == "string" and fixed.get("format") == "binary":
            del fixed["format"]
            fixed["contentEncoding"] = "base64"
        if fixed.get("format") == "utf-8":
            del fixed["format"]
        return fixed
    if isinstance(node, list | tuple):
        return [_for_json(item) for item in cast("list[Any]", node)]
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return dataclasses.asdict(node)
    return node
