"""A pod's whole data to its state table: feeds, categories, tags, clock columns, events."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.data import extensions, loader
from spice_engine.data.connectors import sql
from spice_engine.data.selection import Selection
from spice_engine.data.table import Column
from spice_engine.errors import InvalidData
from spice_engine.store.framedlog import FramedLog
from spice_engine.workers.arrays import ArrayRef
from spice_engine.workers.arrays import load as load_array
from spice_engine.workers.child import LocalReport
from tests.unit.pod_specs import PLACE, body, dataspace, feed, loader_params


def load(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The loader's answer, and the columns of the table by field."""
    answer = loader.load(params, LocalReport())
    values = load_array(ArrayRef.from_dict(answer["values"]))
    return answer, {name: values[:, i].tolist() for i, name in enumerate(answer["fields"])}


def accepted(folder: Path, *payloads: dict[str, Any]) -> list[dict[str, Any]]:
    """A file of accepted observations, as the loader is told of it."""
    log = FramedLog(folder / "000001.frames")
    answers = loader.ingest({"bodies": list(payloads)}, LocalReport())
    size = log.append([answer["frame"] for answer in answers])
    log.close()
    return [{"path": str(log.path), "format": "frames", "bytes": size}]


def test_categories_and_tags_become_shares_of_a_bucket(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(
        "time,a,kind,_tags,id\n0,1,x,p q,i1\n5,3,y,,i2\n10,5,,p,i3\n30,7,z,other,i4\n"
    )
    space = dataspace(
        "e/s",
        ["a"],
        feed("file", path="d.csv"),
        categories={"kind": ["x", "y"]},
        tags=["p", "q"],
        identifiers=["id"],
    )
    answer, columns = load(loader_params(tmp_path, [space]))
    assert answer["fields"] == ["e_s_a", "e_s_kind-x", "e_s_kind-y", "e_s_p", "e_s_q"]
    assert columns == {
        "e_s_a": [2.0, 5.0, 5.0, 7.0],
        # A row without a category says nothing of it; a row without tags has none.
        "e_s_kind-x": [0.5, 0.0, 0.0, 0.0],
        "e_s_kind-y": [0.5, 0.0, 0.0, 0.0],
        "e_s_p": [0.5, 1.0, 0.0, 0.0],
        "e_s_q": [0.5, 0.0, 0.0, 0.0],
    }


def test_seed_data_and_posted_data_are_samples_alike(tmp_path: Path) -> None:
    (tmp_path / "seed.csv").write_text("time,a\n0,1\n10,1\n")
    (tmp_path / "data.csv").write_text("time,a\n10,3\n")
    space = dataspace(
        "e/s", ["a"], feed("file", path="data.csv"), seed=feed("file", path="seed.csv")
    )
    files = accepted(tmp_path, body([space], "time,a\n10,8\n20,9\n", "e/s"))
    answer, columns = load(loader_params(tmp_path, [space], observations=files))
    assert columns["e_s_a"] == [1.0, 4.0, 9.0]
    assert answer["dataspaces"][0]["rows"] == 5
    assert [file["path"] for file in answer["files"]] == ["seed.csv", "data.csv"]


def test_local_state_comes_from_what_was_posted_and_stays(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("time,a\n0,1\n40,2\n")
    spaces = [
        dataspace("e/s", ["a"], feed("file", path="d.csv")),
        dataspace("local/p", ["usd"], initializer=100.0),
    ]
    assert load(loader_params(tmp_path, spaces))[1]["local_p_usd"] == [100.0] * 5
    files = accepted(tmp_path, body(spaces, "time,local.p.usd,no.such.thing\n20,90,1\n"))
    _, columns = load(loader_params(tmp_path, spaces, observations=files))
    assert columns["local_p_usd"] == [100.0, 100.0, 90.0, 90.0, 90.0]


def test_columns_of_the_time_are_those_of_the_buckets_start_in_utc(tmp_path: Path) -> None:
    start = 951_782_400 - 3600  # 2000-02-28T23:00:00Z, a Monday; the next day is the 29th
    (tmp_path / "d.csv").write_text(f"time,a\n{start},1\n{start + 7199},2\n")
    space = dataspace("e/s", ["a"], feed("file", path="d.csv"))
    answer, columns = load(
        loader_params(
            tmp_path,
            [space],
            epoch=start,
            period=86_400,
            granularity=3600,
            time_categories=["month", "dayofmonth", "dayofweek", "hour"],
        )
    )
    assert answer["fields"] == sorted(answer["fields"])
    assert len(columns) == 1 + 12 + 31 + 7 + 24
    ones = {name for name in columns if columns[name][0] == 1.0 and name != "e_s_a"}
    assert ones == {"time_month_02", "time_monthday_28", "time_weekday_01", "time_hour_23"}
    ones = {name for name in columns if columns[name][1] == 1.0 and name != "e_s_a"}
    assert ones == {"time_month_02", "time_monthday_29", "time_weekday_02", "time_hour_00"}


def test_without_interpolation_each_time_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,a\n7,1\n3,2\n7,3\n9,\n")
    (tmp_path / "b.csv").write_text("time,b\n3,5\n8,6\n2000,1\n")
    spaces = [
        dataspace("x/a", ["a"], feed("file", path="a.csv")),
        dataspace("x/b", ["b"], feed("file", path="b.csv"), fill="none", initializer=4.0),
    ]
    answer, columns = load(
        loader_params(tmp_path, spaces, interpolation=False, time_categories=["hour"])
    )
    times = load_array(ArrayRef.from_dict(answer["times"]))
    assert times.tolist() == [3, 7, 8]
    assert columns["x_a_a"] == [2.0, 2.0, 2.0]
    assert columns["x_b_b"] == [5.0, 0.0, 6.0]
    assert columns["time_hour_00"] == [1.0, 1.0, 1.0]
    assert (answer["training_rows"], answer["first_datum"]) == (3, 0)


def test_a_pod_that_waits_for_posts_says_so(tmp_path: Path) -> None:
    space = dataspace("e/s", ["a"], feed(None))
    answer, columns = load(loader_params(tmp_path, [space]))
    assert (answer["rows"], columns) == (0, {"e_s_a": []})
    (problem,) = answer["problems"]
    assert (problem["code"], problem["severity"]) == ("no_data", "warning")
    assert problem["place"] == PLACE


def test_a_file_that_did_not_change_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("time,a\n0,1\n")
    space = dataspace("e/s", ["a"], feed("file", path="d.csv"))
    first, _ = load(loader_params(tmp_path, [space]))
    before = loader.CACHE.nbytes
    assert load(loader_params(tmp_path, [space]))[0]["files"] == first["files"]
    assert loader.CACHE.nbytes == before
    path.write_text("time,a\n0,2\n")
    answer, columns = load(loader_params(tmp_path, [space]))
    assert columns["e_s_a"] == [2.0]
    assert answer["files"] != first["files"]
    other = dataspace("e/s", ["a"], feed("file", path="d.csv", time_selector="a"))
    assert load(loader_params(tmp_path, [other]))[0]["start"] == 0


def test_packed_files(tmp_path: Path) -> None:
    text = b"time,a\n0,1\n10,2\n"
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(text[:7]) + gzip.compress(text[7:]))
    space = dataspace("e/s", ["a"], feed("file", path="d.csv.gz"))
    assert load(loader_params(tmp_path, [space]))[1]["e_s_a"] == [1.0, 2.0]
    for broken in (b"time,a\n1,2\n", gzip.compress(text)[:-9], b"\x1f\x8b\x08rubbish", b""):
        (tmp_path / "d.csv.gz").write_bytes(broken)
        with pytest.raises(InvalidData, match=r"d\.csv\.gz") as caught:
            load(loader_params(tmp_path, [space]))
        assert caught.value.hint


def test_a_packed_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spice_engine.data import sources

    default = sources.Unpacked.__init__.__defaults__
    monkeypatch.setattr(sources.Unpacked.__init__, "__defaults__", (1 << 20,))
    assert default == (sources.MAX_WHOLE_BYTES,)
    (tmp_path / "d.json.gz").write_bytes(gzip.compress(b"[" + b" " * (2 << 20) + b"]"))
    space = dataspace("e/s", ["a"], feed("file", "json", path="d.json.gz"))
    with pytest.raises(InvalidData, match="unpacks to more than 1 MiB"):
        load(loader_params(tmp_path, [space]))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table cpu (at, idle, host, note)")
    rows = [(0, 1.5, "h1", None), ("10", "2", "h2", b"x"), (20.9, None, None, ""), ("x", 1, "", 1)]
    connection.executemany("insert into cpu values (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


def sql_space(query: str) -> dict[str, Any]:
    return dataspace(
        "db/cpu",
        ["idle"],
        feed("sql", path="app.db", query=query, time_selector="at"),
        categories={"host": ["h1", "h2"]},
    )


def test_rows_of_a_query(tmp_path: Path, database: Path) -> None:
    space = sql_space("select at, idle, host from cpu")
    answer, columns = load(loader_params(tmp_path, [space]))
    assert columns["db_cpu_idle"] == [1.5, 2.0, 2.0][: answer["rows"]]
    assert columns["db_cpu_host-h2"][:2] == [0.0, 1.0]
    assert answer["dataspaces"][0]["bad_rows"] == 1
    # A row that was added counts at once, although the file itself may be the same.
    connection = sqlite3.connect(database)
    connection.execute("insert into cpu values (30, 9, 'h1', null)")
    connection.commit()
    changed, columns = load(loader_params(tmp_path, [space]))
    connection.close()
    assert columns["db_cpu_idle"][-1] == 9.0
    assert changed["files"] != answer["files"]


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("select 1 as at", "no column 'idle'"),
        ("selec", "syntax error"),
        ("delete from cpu", "not authorized"),
        ("attach 'other.db' as other", "not authorized"),
        ("pragma journal_mode", "not authorized"),
        ("select at, idle, host, load_extension('x') from cpu", "not authorized"),
        ("select at from nobody", "no such table"),
        ("", "gives no rows"),
        ("select 1; select 2", "one statement"),
    ],
)
@pytest.mark.usefixtures("database")
def test_a_query_that_cannot_be_used(tmp_path: Path, query: str, what: str) -> None:
    with pytest.raises(InvalidData, match=what) as caught:
        load(loader_params(tmp_path, [sql_space(query)]))
    assert caught.value.hint
    assert caught.value.place


