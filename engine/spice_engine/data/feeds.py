"""A dataspace's feed to a table: its connector brings bytes, its processor makes rows of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from spice_engine.data import extensions
from spice_engine.data.connectors import file, sql
from spice_engine.data.selection import Selection, place_from
from spice_engine.data.table import Table
from spice_engine.data.table_cache import CachedTable, TableCache
from spice_engine.errors import InvalidData, SpiceError
from spice_engine.records import record

ENGINE_CONNECTORS = frozenset({"http", "influxdb", "websocket", "coinbase", "gym"})
"""What these bring comes as accepted observations; the loader reads nothing itself. An environment
brings nothing: the trainer steps it, and what is posted is what it shows."""


@record
class FeedTable:
    """What a feed gave: its `name` for messages, its rows and the SHA-256 of what was read."""

    name: str
    table: Table
    digest: str


def read_feed(
    app_folder: Path,
    spec: Mapping[str, Any],
    feed: Mapping[str, Any] | None,
    window: tuple[int, int],
    cache: TableCache,
) -> FeedTable | None:
    """The rows of a feed (`seed` or `data` of a dataspace's spec), read anew or from the cache.

    None where the loader has nothing to read: no feed, pushed data, or data that the engine
    fetches. `window` is the period's first and last unix second.

    Raises InvalidData where it cannot be read at all, or lacks a column.
    """
    connector = feed["connector"] if feed else None
    if feed is None or connector is None or connector["name"] in ENGINE_CONNECTORS:
        return None
    selection = Selection.of(spec, feed["processor"])
    if connector["name"] == "sql":
        return _read_sql(app_folder, connector, selection, cache)
    if connector["name"] == "file":
        return _read_file(app_folder, connector, feed["processor"], selection, cache)
    return _read_foreign(app_folder, connector, feed["processor"], selection, window)


def parse(
    processor: Mapping[str, Any], source: io.BufferedIOBase, selection: Selection, name: str
) -> Table:
    """The rows of a payload by a processor's spec; `name` is the payload's, for messages.

    Raises InvalidData where it cannot be read at all.
    """
    make = extensions.processor(processor["name"], selection.place)
    if processor["name"] in extensions.PROCESSORS:
        return make(source, selection, name=name)
    try:
        table: Any = make(source, selection, name=name)
    except SpiceError:
        raise
    except Exception as error:
        raise _foreign_fault("processor", processor["name"], error, selection) from error
    if not isinstance(table, Table):
        fault = TypeError(f"it gave a {type(table).__name__}, not a Table")
        raise _foreign_fault("processor", processor["name"], fault, selection)
    return table


def _read_file(
    app_folder: Path,
    connector: Mapping[str, Any],
    processor: Mapping[str, Any],
    selection: Selection,
    cache: TableCache,
) -> FeedTable:
    path = connector["params"].get("path", "")
    place = place_from(connector["places"].get("path") or connector["place"])
    with file.opened(app_folder, path, place) as source:
        key = (source.identity, processor["name"], _key(selection))
        cached = cache.get(key)
        if cached is None:
            table = parse(processor, source.content, selection, path)
            cached = CachedTable(table, source.digest())
            cache.put(key, cached)
    return FeedTable(path, cached.table, cached.digest)


def _read_sql(
    app_folder: Path, connector: Mapping[str, Any], selection: Selection, cache: TableCache
) -> FeedTable:
    params, places = connector["params"], connector["places"]
    query = sql.Query(
        params.get("path", ""),
        params.get("query", ""),
        place_from(places.get("path") or connector["place"]),
        place_from(places.get("query") or connector["place"]),
    )
    key = (sql.identity(app_folder, query), query.query, _key(selection))
    cached = cache.get(key)
    if cached is None:
        table = sql.read(app_folder, query, selection)
        cached = CachedTable(table, _digest(table))
        cache.put(key, cached)
    return FeedTable(query.path, cached.table, cached.digest)


def _read_foreign(
    app_folder: Path,
    connector: Mapping[str, Any],
    processor: Mapping[str, Any],
    selection: Selection,
    window: tuple[int, int],
) -> FeedTable:
    place = place_from(connector["place"])
    name = connector["name"]
    read = extensions.connector(name, place)
    try:
        data: Any = read(app_folder, dict(connector["params"]), place, window)
    except SpiceError:
        raise
    except Exception as error:
        raise _foreign_fault("connector", name, error, selection) from error
    if not isinstance(data, bytes):
        fault = TypeError(f"it gave a {type(data).__name__}, not bytes")
        raise _foreign_fault("connector", name, fault, selection)
    table = parse(processor, io.BytesIO(data), selection, name)
    return FeedTable(name, table, hashlib.sha256(data).hexdigest())


def _foreign_fault(kind: str, name: str, error: Exception, selection: Selection) -> InvalidData:
    return InvalidData(
        f"The {kind} '{name}' of an installed package failed: {type(error).__name__}: {error}.",
        hint="Its traceback is in the loader's log.",
        place=selection.place,
    )


def _key(selection: Selection) -> Hashable:
    # A selection holds mappings, which cannot be hashed; its text says the same.
    return repr(selection)


def _digest(table: Table) -> str:
    made = hashlib.sha256(table.times.tobytes())
    for name, column in table.values.items():
        made.update(name.encode() + b"\0" + column.tobytes())
    texts = [*table.categories.items(), *table.identifiers.items()]
    if table.tags is not None:
        texts.append(("", table.tags))
    for name, labels in texts:
        made.update(name.encode() + b"\0" + repr(labels.values).encode() + labels.codes.tobytes())
    return made.hexdigest()
