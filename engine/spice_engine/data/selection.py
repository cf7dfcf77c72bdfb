"""What is taken from a payload: a dataspace's columns by selector, and how times are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from typing import Any

from spice_engine.data.table import Column
from spice_engine.errors import InvalidData, Place
from spice_engine.records import record

_SHOWN_COLUMNS = 20
_SHOWN_LETTERS = 60


@record
class Selection:
    """The columns that a dataspace reads.

    `tags` are the selectors of its tags (none where it reads none). A `partial` payload may lack
    columns, as pushed data may; in a file a missing one is a mistake. `place` is where the
    manifest asks for the payload, `time_place` where it says how to read the time.
    """

    measurements: tuple[Column, ...] = ()
    categories: tuple[Column, ...] = ()
    identifiers: tuple[Column, ...] = ()
    tags: tuple[str, ...] = ()
    time_selector: str = "time"
    time_format: str = ""
    partial: bool = False
    place: Place | None = None
    time_place: Place | None = None
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    """All params of the processor; a third party's may have its own."""

    @classmethod
    def of(
        cls,
        spec: Mapping[str, Any],
        processor: Mapping[str, Any],
        *,
        partial: bool = False,
    ) -> Selection:
        """The selection of a dataspace and a processor, both as the engine sends them."""
        params: Mapping[str, str] = processor.get("params") or {}
        places: Mapping[str, Any] = processor.get("places") or {}
        place = place_from(processor.get("place"))
        tags = spec.get("tags")
        return cls(
            measurements=_columns(spec["measurements"]),
            categories=_columns(spec.get("categories") or ()),
            identifiers=_columns(spec.get("identifiers") or ()),
            tags=tuple(tags["selectors"]) if tags else (),
            time_selector=params.get("time_selector") or "time",
            time_format=params.get("time_format") or "",
            partial=partial,
            place=place,
            time_place=place_from(places.get("time_format")) or place,
            params=dict(params),
        )

    @property
    def selectors(self) -> tuple[str, ...]:
        """Every column that may be read, the time first, each once."""
        columns = (*self.measurements, *self.categories, *self.identifiers)
        own = (self.time_selector, *(column.selector for column in columns), *self.tags)
        return tuple(dict.fromkeys(own))

    def require(self, headers: Collection[str], name: str, *, separators: bool = False) -> None:
        """Checks that a payload has the columns it must have.

        `name` is the payload's. With `separators`, a single column that looks like several is
        told so.

        Raises InvalidData where the time is missing; and, unless the payload is partial, where
        the column of a measurement or category is.
        """
        hint = "Set the selector to one of them."
        only = next(iter(headers)) if len(headers) == 1 else ""
        if separators and any(mark in only for mark in ";\t|"):
            hint = "Cells are separated by commas."
        if self.time_selector not in headers:
            other = hint if hint.startswith("Cells") else ""
            raise InvalidData(
                _no_column(name, self.time_selector, headers, "the time"),
                hint=other or "Set time_selector under the processor's params.",
                place=self.place,
            )
        if self.partial:
            return
        for what, columns in (("measurement", self.measurements), ("category", self.categories)):
            for column in columns:
                if column.selector not in headers:
                    raise InvalidData(
                        _no_column(name, column.selector, headers, f"the {what} '{column.name}'"),
                        hint=hint,
                        place=column.place or self.place,
                    )


def place_from(data: Mapping[str, Any] | None) -> Place | None:
    """The place that was sent as plain data, if any."""
    return Place(**data) if data else None


def _columns(specs: Collection[Mapping[str, Any]]) -> tuple[Column, ...]:
    return tuple(
        Column(one["name"], one["selector"], place_from(one.get("place"))) for one in specs
    )


def _no_column(name: str, header: str, headers: Collection[str], what: str) -> str:
    shown = [f"'{column[:_SHOWN_LETTERS]}'" for column in list(headers)[:_SHOWN_COLUMNS]]
    more = ", …" if len(headers) > _SHOWN_COLUMNS else ""
    return (
        f"'{name}' has no column '{header}' for {what}. Its columns are {', '.join(shown)}{more}."
    )
