"""The resource tree, as a script sees it."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, NamedTuple

from spice_runtime.client.copying import brought
from spice_runtime.client.door import Door

_UTC = timezone.utc  # noqa: UP017 - of every Python


class LsLine(NamedTuple):
    """One entry; `size` is bytes, folders have none."""

    path: str
    size: int | None
    date: datetime | None


class ResourcesService:
    """`client.resources`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def ls(self, path: str = "") -> Iterator[LsLine]:
        """What lies at a path; folders end in a slash."""
        for one in self._door.get("resources", path=path or None)["entries"]:
            name = one["path"] + ("/" if one["kind"] == "folder" else "")
            moment = one["modified"]
            date = None if moment is None else datetime.fromtimestamp(moment, _UTC)
            yield LsLine(name, one["size"], date)

    def cp(self, path: str, dest: str | None = None, quiet: bool = False) -> dict[str, Any]:
        """Copy a resource to a folder of this machine; default: here."""
        if not quiet:
            print(f"Extracting {path}...")  # noqa: T201 - Spell's client says so
        return brought(self._door, "resources/copy", {"path": path}, dest)
