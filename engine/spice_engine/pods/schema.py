"""The table of all keys of a manifest, and what an editor asks of it: help and completions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from spice_engine.pods.schema_keys import KEYS, Key
from spice_engine.pods.schema_params import feed_params, hyperparameters

__all__ = ["TABLE", "Key", "help_for", "keys_at", "path_of", "values_at"]

_FEEDS = ("dataspaces[].seed_data", "dataspaces[].data")
_CHOICES = re.compile(r"(connector|processor|hyperparameters)(?=\.|$)")


def _all() -> Iterator[Key]:
    for key in KEYS:
        yield key
        if key.path == "training.hyperparameters":
            yield from hyperparameters()
        for feed in _FEEDS:
            if key.path == f"{feed}.processor.params":
                yield from feed_params(feed)


TABLE: Mapping[str, Key] = {key.path: key for key in _all()}
"""Every key by its path, in the order of the manifest.

Keys that only one connector, processor or algorithm has name it in brackets:
`dataspaces[].data.connector(file).params.path`.
"""


def path_of(steps: Sequence[str | int], chosen: str = "") -> str:
    """The path in the table of a place in a manifest, empty where there is no such key.

    `steps` are keys and indices of items, as in `("dataspaces", 0, "from")`; `chosen` is the
    name of the connector, processor or algorithm at that place.
    """
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += "[]"
            continue
        plain = f"{path}.{step}".removeprefix(".")
        special = _CHOICES.sub(rf"\1({chosen})", path) + f".{step}"
        wild = f"{path}.*"
        path = next((p for p in (plain, special, wild) if p in TABLE), plain)
    return path if path in TABLE else ""


def help_for(steps: Sequence[str | int], chosen: str = "") -> Key | None:
    """What a key means; None for one that there is not. Arguments as for `path_of`."""
    return TABLE.get(path_of(steps, chosen))


def keys_at(steps: Sequence[str | int], chosen: str = "") -> tuple[Key, ...]:
    """The keys that a mapping at a place may have, in their usual order."""
    path = path_of(steps, chosen) if steps else ""
    if steps and not path:
        return ()
    prefixes = {f"{path}." if path else "", _CHOICES.sub(rf"\1({chosen})", path) + "."}
    return tuple(
        key
        for key in TABLE.values()
        if key.name not in ("", "*")
        and any(key.path == prefix + key.name for prefix in prefixes if prefix != "." or not path)
    )


def values_at(steps: Sequence[str | int], chosen: str = "") -> tuple[str, ...]:
    """The values that a single value at a place may have; empty where any is possible."""
    key = help_for(steps, chosen)
    if key is None:
        return ()
    return ("true", "false") if key.type == "flag" else key.values
