"""What a processor makes of a payload: rows with a time, and what was wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import Place

MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Column:
    """A measurement to be taken: its name in the manifest, and the column it is read from."""

    name: str
    selector: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """An example of a row or cell that was kept out: line of the file (from 1), and why."""

    line: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a frame."""
        return {"line": self.line, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one dataspace, in the order of the payload.

    `times` [N] are unix seconds; `values` holds one float64 array [N] per measurement, NaN where
    there is no datum. `bad_rows` were kept out; `bad_cells` counts cells that held something that
    is no finite number, by measurement. `examples` are the first few of both.
    """

    times: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]
    bad_rows: int
    bad_cells: dict[str, int]
    examples: tuple[BadRow, ...]