@pytest.mark.usefixtures("database")
def test_a_query_without_end_is_stopped(tmp_path: Path) -> None:
    query = sql.Query(
        "app.db",
        "with recursive n(at) as (select 0 union all select at from n) select at from n "
        "where at = 1",
    )
    selection = Selection(time_selector="at")
    with pytest.raises(InvalidData, match=r"longer than 0\.1 s"):
        sql.read(tmp_path, query, selection, seconds=0.1)


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_bytes(b"rubbish " * 1000)
    with pytest.raises(InvalidData, match="whole SQLite file"):
        load(loader_params(tmp_path, [sql_space("select at, idle, host from cpu")]))
    (tmp_path / "app.db").unlink()
    with pytest.raises(InvalidData, match=r"no file 'app\.db'"):
        load(loader_params(tmp_path, [sql_space("select at, idle, host from cpu")]))
    assert not (tmp_path / "app.db").exists()


PACKAGE = """
import json
from spice_engine.data.table import Labels, Table
import numpy as np

def read(app_folder, params, place, window):
    if params.get("fail"):
        raise RuntimeError("no route to the farm")
    return json.dumps([window[0], window[1], params["plot"]]).encode()

def parse(source, selection, *, name):
    first, last, plot = json.loads(source.read())
    values = {column.name: np.array([1.0, 2.0]) for column in selection.measurements}
    return Table(np.array([first, last - 5], dtype=np.int64), values)

def wrong(source, selection, *, name):
    return [1, 2]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    info = site / "farm-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "farm_of_tests.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: farm\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[spice_tui.connectors]\nfarm = farm_of_tests:read\n"
        "[spice_tui.processors]\nplots = farm_of_tests:parse\nwrong = farm_of_tests:wrong\n"
        "gone = farm_of_tests:gone\n"
    )
    monkeypatch.syspath_prepend(str(site))


@pytest.mark.usefixtures("package")
def test_a_package_brings_a_connector_and_a_processor(tmp_path: Path) -> None:
    assert extensions.foreign_names(extensions.CONNECTOR_GROUP) >= {"farm"}
    space = dataspace("f/p", ["a"], feed("farm", "plots", plot="7"))
    answer, columns = load(loader_params(tmp_path, [space], period=20))
    assert columns["f_p_a"] == [1.0, 2.0]
    assert answer["files"][0]["path"] == "farm"


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("connector", "processor", "params", "what"),
    [
        ("farm", "plots", {"plot": "7", "fail": "1"}, "no route to the farm"),
        ("farm", "wrong", {"plot": "7"}, "gave a list, not a Table"),
        ("farm", "gone", {"plot": "7"}, "cannot be loaded"),
        ("farm", "nothing", {"plot": "7"}, "unknown processor 'nothing'"),
        ("nothing", "csv", {}, "unknown connector 'nothing'"),
    ],
)
def test_faults_of_a_package_are_said(
    tmp_path: Path, connector: str, processor: str, params: dict[str, str], what: str
) -> None:
    space = dataspace("f/p", ["a"], feed(connector, processor, **params))
    with pytest.raises(InvalidData, match=what) as caught:
        load(loader_params(tmp_path, [space]))
    assert caught.value.hint
    assert caught.value.place


def test_tables_use_bounded_memory() -> None:
    from spice_engine.data.table import Table
    from spice_engine.data.table_cache import CachedTable, TableCache

    cache = TableCache(limit=10_000)
    for key in range(10):
        rows = np.zeros(300, dtype=np.int64)
        cache.put(key, CachedTable(Table(rows, {}), ""))
    assert cache.nbytes <= 10_000
    assert cache.get(9) is not None
    assert cache.get(0) is None
    cache.put("huge", CachedTable(Table(np.zeros(3000, dtype=np.int64), {}), ""))
    assert cache.get("huge") is None


def test_a_selection_names_what_it_takes() -> None:
    selection = Selection(measurements=(Column("a", "x"),), tags=("_tags", "x"))
    assert selection.selectors == ("time", "x", "_tags")
