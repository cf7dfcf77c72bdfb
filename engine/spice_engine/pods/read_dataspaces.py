"""The `dataspaces` part of a manifest: where data come from and what is measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, cast

from spice_engine.errors import Place
from spice_engine.pods.model import Connector, Dataspace, Measurement, Processor
from spice_engine.pods.problems import Fix, Severity, did_you_mean
from spice_engine.pods.reader import Reader
from spice_engine.pods.yaml_tree import Node
from spice_engine.units import TIME_FORMATS

_WORD = re.compile(r"[A-Za-z]\w*", re.ASCII)
_FIELD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_UNSUPPORTED: dict[str, Severity] = {
    "seed_data": "error",
    "categories": "error",
    "tags": "error",
    "actions": "error",
    "laws": "error",
    "identifiers": "warning",  # never learned from
}
_LATER_CONNECTORS = ("http", "influxdb", "websocket", "coinbase", "sql", "gym", "twitter", "flight")
_LATER_PROCESSORS = ("json", "flux-csv", "arrow", "parquet")
_KINDS = {
    "connector": (("file",), _LATER_CONNECTORS),
    "processor": (("csv",), _LATER_PROCESSORS),
}


def read_dataspaces(reader: Reader, node: Node | None) -> tuple[Dataspace, ...]:
    """All dataspaces that could be made out."""
    spaces: list[Dataspace] = []
    for item in reader.items(node, "dataspaces"):
        space = _read_dataspace(reader, item)
        if space is None:
            continue
        if any(other.path == space.path for other in spaces):
            message = f"The dataspace '{space.path}' is there twice."
            reader.error("duplicate_dataspace", space.place, message)
        else:
            spaces.append(space)
    _check_fields(reader, spaces)
    return tuple(spaces)


def _read_dataspace(reader: Reader, node: Node) -> Dataspace | None:
    known = ("from", "name", "data", "measurements", "datasource")
    entries = reader.mapping(
        node,
        "A dataspace",
        known,
        renamed={"fields": "measurements"},
        unsupported=_UNSUPPORTED,
    )
    names: list[str] = []
    for key in ("from", "name"):
        text = reader.text(entries.get(key), f"A dataspace's '{key}'")
        names.append(text)
        if not text:
            message = f"A dataspace needs '{key}'."
            reader.error("missing_name", node.place, message)
        elif not _WORD.fullmatch(text):
            message = f"invalid dataspace \"{key}\": '{text}' should only contain A-Za-z0-9_"
            message += " and start with a letter."
            reader.error("invalid_dataspace_name", entries[key].place, message)
    measurements = tuple(_read_measurements(reader, entries.get("measurements")))
    connector, processor = _read_data(reader, entries.get("data"))
    if not all(names):
        return None
    return Dataspace(names[0], names[1], connector, processor, measurements, node.place)


def _read_data(reader: Reader, node: Node | None) -> tuple[Connector | None, Processor | None]:
    if node is None:
        return None, None
    entries = reader.mapping(node, "data", ("connector", "processor"))
    if "connector" not in entries:
        reader.unsupported(node.place, "Data without a connector (push only) is")
        return None, None
    connector = _read_connector(reader, entries["connector"])
    if "processor" not in entries:
        message = "'data' needs a processor, for example {name: csv}."
        reader.error("missing_processor", node.place, message)
        return connector, None
    return connector, _read_processor(reader, entries["processor"])


def _named(reader: Reader, node: Node, what: str) -> tuple[str, Place, Node | None]:
    """Name, its place, and params of a connector or processor."""
    entries = reader.mapping(node, what, ("name", "params"), renamed={"type": "name"})
    name = reader.text(entries.get("name"), f"{what}'s name")
    place = entries["name"].place if name else node.place
    if not name:
        reader.error("missing_name", place, f"{what} needs a name.")
    return name, place, entries.get("params")


def _known(reader: Reader, name: str, place: Place, kind: str) -> bool:
    """Whether this version has a connector or processor; if not, why is noted."""
    ours, later = _KINDS[kind]
    if not name or name in ours:
        return bool(name)
    if name in later:
        reader.unsupported(place, f"The {kind} '{name}' is")
        return False
    close = did_you_mean(name, ours)
    hint = f"Did you mean '{close}'?" if close else f"Known are {', '.join(ours)}."
    fix = Fix(f"Change it to '{close}'", place, close) if close else None
    what = kind if kind == "processor" else f"data {kind}"
    reader.error(f"unknown_{kind}", place, f"unknown {what} '{name}'. {hint}", fix)
    return False


def _read_connector(reader: Reader, node: Node) -> Connector | None:
    name, place, params = _named(reader, node, "A connector")
    if not _known(reader, name, place, "connector"):
        return None
    entries = reader.mapping(params, "The params of a file connector", ("path", "watch"))
    path = reader.text(entries.get("path"), "path")
    if not path:
        reader.error("missing_path", place, "The file connector needs params: {path: ...}.")
        return None
    return Connector(name, path, entries["path"].place)


def _read_processor(reader: Reader, node: Node) -> Processor | None:
    name, place, params = _named(reader, node, "A processor")
    if not _known(reader, name, place, "processor"):
        return None
    keys = ("time_selector", "time_format")
    entries = reader.mapping(params, "The params of a csv processor", keys)
    time_format = reader.text(entries.get("time_format"), "time_format").lower()
    if time_format and time_format not in TIME_FORMATS:
        what = f"The time format '{time_format}' (other than {', '.join(TIME_FORMATS)}) is"
        reader.unsupported(entries["time_format"].place, what)
    selector = reader.text(entries.get("time_selector"), "time_selector", "time")
    return Processor(name, selector, time_format)


def _read_measurements(reader: Reader, node: Node | None) -> Iterator[Measurement]:
    seen: set[str] = set()
    for item in reader.items(node, "measurements"):
        keys = ("name", "selector", "initializer", "fill")
        entries = reader.mapping(item, "A measurement", keys)
        name = reader.text(entries.get("name"), "A measurement's name")
        if not name:
            reader.error("missing_name", item.place, "A measurement needs a name.")
            continue
        place = entries["name"].place
        if not _FIELD.fullmatch(name):
            message = f"The measurement's name '{name}' should only contain A-Za-z0-9_."
            message += " Name the column by 'selector' instead."
            reader.error("invalid_measurement_name", place, message)
        if name in seen:
            message = f"The measurement '{name}' is there twice."
            reader.error("duplicate_measurement", place, message)
            continue
        seen.add(name)
        selector = entries.get("selector")
        yield Measurement(
            name=name,
            selector=reader.text(selector, "selector", name),
            initializer=reader.number(entries.get("initializer"), "initializer", 0.0),
            fill=_read_fill(reader, entries.get("fill")),
            place=selector.place if selector else place,
        )


def _read_fill(reader: Reader, node: Node | None) -> Literal["previous", "none"]:
    text = reader.text(node, "fill", "previous")
    if node is not None and text not in ("previous", "none"):
        message = f"invalid measurement fill '{text}': choose one of ['previous', 'none']"
        close = did_you_mean(text, ("previous", "none"))
        fix = Fix(f"Change it to '{close}'", node.place, close) if close else None
        reader.error("invalid_fill", node.place, message, fix)
        return "previous"
    return cast("Literal['previous', 'none']", text)


def _check_fields(reader: Reader, spaces: list[Dataspace]) -> None:
    """Different measurements must not meet in one field name: a_b + c and a + b_c do."""
    owners: dict[str, str] = {}
    for space in spaces:
        for one in space.measurements:
            field, owner = space.field(one), f"{space.path}/{one.name}"
            if field in owners:
                message = f"'{owner}' and '{owners[field]}' both give the field '{field}'."
                reader.error("duplicate_field", one.place, message)
            owners[field] = owner
