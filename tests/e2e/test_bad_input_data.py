"""Data that are wrong, go wrong or go away while a pod serves: told, and survived."""

from __future__ import annotations

import gzip
import os
import random
import sqlite3
import time
from pathlib import Path

import psutil
import pytest

from spice_engine.errors import SpiceError
from tests.conftest import EngineFixture, wait_for
from tests.e2e.two_pods import (
    DATA,
    MEBIBYTE,
    answer,
    broken,
    check,
    errors,
    folder,
    learned,
    line_of,
    pod,
    rows_of,
    sample,
    save,
    settled,
)

pytestmark = pytest.mark.e2e

HEADER, *ROWS = DATA.splitlines()
MANIFEST = sample("reads").replace("metrics.csv", "reads.csv")


@pytest.fixture
def data(shared: EngineFixture) -> Path:
    """The file of the pod `reads`, which has learned from a copy of the good data."""
    path = save(shared.location.root / "data" / "reads.csv", DATA)
    save(folder(shared) / "reads.yaml", MANIFEST)
    learned(shared, "reads")
    return path


def lines(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def warnings(info: dict[str, object]) -> dict[str, dict[str, object]]:
    return {item["code"]: item for item in info["problems"] if item["severity"] == "warning"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("moment,cpu,memory\n1767225600,1,2\n", "time"),
        ("time,cpu\n1767225600,1\n", "memory"),
        ("time,cpu,memory", ""),
        (lines("1767225600,1,2"), ""),
        (lines(*[row.replace("1767", "1567") for row in ROWS]), ""),
        (lines(*[row.replace("1767", "9967") for row in ROWS]), ""),
        (lines(*[f"{row.split(',')[0]},x,y" for row in ROWS]), ""),
        (b"PK\x03\x04" + bytes(1000), ""),
        ("<html><body>Not found</body></html>", ""),
        ("time,cpu,memory\n" + "9" * 400_000, ""),
        ("x" * (3 * MEBIBYTE), ""),
        ("time,cpu,memory\n1767225600," + "1" * (20 * MEBIBYTE), ""),
        (None, "There is no file"),
    ],
    ids=range(13),
)
def test_what_a_file_turns_into_is_told_and_the_last_good_version_answers(
    shared: EngineFixture, data: Path, content: str | bytes | None, says: str
):
    before, version = answer(shared, "reads"), pod(shared, "reads")["policy_version"]
    data.unlink() if content is None else save(data, content)
    found = broken(shared, "reads")
    assert any(says in item["message"] for item in found), found
    assert pod(shared, "reads")["state"] == "ready"
    assert all("reads" in str(item["file"]) for item in found), found
    given = shared.call("pods.recommend", pod="reads", explain=True)
    assert given["policy_version"] == version
    assert given["action"] in given["values"]
    # Back again, it answers as before; what it knows was learned from exactly that.
    save(data, DATA)
    wait_for(lambda: not errors(pod(shared, "reads")), "the errors to go")
    assert answer(shared, "reads") == before
    assert pod(shared, "reads")["policy_version"] == version


def test_bad_cells_are_counted_with_their_line_and_kept_out(shared: EngineFixture, data: Path):
    version = pod(shared, "reads")["policy_version"]
    rows = list(ROWS)
    for number, cell in (
        (9, "abc"),
        (10, "nan"),
        (11, "inf"),
        (12, "1e400"),
        (13, "--5"),
        (14, ""),
    ):
        moment, _, memory = rows[number].split(",")
        rows[number] = f"{moment},{cell},{memory}"
    rows[3] = "never,1,2"
    rows[4] = "1e400,1,2"
    save(data, lines(*rows))
    info = learned(shared, "reads", after=version)
    told = warnings(info)
    assert told
    for problem in told.values():
        check(problem)
    text = " ".join(str(item["message"]) for item in told.values())
    assert "cpu" in text
    # The header is line 1, so the first bad row is in line 5 and the first bad cell in line 11.
    assert all(item["line"] == 5 for item in told.values()), told
    assert "line 5:" in text
    assert "line 11:" in text


def test_rows_in_any_order_give_the_same(shared: EngineFixture, data: Path):
    before, version = answer(shared, "reads"), pod(shared, "reads")["policy_version"]
    shuffled = list(ROWS)
    random.Random(0).shuffle(shuffled)
    for rows in (shuffled, ROWS[::-1]):
        save(data, lines(*rows))
        version = learned(shared, "reads", after=version)["policy_version"]
        assert answer(shared, "reads") == before


def test_each_row_twice_gives_the_same(shared: EngineFixture, data: Path):
    before, version = answer(shared, "reads"), pod(shared, "reads")["policy_version"]
    save(data, lines(*[row for row in ROWS for _ in range(2)]))
    learned(shared, "reads", after=version)
    assert answer(shared, "reads") == before


