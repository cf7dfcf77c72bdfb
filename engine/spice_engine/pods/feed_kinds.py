"""The connectors and processors there are, and what their params may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from spice_engine.data import extensions
from spice_engine.data.connectors import gym, http, influxdb, websocket
from spice_engine.data.time_formats import time_reader
from spice_engine.errors import InvalidData, InvalidRequest, Place
from spice_engine.records import record

PlaceOf = Callable[[str], Place | None]
Check = Callable[[Mapping[str, str], PlaceOf], object]
"""Raises InvalidData, with a place, where a param cannot be used."""


def _check_file(params: Mapping[str, str], place_of: PlaceOf) -> None:
    if params.get("watch", "").lower() not in ("", "true", "false"):
        message = "The param 'watch' of the file connector is true or false."
        raise InvalidData(message, place=place_of("watch"))


def _check_times(params: Mapping[str, str], place_of: PlaceOf) -> None:
    try:
        time_reader(params.get("time_format", ""))
    except InvalidRequest as error:
        place = place_of("time_format")
        raise InvalidData(error.message, hint=error.hint, place=place) from None


@record
class Kind:
    """A connector or processor: its params, which of them it needs, and how they are checked.

    A connector has the processor that is meant where none is named (empty: one must be), and the
    ones that it can work with (empty: all).
    """

    params: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    check: Check | None = None
    processor: str = ""
    processors: tuple[str, ...] = ()
    free: bool = False
    """A third party's: its params are its own affair."""


_TIMES = ("time_selector", "time_format")

CONNECTORS: Mapping[str, Kind] = {
    "file": Kind(("path", "watch"), ("path",), _check_file),
    "http": Kind(http.PARAMS, ("url",), http.parse),
    "influxdb": Kind(influxdb.PARAMS, ("url", "token", "bucket"), influxdb.parse, "flux-csv"),
    "websocket": Kind(websocket.PARAMS, ("url",), websocket.parse, "json", ("json",)),
    "coinbase": Kind(
        websocket.COINBASE_PARAMS, ("product_ids",), websocket.parse_coinbase, "json", ("json",)
    ),
    # Nothing is read: what is posted tells what the environment shows, in a processor's form.
    "gym": Kind(gym.PARAMS, ("environment",), gym.parse, "csv"),
    # The loader needs no processor for rows; this one gives the name of the time's column.
    "sql": Kind(("path", "query"), ("path", "query"), processor="csv"),
}
PROCESSORS: Mapping[str, Kind] = {
    "csv": Kind(_TIMES, check=_check_times),
    "json": Kind(_TIMES, check=_check_times),
    "flux-csv": Kind(),
    "arrow": Kind(_TIMES, check=_check_times),
    "parquet": Kind(_TIMES, check=_check_times),
}
KINDS: Mapping[str, tuple[Mapping[str, Kind], str]] = {
    "connector": (CONNECTORS, extensions.CONNECTOR_GROUP),
    "processor": (PROCESSORS, extensions.PROCESSOR_GROUP),
}

NOT_HERE: Mapping[str, str] = {
    "twitter": "The connector 'twitter' is not in this version: the service it used is gone. "
    "Post the data over HTTP instead.",
    "flight": "The connector 'flight' is not in this version: docs/extending.md has it as the "
    "example of writing one's own.",
}
"""Connectors of the original, or planned, that only a third party can provide."""


def kind_of(what: str, name: str) -> Kind | None:
    """A `connector` or `processor` by its name, ours or a third party's; None for no such one."""
    ours, group = KINDS[what]
    if name in ours:
        return ours[name]
    return Kind(free=True) if name in third_party(group) else None


@lru_cache
def third_party(group: str) -> frozenset[str]:
    """Names that installed packages give; they are looked up once a process."""
    return extensions.foreign_names(group)
