"""The text of a request that is composed: whether it is JSON, how it is written, an example."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, cast

from spice_engine.records import record

LONGEST = 200_000
"""Characters of an answer that are shown."""
_DEEPEST = 4


@record
class Payload:
    """A text read as JSON. `problem` says what is wrong with it, at `line` and `column` from 1."""

    value: Any = None
    problem: str = ""
    line: int = 0
    column: int = 0

    @property
    def told(self) -> str:
        """What is wrong and where, in a line."""
        return f"{self.problem} (line {self.line}, column {self.column})" if self.problem else ""


def read(text: str) -> Payload:
    """A payload; NaN and infinities are no JSON, though Python reads them."""
    if not text.strip():
        return Payload(problem="A payload is needed", line=1, column=1)
    try:
        return Payload(json.loads(text, parse_constant=_refuse))
    except json.JSONDecodeError as error:
        return Payload(problem=error.msg, line=error.lineno, column=error.colno)
    except _NoJson as error:
        at = text.find(error.word)
        line = text.count("\n", 0, at) + 1
        problem = f"{error.word} is no JSON"
        return Payload(problem=problem, line=line, column=at - text.rfind("\n", 0, at))
    except RecursionError:
        return Payload(problem="It is nested too deeply", line=1, column=1)


class _NoJson(Exception):
    """A word that Python's reader takes and JSON has not."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def _refuse(word: str) -> Any:
    raise _NoJson(word)


def pretty(body: str, content_type: str) -> str:
    """An answer's body as it is shown: JSON with a line a member, all else as it came."""
    if "json" in content_type:
        # What claims to be JSON and is none is shown as it came.
        with contextlib.suppress(ValueError, RecursionError):
            body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    if len(body) > LONGEST:
        return f"{body[:LONGEST]}\n… {len(body) - LONGEST:,} more characters"
    return body


def written(value: Any) -> str:
    """A payload for editing: short ones in a line."""
    short = json.dumps(value, ensure_ascii=False)
    return short if len(short) <= 60 else json.dumps(value, indent=2, ensure_ascii=False)


def first_payload(predictor: Mapping[str, Any]) -> str:
    """What to begin with: an example of what the predictor says it takes, else an empty map."""
    schema = predictor.get("payload_schema")
    if not isinstance(schema, Mapping):
        return "{}"
    known = cast("Mapping[str, Any]", schema)
    return written(_example(known, known.get("$defs", {}), 0))


def _example(schema: Mapping[str, Any], parts: Any, depth: int) -> Any:
    """A value of a JSON schema (draft 2020-12, as pydantic and msgspec write it)."""
    if depth > _DEEPEST:
        return None
    for name in ("default", "const"):
        if name in schema:
            return schema[name]
    for name in ("examples", "enum"):
        if isinstance(schema.get(name), list) and schema[name]:
            return schema[name][0]
    reference = schema.get("$ref")
    if isinstance(reference, str) and isinstance(parts, Mapping):
        part = cast("Mapping[str, Any]", parts).get(reference.rpartition("/")[2], {})
        return _example(part, parts, depth + 1)
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(name), list) and schema[name]:
            return _example(schema[name][0], parts, depth + 1)
    return _of_type(schema, parts, depth)


def _of_type(schema: Mapping[str, Any], parts: Any, depth: int) -> Any:
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            wanted = schema.get("required", ())  # what may be left out is left out
            return {
                name: _example(field, parts, depth + 1)
                for name, field in fields.items()
                if name in wanted
            }
        case "array":
            items = schema.get("items")
            return [_example(items, parts, depth + 1)] if isinstance(items, Mapping) else []
        case "string":
            return ""
        case "integer":
            return 0
        case "number":
            return 0.0
        case "boolean":
            return False
        case _:
            return None if "type" in schema else {}
