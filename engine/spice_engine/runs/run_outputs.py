"""What runs left: the folder of a run as a resource, and runs by number or reference."""

from __future__ import annotations

import asyncio

from spice_engine.errors import NotFound
from spice_engine.protocol.location import Location
from spice_engine.protocol.resources import ResourceInfo
from spice_engine.runs import made_places
from spice_engine.runs import resource_paths as paths
from spice_engine.runs.parameters import filled
from spice_engine.runs.requests import SHELL
from spice_engine.runs.resource_files import Resource
from spice_engine.runs.run_files import CHANGES, INNER, OUTPUTS, WORK
from spice_engine.store import run_lists
from spice_engine.store import runs as run_table
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_runtime import process, ranks

SHIMS_FILES = frozenset(
    {
        process.CLAIM,
        process.JOB,
        process.SHIM,
        process.EXIT,
        process.SOCKET,
        process.SHIM_LOG,
        ranks.STATUS,
        made_places.NOTE,
        f"{process.LOG}.idx",
    }
)
"""In a run's folder, and no output; the job holds the environment, which may hold secrets."""

RUNS_LISTED = 1000
_LOOKED_AT = 50
_MOST_PARTS = 8
"""Of the name of a metric with slashes."""


class RunOutputs:
    """The part of the resource tree below `runs/`."""

    def __init__(self, location: Location, database: Database, metrics: MetricStore) -> None:
        self._location = location
        self._database = database
        self._metrics = metrics

    async def run_of(self, which: str) -> RunRow:
        """The run that `3`, `@latest`, `@label:NAME` or `@best:METRIC` names.

        Raises:
            NotFound: there is none, or it is archived.
            InvalidRequest: it cannot name a run.
        """
        number = paths.run_number(which)
        if number is not None:
            row = await self._database.read(lambda connection: run_table.get(connection, number))
            if row.archived is not None:
                raise NotFound(
                    f"run {number} is archived.", hint="What it left is there when it is not."
                )
            return row
        wanted = paths.reference(which)
        if wanted is None:
            raise NotFound(
                f"there is no run {which[:100]!r}.",
                hint="Such as: runs/3, runs/@latest, runs/@label:good, runs/@best:accuracy.",
            )
        if wanted.metric:
            return await self._best(wanted)
        return await self._newest(wanted.label)

    async def _newest(self, label: str) -> RunRow:
        chosen = run_lists.Filter(labels=[label] if label else [], leaving=not label)
        newest = await self._database.read(
            lambda connection: run_lists.newest(connection, chosen, 1)
        )
        if newest:
            return newest[0]
        if label:
            raise NotFound(
                f"no run has the label {label[:100]!r}.",
                hint="`spice-tui label RUN NAME` gives a run one.",
            )
        raise NotFound("there is no run yet.", hint="spice-tui run COMMAND starts one.")

    async def _best(self, wanted: paths.Reference) -> RunRow:
        values = await self._metrics.last_numbers(wanted.metric)
        sign = -1 if wanted.smallest else 1
        scores = {
            number: sign * value
            for owner, value in values.items()
            if owner.startswith("runs/") and (number := paths.run_number(owner[5:])) is not None
        }
        best = sorted(scores, key=lambda number: (scores[number], number), reverse=True)
        for start in range(0, len(best), _LOOKED_AT):  # those that are archived are no longer it
            some = best[start : start + _LOOKED_AT]
            chosen = run_lists.Filter(ids=some, leaving=True)
            rows = await self._database.read(
                lambda connection, chosen=chosen: run_lists.newest(connection, chosen, _LOOKED_AT)
            )
            there = {row.id: row for row in rows}
            for number in some:
                if number in there:
                    return there[number]
        raise NotFound(
            f"no run has a metric {wanted.metric[:100]!r}.",
            hint="`spice-tui metrics RUN` lists the metrics of a run.",
        )

    async def whole(self, which: str, rest: list[str]) -> tuple[str, list[str]]:
        """A reference with those names after it that are a part of it, and the others: the names of
        metrics may have slashes (`@best:keras/val_acc/model.pt`)."""
        if which.startswith("@best:"):
            for count in range(min(len(rest), _MOST_PARTS), 0, -1):
                longer = "/".join([which, *rest[:count]])
                wanted = paths.reference(longer)
                if wanted is not None and await self._metrics.last_numbers(wanted.metric):
                    return longer, rest[count:]
        return which, rest

    async def root(self, which: str) -> Resource:
        """What a run left: its outputs, or where it has none what else is in its folder.

        Raises:
            NotFound: there is no such run, or it left nothing.
            InvalidRequest: it cannot name a run.
        """
        row = await self.run_of(which)
        folder = self._location.state / "runs" / str(row.id)

        def look() -> Resource:
            outputs = folder / OUTPUTS
            if row.code and row.state not in FINAL_STATES and not outputs.is_dir():
                # What it has written so far.
                there = (folder / name for name in (CHANGES, WORK))
                outputs = next((path for path in there if path.is_dir()), outputs)
            if outputs.is_dir() and not outputs.is_symlink():
                place, hidden = outputs, frozenset[str]()
            elif folder.is_dir():
                place, hidden = folder, SHIMS_FILES | INNER
            else:
                raise NotFound(f"run {row.id} has left no files.")
            return Resource(
                f"runs/{row.id}",
                "folder",
                place=place,
                top=place,
                hidden=hidden,
                modified=row.ended or row.created,
                run=row.id,
            )

        return await asyncio.to_thread(look)

    async def listed(self) -> list[ResourceInfo]:
        """The newest runs, oldest of them first."""
        chosen = run_lists.Filter(leaving=True)
        rows = await self._database.read(
            lambda connection: run_lists.newest(connection, chosen, RUNS_LISTED)
        )
        return [
            ResourceInfo(
                f"runs/{row.id}",
                "folder",
                row.outputs.size if row.outputs is not None else None,
                row.ended or row.created,
                info=f"{row.state}: {row.name or _command(row)}"[:80],
            )
            for row in reversed(rows)
        ]


def _command(row: RunRow) -> str:
    command = filled(row.command, row.params)
    return command[-1] if command[:2] == SHELL else " ".join(command)
