"""Arrow and Parquet: typed columns of any sensible type, and files that are not whole."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from spice_engine.data.extensions import Processor, processor
from spice_engine.data.selection import Selection
from spice_engine.data.table import Column, Table
from spice_engine.errors import InvalidData, Place

SELECTION = Selection(
    measurements=(Column("a", "a"), Column("b", "b")),
    categories=(Column("kind", "kind"),),
    tags=("_tags",),
    place=Place("pod.yaml", 9, 1),
)
WRITERS: dict[str, tuple[str, Callable[[pl.DataFrame, io.BytesIO], Any]]] = {
    "stream": ("arrow", lambda frame, out: frame.write_ipc_stream(out)),
    "file": ("arrow", lambda frame, out: frame.write_ipc(out, compression="zstd")),
    "parquet": ("parquet", lambda frame, out: frame.write_parquet(out)),
}
FRAME = pl.DataFrame(
    {
        "time": [10, 20, None, 30],
        "a": [1.5, None, 1.0, math.inf],
        "b": pl.Series([1, 2, 3, 4], dtype=pl.Int16),
        "kind": ["x", None, "y", "y"],
        "_tags": [["p", "q"], [], None, ["p"]],
        "other": [None, None, None, None],
    }
)


def packed(form: str, frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    WRITERS[form][1](frame, out)
    return out.getvalue()


def read(form: str, data: bytes, selection: Selection = SELECTION) -> Table:
    make: Processor = processor(WRITERS[form][0])
    return make(io.BytesIO(data), selection, name="data.bin")


@pytest.mark.parametrize("form", WRITERS)
def test_rows_arrive_as_they_are(form: str) -> None:
    got = read(form, packed(form, FRAME))
    assert got.times.tolist() == [10, 20, 30]
    assert [repr(v) for v in got.values["a"].tolist()] == ["1.5", "nan", "nan"]
    assert got.values["b"].tolist() == [1.0, 2.0, 4.0]
    assert got.categories["kind"].cells() == ["x", None, "y"]
    assert got.tags is not None
    assert got.tags.cells() == [("p", "q"), (), ("p",)]
    assert (got.bad_rows, dict(got.bad_cells)) == (1, {"a": 1})


@pytest.mark.parametrize(
    "times",
    [
        pl.Series([datetime(1970, 1, 2, 0, 0, 0, 500_000)]),
        pl.Series([datetime(1970, 1, 2, tzinfo=UTC)]).dt.cast_time_unit("ns"),
        pl.Series([datetime(1970, 1, 2, 2)]).dt.replace_time_zone("Europe/Athens"),
        pl.Series([date(1970, 1, 2)]),
        pl.Series(["1970-01-02T00:00:00Z"]),
        pl.Series([86400.9]),
        pl.Series([86400], dtype=pl.UInt64),
    ],
)
@pytest.mark.parametrize("form", WRITERS)
def test_times_of_all_types(form: str, times: pl.Series) -> None:
    selection = Selection(measurements=(Column("a", "a"),))
    data = packed(form, pl.DataFrame({"time": times, "a": ["2"]}))
    got = read(form, data, selection)
    assert (got.times.tolist(), got.values["a"].tolist()) == ([86400], [2.0])


@pytest.mark.parametrize("form", WRITERS)
def test_a_missing_column_is_named(form: str) -> None:
    with pytest.raises(InvalidData, match=r"no column 'b' for the measurement 'b'"):
        read(form, packed(form, FRAME.drop("b")))


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_that_is_not_whole_is_a_clean_error(form: str) -> None:
    frame = pl.concat([FRAME] * 500)
    data = packed(form, frame)
    # A stream that ends between two batches is a whole stream.
    for cut in (0, 1, 4, 7, len(data) // 3, len(data) // 2, len(data) - 9):
        with pytest.raises(InvalidData, match=r"data\.bin") as caught:
            read(form, data[:cut])
        assert caught.value.hint
        assert caught.value.place == SELECTION.place


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("step", [7, 11])
def test_damaged_bytes_are_a_clean_error_or_rows(form: str, step: int) -> None:
    data = packed(form, FRAME)
    for position in range(0, len(data), step):
        damaged = (
            bytes(data[:position]) + bytes([data[position] ^ 0x5A]) + bytes(data[position + 1 :])
        )
        try:
            got = read(form, damaged)
        except InvalidData:
            continue
        assert len(got.values["a"]) == len(got)


def test_a_parquet_file_that_promises_billions_of_rows() -> None:
    wide = pl.DataFrame({"time": [1] * 1000, "a": [1.0] * 1000, "b": 1, "kind": "x"})
    from spice_engine.data.processors import parquet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "MAX_CELLS", 3999)
        with pytest.raises(InvalidData, match="1000 rows of 4 columns"):
            read("parquet", packed("parquet", wide))
