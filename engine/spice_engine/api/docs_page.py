"""`/docs`: the OpenAPI document as one page that needs nothing from elsewhere, nor scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, cast

from spice_engine.api.page import page, prose
from spice_engine.learning.catalog import Algorithm

Schema = Mapping[str, Any]
REF = "#/components/schemas/"


def algorithm_link(algorithm: Algorithm) -> str:
    """Where the page describes it."""
    return f"/docs#algorithm-{algorithm.id}"


def render(document: Mapping[str, Any], algorithms: Sequence[Algorithm]) -> str:
    """The page, grouped by noun."""
    groups: dict[str, list[str]] = {}
    for path, methods in cast("dict[str, dict[str, dict[str, Any]]]", document["paths"]).items():
        for method, entry in methods.items():
            groups.setdefault(str(entry["tags"][0]), []).append(_entry(path, method, entry))
    links = " ".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in sorted(groups))
    sections = "".join(
        f'<h2 id="{escape(tag)}">{escape(tag)}</h2>{"".join(entries)}'
        for tag, entries in sorted(groups.items())
    )
    info = document["info"]
    return page(
        "spice-tui API",
        f"<h1>spice-tui API <small>{escape(str(info['version']))}</small></h1>"
        f"<p>{prose(info['description'])} The same as "
        "<a href=/api/openapi.json>OpenAPI document</a>.</p>"
        f"<nav>{links} <a href=#schemas>schemas</a> <a href=#algorithms>algorithms</a></nav>"
        f"{sections}<h2 id=schemas>Schemas</h2>{_schemas(document)}"
        f"<h2 id=algorithms>Algorithms</h2>{_algorithms(algorithms)}",
    )


def _entry(path: str, method: str, entry: Mapping[str, Any]) -> str:
    parts = [f"<p>{prose(entry.get('description', ''))}</p>"]
    rows = [
        (str(it["name"]), _type(_schema_of(it)), str(it["in"]), _note(it))
        for it in entry["parameters"]
    ]
    body: Mapping[str, Any] = entry.get("requestBody", {}).get("content", {})
    schema = cast("Schema", body.get("application/json", {}).get("schema", {}))
    needed = cast("Sequence[str]", schema.get("required", ()))
    for name, field in cast("dict[str, Schema]", schema.get("properties", {})).items():
        note = _note({"schema": field, "required": name in needed})
        rows.append((name, _type(field), "body", note))
    if rows:
        cells = "".join(
            f"<tr><td><code>{escape(name)}</code><td>{kind}<td>{place}<td>{note}"
            for name, kind, place, note in rows
        )
        parts.append(f"<table><tr><th>Name<th>Type<th>In<th>{cells}</table>")
    parts.append(f"<pre>{escape(_curl(path, method, entry, schema))}</pre>")
    answers = "".join(_answer(status, it) for status, it in entry["responses"].items())
    parts.append(f"<p>Answers: {answers}</p>")
    head = f"<b>{method.upper()}</b> <span class=path>{escape(path)}</span>"
    summary = prose(entry["summary"])
    return f"<details><summary>{head} {summary}</summary>{''.join(parts)}</details>"


def _answer(status: str, response: Mapping[str, Any]) -> str:
    content: Mapping[str, Any] = response.get("content", {})
    kinds = [f"{kind} {_type(it['schema'])}" for kind, it in content.items()]
    return f"<code>{status}</code> {'; '.join(kinds)} "


def _schema_of(parameter: Mapping[str, Any]) -> Schema:
    return cast("Schema", parameter["schema"])


def _type(schema: Schema) -> str:
    """A schema in one line of HTML, with links to the schemas it names."""
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).removeprefix(REF))
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(str(name) for name in cast("list[Any]", kind))
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict):
        return f"map to {_type(cast('Schema', values))}"
    return str(kind)


def _note(parameter: Mapping[str, Any]) -> str:
    schema = _schema_of(parameter)
    notes = ["required"] if parameter.get("required") else []
    if "default" in schema:
        notes.append(f"default <code>{escape(json.dumps(schema['default']))}</code>")
    text = parameter.get("description") or schema.get("description") or ""
    return ", ".join([*notes, *([prose(text)] if text else [])])


def _curl(path: str, method: str, entry: Mapping[str, Any], body: Schema) -> str:
    parts = ["curl"]
    if method != "get":
        parts.append(f"-X {method.upper()}")
    if entry["security"] == [{"token": []}]:
        parts.append('-H "Authorization: Bearer $(cat .spice/token)"')
    if "text/csv" in entry.get("requestBody", {}).get("content", {}):
        parts.append("--data-binary @rows.csv")
    elif body.get("type") == "array":
        parts.append("-H 'Content-Type: application/json' -d '[]'")
    elif body:
        fields = cast("dict[str, Schema]", body.get("properties", {}))
        needed = cast("Sequence[str]", body.get("required", ()))
        example = {name: _example(fields[name]) for name in needed}
        parts.append(f"-H 'Content-Type: application/json' -d '{json.dumps(example)}'")
    return " ".join([*parts, f"'http://localhost:8000{path}'"])


def _example(schema: Schema) -> Any:
    if "anyOf" in schema:
        return _example(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    plain: dict[str, Any] = {
        "integer": 1,
        "number": 1.5,
        "boolean": True,
        "array": [],
        "object": {},
    }
    return plain.get(str(schema.get("type", "object")), "…")


def _schemas(document: Mapping[str, Any]) -> str:
    parts: list[str] = []
    schemas = cast("dict[str, Schema]", document["components"]["schemas"])
    for name, schema in sorted(schemas.items()):
        needed = cast("Sequence[str]", schema.get("required", ()))
        rows = "".join(
            f"<tr><td><code>{escape(field)}</code><td>{_type(it)}"
            f"<td>{_note({'schema': it, 'required': field in needed})}"
            for field, it in cast("dict[str, Schema]", schema.get("properties", {})).items()
        )
        text = prose(schema.get("description", ""))
        parts.append(
            f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
            f"<p>{text}</p><table>{rows}</table></details>"
        )
    return "".join(parts)


def _algorithms(algorithms: Sequence[Algorithm]) -> str:
    rows = "".join(
        f'<tr id="algorithm-{escape(item.id)}"><td><code>{escape(item.id)}</code>'
        f"<td>{escape(item.name)}<td>{prose(item.summary)}"
        for item in algorithms
    )
    return f"<table>{rows}</table>"