def test_two_values_at_one_time_are_their_mean(shared: EngineFixture, data: Path):
    before, version = answer(shared, "reads"), pod(shared, "reads")["policy_version"]
    rows: list[str] = []
    for row in ROWS:
        moment, cpu, memory = row.split(",")
        rows += [f"{moment},{float(cpu) - 1},{memory}", f"{moment},{float(cpu) + 1},{memory}"]
    save(data, lines(*rows))
    learned(shared, "reads", after=version)
    now = answer(shared, "reads")
    assert (now["action"], now["end"]) == (before["action"], before["end"])
    assert now["confidence"] == pytest.approx(before["confidence"], abs=1e-6)


def test_a_file_that_grows_is_learned_from(shared: EngineFixture, data: Path):
    version = pod(shared, "reads")["policy_version"]
    save(data, lines(*ROWS[:2000]))
    version = learned(shared, "reads", after=version)["policy_version"]
    end = answer(shared, "reads")["end"]
    with data.open("a") as file:
        for row in ROWS[2000:2600]:
            file.write(f"{row}\n")
    learned(shared, "reads", after=version)
    wait_for(lambda: answer(shared, "reads")["end"] == end + 600 * 30, "the newest rows")


def test_a_file_cut_in_place_and_written_anew_is_read_when_it_is_whole(
    shared: EngineFixture, data: Path
):
    version, before = pod(shared, "reads")["policy_version"], answer(shared, "reads")
    with data.open("w") as file:
        for start in range(0, len(DATA), 4000):
            file.write(DATA[start : start + 4000])
            file.flush()
            time.sleep(0.005)
            given = shared.call("pods.recommend", pod="reads")
            assert given["policy_version"] >= version
    wait_for(lambda: answer(shared, "reads") == before, "what it said before")
    assert not errors(pod(shared, "reads"))


def test_a_cut_row_at_the_end_is_left_out(shared: EngineFixture, data: Path):
    version = pod(shared, "reads")["policy_version"]
    save(data, DATA + "17673")
    info = learned(shared, "reads", after=version)
    assert not errors(info)


@pytest.mark.parametrize(
    "kind", ["folder", "pipe", "device", "loop", "socket", "outside", "nul", "long", "home", "dash"]
)
def test_what_is_no_data_file(shared: EngineFixture, kind: str):
    root = shared.location.root / "data"
    target = root / f"odd-{kind}"
    path = f"data/odd-{kind}"
    match kind:
        case "folder":
            target.mkdir()
        case "pipe":
            os.mkfifo(target)
        case "device":
            path = "/dev/zero"
        case "loop":
            target.symlink_to(target.name)
        case "socket":
            path = str(shared.location.socket)
        case "outside":
            path = "data/../../../etc/passwd"
        case "nul":
            path = '"data/x\\0.csv"'
        case "long":
            path = "x" * 300
        case "home":
            path = "~nobody-of-that-name/metrics.csv"
        case "dash":
            path = '"--version"'
    text = sample("odd").replace("data/metrics.csv", path)
    save(folder(shared) / "odd.yaml", text)
    found = broken(shared, "odd")
    assert {item["line"] for item in found} == {line_of(text, "path:")}
    assert pod(shared, "odd")["state"] == "failed"


def test_a_period_that_slides_past_a_static_file(shared: EngineFixture):
    text = "".join(
        line for line in sample("slides").splitlines(keepends=True) if "epoch_time" not in line
    )
    save(folder(shared) / "slides.yaml", text)
    found = broken(shared, "slides")
    told = warnings(pod(shared, "slides"))
    assert "static_file_without_epoch" in told, found
    assert told["static_file_without_epoch"]["line"] == line_of(text, "path:")
    with pytest.raises(SpiceError) as caught:
        shared.call("pods.recommend", pod="slides")
    assert caught.value.code in {"training_not_complete", "not_enough_data"}
    # With the time that the warning asks for it learns.
    save(folder(shared) / "slides.yaml", sample("slides"))
    learned(shared, "slides")


def test_one_observation_is_not_enough(shared: EngineFixture):
    text = sample("one").replace("metrics.csv", "one.csv")
    data = save(shared.location.root / "data" / "one.csv", lines(ROWS[0]))
    save(folder(shared) / "one.yaml", text)
    found = broken(shared, "one")
    assert "insufficient data" in found[0]["message"]
    assert "21 buckets" in found[0]["hint"]
    for count in (2, 20):
        save(data, lines(*ROWS[:count]))
        wait_for(lambda count=count: rows_of(shared, "one") == count, "the new file")
        assert settled(shared, "one")["state"] == "failed"
    save(data, lines(*ROWS[:60]))
    learned(shared, "one")


