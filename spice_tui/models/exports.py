"""What can be written into a file: columns and rows of plain values."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Exportable(Protocol):
    """A table or a chart."""

    def export(self) -> tuple[list[str], list[list[Any]]]:
        """Names of columns, and rows: numbers, texts, or None where nothing is."""
        ...
