"""All rows of a pod by dataspace: what its feeds hold, and what was accepted from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.data.feeds import FeedTable, read_feed
from spice_engine.data.observation_reading import read_accepted
from spice_engine.data.table import Table
from spice_engine.data.table_cache import TableCache
from spice_engine.data.timeline import Grid
from spice_engine.records import record

if TYPE_CHECKING:
    from spice_engine.workers.child import Report


@record
class DataspaceTables:
    """A dataspace's `spec` as the engine sent it, the tables of its feeds (seed data first), and
    the rows that were accepted, if any."""

    spec: Mapping[str, Any]
    feeds: tuple[FeedTable, ...]
    accepted: Table | None

    @property
    def path(self) -> str:
        """`from/name`."""
        return f"{self.spec['from']}/{self.spec['name']}"

    @property
    def prefix(self) -> str:
        """`from.name`."""
        return f"{self.spec['from']}.{self.spec['name']}"

    @property
    def tables(self) -> list[Table]:
        """All tables, in the order in which their rows are samples."""
        own = [feed.table for feed in self.feeds]
        return own if self.accepted is None else [*own, self.accepted]


def grid_of(params: Mapping[str, Any]) -> Grid:
    """The buckets of a pod, from the loader's parameters."""
    return Grid.of(params["epoch"], params["period"], params["granularity"], params["now"])


def read_pod(
    params: Mapping[str, Any], cache: TableCache, report: Report
) -> Iterator[DataspaceTables]:
    """Reads dataspace by dataspace; `params` are the loader's.

    Raises InvalidData where a feed or a file of accepted observations cannot be read at all.
    """
    grid = grid_of(params)
    window = (grid.epoch, grid.end)
    accepted = read_accepted(params["observations"])
    for spec in params["dataspaces"]:
        feeds: list[FeedTable] = []
        for feed in (spec["seed"], spec["data"]):
            report.check()
            found = read_feed(Path(params["app_folder"]), spec, feed, window, cache)
            if found is not None:
                feeds.append(found)
        yield DataspaceTables(spec, tuple(feeds), accepted.get(f"{spec['from']}/{spec['name']}"))
