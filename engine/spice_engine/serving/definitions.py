"""Definitions of servers: checking, changing, comparing. Looks at no model and starts nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.servers import ServerDefinition

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

TYPES = ("script", "onnx", "sklearn", "torchscript", "pod")
RESERVED = frozenset(
    {"api", "v2", "docs", "servers", "health", "ready", "metrics", "static", "predict"}
)
"""First parts of paths of the public door that no server may take."""

MOST_PODS = 64
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NESTED = ("dependencies", "batching", "scaling", "limits", "door")

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("num_processes", 1, 64),
    ("threads", 1, 64),
    ("max_concurrency", 1, 10_000),
    ("start_timeout", 0.1, 86_400),
    ("batching.max_size", 1, 10_000),
    ("batching.wait_ms", 0, 60_000),
    ("scaling.min_pods", 0, MOST_PODS),
    ("scaling.max_pods", 1, MOST_PODS),
    ("scaling.cpu_utilization", 0.01, 100),
    ("scaling.requests_per_second", 0.001, 1e9),
    ("scaling.queue_ms", 0.1, 3_600_000),
    ("scaling.down_after", 0, 86_400),
    ("limits.cpu_request", 0, 4096),
    ("limits.cpu_limit", 0.01, 4096),
    ("limits.memory_request", 0, 2**50),
    ("limits.memory_limit", 2**20, 2**50),
    ("limits.gpus", 0, 64),
    ("door.deadline", 0.001, 86_400),
    ("door.max_queue", 1, 1_000_000),
    ("door.max_body", 1, 2**30),
)


@cache
def _adapter() -> TypeAdapter[ServerDefinition]:
    from pydantic import TypeAdapter  # the engine is ready before it is needed

    return TypeAdapter(ServerDefinition)


def to_plain(definition: ServerDefinition) -> dict[str, Any]:
    """The definition as maps, lists and values, as it is stored."""
    return dataclasses.asdict(definition)


def from_plain(data: Mapping[str, Any]) -> ServerDefinition:
    """A definition of stored or given data; what it does not know is left out.

    Raises:
        InvalidRequest: a value is not of its field's type.
    """
    from pydantic import ValidationError

    try:
        return _adapter().validate_python(dict(data))
    except ValidationError as error:
        raise InvalidRequest(f"the definition of a server: {_findings(error)}.") from None


def merge(definition: ServerDefinition, changes: Mapping[str, Any]) -> ServerDefinition:
    """The definition with changed fields, those of nested parts one by one. None: the default,
    but where None is a value.

    Raises:
        InvalidRequest: there is no such field, or a value is not of its type.
    """
    data = to_plain(definition)
    defaults = to_plain(ServerDefinition(definition.name))
    for name, value in changes.items():
        if name == "name":
            raise InvalidRequest(
                "a server's name stays.", hint="Serve it anew under the other name."
            )
        if name not in data:
            raise _unknown(name, data)
        if name not in _NESTED:
            data[name] = defaults[name] if value is None else value
            continue
        if not isinstance(value, Mapping):
            raise InvalidRequest(f"{name}: must be a map of fields.")
        part = data[name]
        for inner, one in cast("Mapping[str, Any]", value).items():
            if inner not in part:
                raise _unknown(f"{name}.{inner}", {f"{name}.{field}" for field in part})
            part[inner] = defaults[name][inner] if one is None else one
    return from_plain(data)


def differences(old: ServerDefinition | None, new: ServerDefinition) -> list[list[str]]:
    """What changes, as [field, old, new] in words; values of variables are not shown."""
    before = dict(_flat(old)) if old is not None else dict(_flat(ServerDefinition(new.name)))
    after = dict(_flat(new))
    found: list[list[str]] = []
    for name in [*after, *(name for name in before if name not in after)]:
        one, other = before.get(name), after.get(name)
        if one == other or (old is None and name == "name"):
            continue
        if name.startswith("env."):
            found.append([name, *("" if value is None else "(set)" for value in (one, other))])
        else:
            found.append([name, _text(one), _text(other)])
    return found


def check(definition: ServerDefinition, root: Path) -> None:
    """Refuse what cannot be served, all findings at once. Looks at the disk for the entrypoint.

    Raises:
        InvalidRequest: what is wrong, and why.
    """
    found = [*_identity(definition), *_sources(definition, root), *_numbers(definition)]
    found += [*_environment(definition), *_places(definition), *_door(definition)]
    if found:
        raise InvalidRequest(
            f"server {definition.name[:100]!r}: {'; '.join(text for text, _ in found)}.",
            hint=next((hint for _, hint in found if hint), ""),
        )


def model_names(definition: ServerDefinition) -> list[tuple[str, str]]:
    """Name and version of each model; the version is empty where none is given."""
    return [(name, version) for name, _, version in (m.partition(":") for m in definition.models)]


def check_name(name: str) -> str:
    """Why a server cannot have this name; empty where it can."""
    if not _NAME.fullmatch(name):
        return "a name has letters, digits and '-' inside, at most 63 of them"
    if name.lower() in RESERVED:
        return f"the name {name!r} belongs to a path of the HTTP door"
    return ""


_Finding = tuple[str, str]


def _identity(definition: ServerDefinition) -> Iterator[_Finding]:
    if reason := check_name(definition.name):
        yield reason, "Give another --name."
    if definition.type not in TYPES:
        yield f"there is no type {definition.type!r}", f"Types: {', '.join(TYPES)}."
    seen: set[str] = set()
    for name, version in model_names(definition):
        if not name or not version:
            yield "A model tag must be specified in the form model_name:version", ""
        if name in seen:
            yield f"model {name!r} is named twice", "A server has one version of each model."
        seen.add(name)


def _sources(definition: ServerDefinition, root: Path) -> Iterator[_Finding]:
    if definition.type == "script":
        yield from _entrypoint(definition.entrypoint, None if definition.git else root)
        return
    if definition.entrypoint:
        yield f"a server of type {definition.type} has no entrypoint", ""
    if len(definition.models) != 1:
        yield f"a server of type {definition.type} serves exactly one model", ""
    if definition.type == "pod" and (definition.mounts or definition.classname):
        yield "a pod's policy takes neither mounts nor a class", ""


def _entrypoint(entrypoint: str, root: Path | None) -> Iterator[_Finding]:
    path = PurePosixPath(entrypoint)
    if not entrypoint:
        yield "it needs an entrypoint: a Python file with a Predictor", ""
    elif "\0" in entrypoint or path.is_absolute() or ".." in path.parts:
        yield (
            f"the entrypoint {entrypoint[:200]!r} is not inside the app folder",
            "Name it relative to the app folder.",
        )
    elif path.suffix != ".py":
        yield "Predictor must be in a Python file", ""
    elif root is not None and not (root / entrypoint).is_file():
        yield f"there is no file {entrypoint[:200]!r} in {root}", ""
    elif not all(part.isidentifier() for part in path.with_suffix("").parts[-1:]):
        yield f"Invalid python path element {path.stem}", "Give the file a name Python can import."


def _numbers(definition: ServerDefinition) -> Iterator[_Finding]:
    values = dict(_flat(definition))
    for name, least, most in _RANGES:
        value = values.get(name)
        if value is None:
            continue
        if not math.isfinite(value) or not least <= value <= most:
            if name.startswith("limits.memory"):
                yield f"{name}: must be between {least / 2**20:g} MiB and {most / 2**40:g} TiB", ""
            else:
                yield f"{name}: must be between {least:g} and {most:g}", ""
    scaling, limits = definition.scaling, definition.limits
    if scaling.min_pods > scaling.max_pods:
        yield f"min_pods ({scaling.min_pods}) is over max_pods ({scaling.max_pods})", ""
    if (
        limits.memory_request
        and limits.memory_limit
        and (limits.memory_request > limits.memory_limit)
    ):
        yield "limits.memory_request is over limits.memory_limit", ""


def _environment(definition: ServerDefinition) -> Iterator[_Finding]:
    for name, value in definition.env.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            yield f"{name[:40]!r} cannot be the name of a variable", "Write --env NAME=VALUE."
    try:
        json.dumps(definition.config, allow_nan=True)
    except (TypeError, ValueError):
        yield "config holds what JSON has no form for", ""


def _places(definition: ServerDefinition) -> Iterator[_Finding]:
    seen: set[PurePosixPath] = set()
    for resource, destination in definition.mounts.items():
        path = PurePosixPath(destination)
        if not resource or not destination or "\0" in destination:
            yield f"the mount {resource[:80]!r} has no destination", ""
        elif path.is_absolute() or ".." in path.parts or path == PurePosixPath("."):
            yield f"the mount's destination {destination[:80]!r} is not below /mounts", ""
        elif path in seen:
            yield f"two mounts go to /mounts/{path}", ""
        elif any(path in other.parents or other in path.parents for other in seen):
            # What is below a folder is the resource's, and may be a link to anywhere.
            yield f"/mounts/{path} and another mount lie in one another", ""
        seen.add(path)


def _door(definition: ServerDefinition) -> Iterator[_Finding]:
    door = definition.door
    if door.auth not in {"none", "token"}:
        yield f"door.auth is none or token, not {door.auth[:40]!r}", ""
    if door.retry not in {"once", "never"}:
        yield f"door.retry is once or never, not {door.retry[:40]!r}", ""
    for origin in door.cors:
        if origin != "*" and not re.fullmatch(r"https?://[^\s/]+", origin):
            yield f"{origin[:80]!r} is no origin", "Write it as https://example.org."


def _flat(definition: ServerDefinition) -> Iterator[tuple[str, Any]]:
    for name, value in to_plain(definition).items():
        if name in {*_NESTED, "env", "mounts", "config"}:
            for inner, one in value.items():
                yield f"{name}.{inner}", one
        else:
            yield name, value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(str(item) for item in cast("list[Any]", value))
    if isinstance(value, str):
        return value if len(value) <= 200 else f"{value[:200]}…"
    return json.dumps(value, ensure_ascii=False)


def _unknown(name: str, known: object) -> InvalidRequest:
    names = ", ".join(sorted(str(item) for item in cast("Any", known)))
    return InvalidRequest(f"a server has no {name[:80]!r}.", hint=f"There are: {names}.")


def _findings(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'definition'}: "
        f"{item['msg'][:1].lower()}{item['msg'][1:]}"
        for item in error.errors(include_url=False, include_input=False)
    )
