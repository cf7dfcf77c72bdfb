"""Processors and connectors by name: our own, and those that installed packages bring.

A package names its own as entry points in the groups `spice_tui.processors` and
`spice_tui.connectors` (docs/extending.md). The engine only asks for names; the code of others is
loaded in the loader's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from spice_engine.errors import InvalidData, Place

if TYPE_CHECKING:
    from spice_engine.data.selection import Selection
    from spice_engine.data.table import Table

PROCESSOR_GROUP = "spice_tui.processors"
CONNECTOR_GROUP = "spice_tui.connectors"
_OWN_PROCESSORS = {
    "csv": "csv",
    "json": "json",
    "flux-csv": "flux_csv",
    "arrow": "arrow",
    "parquet": "parquet",
}
PROCESSORS = tuple(_OWN_PROCESSORS)
"""Our own processors."""


class Processor(Protocol):
    """Bytes to rows."""

    def __call__(self, source: BufferedIOBase, selection: Selection, *, name: str) -> Table:
        """The rows of a payload; `name` is its name, for messages."""
        ...


class Connector(Protocol):
    """Brings the bytes of a feed."""

    def __call__(
        self,
        app_folder: Path,
        params: Mapping[str, str],
        place: Place | None,
        window: tuple[int, int],
    ) -> bytes:
        """The payload that covers `window` (first and last unix second)."""
        ...


def processor(name: str, place: Place | None = None) -> Processor:
    """The processor of a name.

    Raises InvalidData where there is none, or a package's cannot be loaded.
    """
    if name in _OWN_PROCESSORS:
        module = import_module(f"spice_engine.data.processors.{_OWN_PROCESSORS[name]}")
        return cast("Processor", module.parse)
    return cast("Processor", _foreign(PROCESSOR_GROUP, "processor", name, place))


def connector(name: str, place: Place | None = None) -> Connector:
    """The connector of a name that a package brings.

    Raises InvalidData where there is none, or it cannot be loaded.
    """
    return cast("Connector", _foreign(CONNECTOR_GROUP, "connector", name, place))


def foreign_names(group: str) -> frozenset[str]:
    """The names that installed packages bring to a group; loads none of their code."""
    from importlib.metadata import entry_points  # it takes longer to import than all the rest here

    return frozenset(entry.name for entry in entry_points(group=group))


def _foreign(group: str, kind: str, name: str, place: Place | None) -> Any:
    from importlib.metadata import entry_points

    found = list(entry_points(group=group, name=name))
    if not found:
        raise InvalidData(
            f"unknown {kind} '{name}'",
            hint=f"No installed package brings it: see docs/extending.md for the group '{group}'.",
            place=place,
        )
    try:
        made = found[0].load()
    except Exception as error:
        raise InvalidData(
            f"The {kind} '{name}' cannot be loaded: {type(error).__name__}: {error}.",
            hint=f"It is {found[0].value} of an installed package.",
            place=place,
        ) from error
    if not callable(made):
        raise InvalidData(
            f"The {kind} '{name}' is no function.",
            hint=f"It is {found[0].value} of an installed package.",
            place=place,
        )
    return made
