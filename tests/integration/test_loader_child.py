"""The loader as the engine runs it: a real child, real files, and what it must bear."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from spice_engine.data.observation_frames import decode
from spice_engine.errors import InvalidData
from spice_engine.store.framedlog import FramedLog
from spice_engine.workers.arrays import ArrayRef
from spice_engine.workers.arrays import load as load_array
from spice_engine.workers.pool import ChildPool
from tests.unit.pod_specs import PLACE, body, dataspace, feed, loader_params


@pytest.fixture
async def loaders(tmp_path: Path) -> AsyncIterator[ChildPool]:
    pool = ChildPool("loader", "spice_engine.data.loader", 1, folder=tmp_path / "logs")
    yield pool
    await pool.close()


def peak_mib(pid: int) -> int:
    """The most memory that a process ever had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) >> 10 for line in status.splitlines() if "VmHWM" in line)


async def test_post_seal_load_and_serve(loaders: ChildPool, tmp_path: Path) -> None:
    spaces = [
        dataspace("e/s", ["a"], feed(None), categories={"kind": ["x"]}),
        dataspace("local/p", ["usd"]),
    ]
    bodies = [
        body(spaces, "time,e.s.a,e.s.kind\n0,1,x\n10,2,\n"),
        body(spaces, "time,usd\n12,5\n", "local/p"),
        body(spaces, "nonsense"),
    ]
    answers = await loaders.call("ingest", {"bodies": bodies})
    assert [answer.get("rows") for answer in answers] == [2, 1, None]
    assert decode(answers[0]["frame"]).head.dataspaces == ("e/s",)
    log = FramedLog(tmp_path / "1.frames")
    size = log.append([answer["frame"] for answer in answers[:2]])
    log.close()
    frames = {"path": str(log.path), "format": "frames", "bytes": size}
    sealed = tmp_path / "1-1.parquet"
    done = await loaders.call("seal", {"files": [str(log.path)], "out": str(sealed)})
    assert done == {"rows": 3}
    parquet = {"path": str(sealed), "format": "parquet", "bytes": sealed.stat().st_size}
    tables: list[Any] = []
    for file in (frames, parquet):
        params = loader_params(tmp_path, spaces, observations=[file])
        answer = await loaders.call("load", params)
        values = load_array(ArrayRef.from_dict(answer["values"]))
        tables.append((answer["fields"], values.tolist()))
        out = tmp_path / "observations.csv"
        asked = {"format": "csv", "start": None, "end": None, "limit": None, "out": str(out)}
        served = await loaders.call("observations", {**params, **asked})
        assert served == {"rows": 3, "path": str(out)}
        assert out.read_text().splitlines()[1:] == ["0,1,,1,", "10,2,,0,", "12,,5,0,"]
    assert tables[0] == tables[1]
    assert tables[0][0] == ["e_s_a", "e_s_kind-x", "local_p_usd"]


@pytest.mark.parametrize(
    ("name", "processor", "content"),
    [
        ("d.csv", "csv", b"\x00\x01\x02\xff" * 5000),
        ("d.csv", "csv", b"x" * 2_000_000),
        ("d.json", "json", b"[" * 5_000_000),
        ("d.json", "json", b'{"a":' * 1_000_000),
        ("d.bin", "arrow", b"ARROW1" + b"\xff" * 1000),
        ("d.bin", "parquet", b"PAR1" + b"\xff" * 1000 + b"PAR1"),
        ("d.csv", "flux-csv", b'#datatype,"' * 1000),
        ("d.csv.gz", "csv", b"\x1f\x8b\x08" + b"\x00" * 100),
    ],
)
async def test_rubbish_is_a_clean_error_and_the_child_stays(
    loaders: ChildPool, tmp_path: Path, name: str, processor: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    space = dataspace("e/s", ["a"], feed("file", processor, path=name))
    with pytest.raises(InvalidData, match=name.replace(".", r"\.")) as caught:
        await loaders.call("load", loader_params(tmp_path, [space]))
    assert caught.value.place is not None
    assert caught.value.place.line == PLACE["line"]
    good = dataspace("e/s", ["a"], feed("file", path="good.csv"))
    (tmp_path / "good.csv").write_text("time,a\n1,2\n")
    assert (await loaders.call("load", loader_params(tmp_path, [good])))["rows"] == 1


@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_two_million_rows_fit(loaders: ChildPool, tmp_path: Path, form: str) -> None:
    rows = 2_000_000
    frame = pl.DataFrame(
        {
            "time": np.arange(rows),
            "a": np.arange(rows) % 100 / 4,
            "b": np.random.default_rng(1).normal(size=rows),
        }
    )
    out = io.BytesIO()
    if form == "csv":
        frame.write_csv(out)
    else:
        frame.write_parquet(out)
    (tmp_path / "d").write_bytes(out.getvalue())
    space = dataspace("e/s", ["a", "b"], feed("file", form, path="d"))
    params = loader_params(tmp_path, [space], period=rows, granularity=100)
    answer = await loaders.call("load", params)
    assert (answer["rows"], answer["dataspaces"][0]["rows"]) == (rows // 100, rows)
    values = load_array(ArrayRef.from_dict(answer["values"]))
    assert values[:, 0].min() == values[:, 0].max() == 12.375
    if sys.platform == "linux":
        (pid,) = loaders.pids
        assert peak_mib(pid) <= 450