SQL = """\
      connector:
        name: sql
        params:
          path: data/{path}
          query: "{query}"
"""


def with_sql(path: str, query: str) -> str:
    old = (
        "      connector:\n        name: file\n        params:\n          path: data/metrics.csv\n"
    )
    text = sample("asks")
    assert old in text
    return text.replace(old, SQL.format(path=path, query=query))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT", "incomplete"),
        ("SELECT * FROM nothing", "nothing"),
        ("DELETE FROM readings", "not authorized"),
        ("ATTACH '/etc/passwd' AS x", "not authorized"),
        ("PRAGMA writable_schema=1", "not authorized"),
        ("SELECT load_extension('x')", "not authorized"),
        ("SELECT cpu, memory FROM readings", "time"),
        ("SELECT 1 AS time, zeroblob(2000000000) AS cpu, 1 AS memory", ""),
        ("SELECT 1 AS time; SELECT 2", "one statement"),
    ],
    ids=range(9),
)
def test_queries_that_give_no_data(shared: EngineFixture, query: str, says: str):
    file = shared.location.root / "data" / "readings.sqlite"
    file.unlink(missing_ok=True)
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE readings (time, cpu, memory)")
        connection.executemany(
            "INSERT INTO readings VALUES (?, ?, ?)", [r.split(",") for r in ROWS]
        )
    connection.close()
    save(folder(shared) / "asks.yaml", with_sql("readings.sqlite", query))
    found = broken(shared, "asks")
    assert any(says in item["message"] for item in found), found
    assert all(item["line"] > 0 for item in found)
    save(
        folder(shared) / "asks.yaml",
        with_sql("readings.sqlite", "SELECT time, cpu, memory FROM readings"),
    )
    learned(shared, "asks")
    assert rows_of(shared, "asks") == len(ROWS)
    shared.call("engine.ping")


def test_what_is_no_database(shared: EngineFixture):
    save(shared.location.root / "data" / "none.sqlite", DATA)
    save(folder(shared) / "asks.yaml", with_sql("none.sqlite", "SELECT * FROM readings"))
    (problem,) = broken(shared, "asks")
    assert "none.sqlite" in problem["message"]
    assert "whole SQLite file" in problem["hint"]


@pytest.mark.parametrize(
    ("processor", "content"),
    [
        ("json", "{"),
        ("json", "[" * 100_000),
        ("json", "5"),
        ("json", '[{"time": {"a": 1}, "cpu": [], "memory": {}}]'),
        ("json", '[{"time": 1767225600, "cpu": 1e400, "memory": ' + "9" * 5000 + "}]"),
        ("json", b"\xff\xfe{}"),
        ("parquet", b"PAR1" + bytes(100) + b"PAR1"),
        ("parquet", b"PAR1" + b"\xff" * 64 + b"\xff\xff\xff\x7fPAR1"),
        ("arrow", b"ARROW1\0\0" + b"\xff" * 256),
        ("arrow", b"\xff\xff\xff\xff\xf0\xff\xff\x7f" + bytes(64)),
        ("flux-csv", "#datatype,string\n#group\n"),
        ("flux-csv", '{"code": "unauthorized"}'),
    ],
    ids=range(12),
)
def test_files_that_no_processor_can_read(
    shared: EngineFixture, processor: str, content: str | bytes
):
    save(shared.location.root / "data" / "odd.data", content)
    text = (
        sample("odd")
        .replace("metrics.csv", "odd.data")
        .replace("csv\n    m", f"{processor}\n    m")
    )
    assert f"name: {processor}" in text
    save(folder(shared) / "odd.yaml", text)
    found = broken(shared, "odd")
    assert found[0]["line"] > 0 or "odd.data" in str(found[0]["file"]), found
    assert pod(shared, "odd")["state"] == "failed"


@pytest.mark.slow
def test_a_packed_file_of_zeros_kills_nothing(shared: EngineFixture):
    path = shared.location.root / "data" / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(100):
            file.write(bytes(MEBIBYTE))
    assert path.stat().st_size < MEBIBYTE
    save(folder(shared) / "bomb.yaml", sample("bomb").replace("metrics.csv", "bomb.csv.gz"))
    assert broken(shared, "bomb")
    engine = psutil.Process(shared.pid)
    assert engine.memory_info().rss < 300 * MEBIBYTE
    with gzip.open(path, "wt") as file:
        file.write(DATA)
    learned(shared, "bomb")
    # Cut short, it is broken, and says so.
    whole = path.read_bytes()
    save(path, whole[: len(whole) // 2])
    assert broken(shared, "bomb")
    assert answer(shared, "bomb")["action"]
