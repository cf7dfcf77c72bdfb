"""Definitions of servers as YAML: what `server render` writes and `server apply` reads.

A file holds one server as a map, or several as a list or as YAML documents. Fields have the
names of `ServerDefinition`; sizes may be written as `512M`, times as `90s`. What is wrong is told
with its line and column, all of it at once.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from spice_engine.errors import InvalidSettings, Place
from spice_engine.protocol.servers import ServerDefinition
from spice_tui.cli import values

_SIZES = frozenset({"memory_request", "memory_limit", "max_body"})
_TIMES = frozenset({"start_timeout", "deadline", "down_after"})
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_TOLD = 10


class _Finding(Exception):
    def __init__(self, text: str, node: yaml.Node) -> None:
        self.text = text
        self.mark = node.start_mark


def read(path: Path) -> list[dict[str, Any]]:
    """The definitions in a file, as maps of fields; what is not written is left out.

    Raises:
        InvalidSettings: it cannot be read, or something in it cannot be used; with its place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSettings(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{path} is not UTF-8 text.") from None
    return parse(text, str(path))


def parse(text: str, file: str) -> list[dict[str, Any]]:
    """The definitions in a text; `file` is what errors call it.

    Raises:
        InvalidSettings: something in it cannot be used; with its place.
    """
    try:
        documents = [node for node in yaml.compose_all(text, _LOADER) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        raise InvalidSettings(f"not YAML: {error.problem or error}.", place=place) from None
    except yaml.YAMLError as error:
        raise InvalidSettings(f"not YAML: {error}.", place=Place(file)) from None
    findings: list[_Finding] = []
    found = [_server(node, findings) for node in _servers(documents)]
    _check_names(found, findings)
    if findings:
        _refuse(findings, file)
    if not found:
        raise InvalidSettings("there is no server in it.", place=Place(file))
    return [definition for _, definition in found]


def render(definition: dict[str, Any]) -> str:
    """A definition as YAML; fields that have their default are left out."""
    defaults = dataclasses.asdict(ServerDefinition(str(definition["name"])))
    shown: dict[str, Any] = {"name": definition["name"]}
    for name, value in definition.items():
        default = defaults.get(name)
        if name == "name" or value == default:
            continue
        if isinstance(default, dict) and name in _PARTS:
            shown[name] = {
                inner: _written(inner, one)
                for inner, one in value.items()
                if one != default.get(inner)
            }
        else:
            shown[name] = _written(name, value)
    return yaml.dump(shown, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


def _written(name: str, value: Any) -> Any:
    if name in _SIZES and isinstance(value, int):
        for unit, letter in ((2**30, "G"), (2**20, "M")):
            if value and value % unit == 0:
                return f"{value // unit}{letter}"
    return value


def _servers(documents: list[yaml.Node]) -> Iterator[yaml.Node]:
    for node in documents:
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        else:
            yield node


def _server(node: yaml.Node, findings: list[_Finding]) -> tuple[yaml.Node, dict[str, Any]]:
    if not isinstance(node, yaml.MappingNode):
        findings.append(_Finding("a server is a map of fields.", node))
        return node, {}
    found = _map(node, _FIELDS, "", findings)
    if found.get("name", "") == "" and all(key.value != "name" for key, _ in node.value):
        findings.append(_Finding("a server has a name.", node))
    return node, found


def _check_names(found: list[tuple[yaml.Node, dict[str, Any]]], findings: list[_Finding]) -> None:
    seen: set[str] = set()
    for node, definition in found:
        name = str(definition.get("name", ""))
        if name and name in seen:
            findings.append(_Finding(f"server {name!r} is there twice.", node))
        seen.add(name)


def _map(
    node: yaml.MappingNode, fields: dict[str, Any], within: str, findings: list[_Finding]
) -> dict[str, Any]:
    """The fields of a map, each as its type."""
    found: dict[str, Any] = {}
    for key, value in node.value:
        name = str(key.value)
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f". There are: {', '.join(fields)}."
            findings.append(_Finding(f"{within or 'a server'} has no {name!r}{hint}", key))
        elif name in found:
            findings.append(_Finding(f"{name!r} is there twice.", key))
        elif isinstance(inner := fields[name], dict):
            if isinstance(value, yaml.MappingNode):
                found[name] = _map(value, inner, name, findings)
            else:
                findings.append(_Finding(f"{name} is a map of fields.", value))
        else:
            try:
                found[name] = _value(name, value, inner)
            except _Finding as finding:
                findings.append(finding)
    return found


def _value(name: str, node: yaml.Node, kind: Any) -> Any:
    """A value as its field's type."""
    value = _plain(node)
    options = get_args(kind) if get_origin(kind) in {Union, _UNION} else (kind,)
    if value is None and type(None) in options:
        return None
    kind = next(one for one in options if one is not type(None))
    if isinstance(value, str) and name in _SIZES | _TIMES:
        try:
            return values.size(value) if name in _SIZES else values.duration(value)
        except ValueError as error:
            raise _Finding(f"{name}: {error}", node) from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    outer = get_origin(kind) or kind
    if not isinstance(value, outer) or (isinstance(value, bool) and outer is not bool):
        raise _Finding(f"{name}: must be {_WORDS.get(outer, outer.__name__)}.", node)
    inner = get_args(kind)
    if inner and inner[-1] is str:
        return _texts(name, node, value)
    return value


def _texts(name: str, node: Any, value: Any) -> Any:
    """A list or map of texts; numbers in it are taken as they are written."""
    if isinstance(value, dict):
        return {str(key.value): _as_text(name, item) for key, item in node.value}
    return [_as_text(name, item) for item in node.value]


def _as_text(name: str, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _Finding(f"{name}: must hold texts only.", node)
    return str(node.value)


def _plain(node: yaml.Node) -> Any:
    loader = _LOADER("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise _Finding(f"cannot be read: {getattr(error, 'problem', error)}.", node) from None
    finally:
        loader.dispose()


def _refuse(findings: list[_Finding], file: str) -> None:
    findings.sort(key=lambda one: (one.mark.line, one.mark.column))
    first, *others = findings[:_MOST_TOLD]
    more = "".join(
        f" Also {file}:{one.mark.line + 1}:{one.mark.column + 1}: {one.text}" for one in others
    )
    place = Place(file, first.mark.line + 1, first.mark.column + 1)
    raise InvalidSettings(f"{first.text}{more}", place=place)


def _fields(kind: type[Any]) -> dict[str, Any]:
    """The fields of a class with their types, those of its parts as maps."""
    return {
        name: _fields(one) if isinstance(one, type) and dataclasses.is_dataclass(one) else one
        for name, one in get_type_hints(kind).items()
    }


_UNION = type(int | None)
_FIELDS = _fields(ServerDefinition)
_PARTS = frozenset(name for name, one in _FIELDS.items() if isinstance(one, dict))
_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a map",
}
