"""Logs looked into through a real engine: every source, in bulk, and patterns that never end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.views import SearchLog
from spice_engine.runs import log_views
from spice_engine.runs.log_times import offset_at
from spice_engine.runs.log_views import Logs
from spice_engine.workers.pool import ChildPool
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.log_replay import replay
from spice_tui.cli.main import main
from tests.conftest import EngineFixture, wait_for
from tests.integration.run_services import runs_of

LINES = 30_000


@pytest.fixture(scope="module")
def run(shared_engine: EngineFixture) -> str:
    """The log of a run that wrote LINES lines."""
    command = f"for i in $(seq {LINES}); do echo line $i of a log; done; printf torn"
    number = shared_engine.call("runs.start", command=command)["id"]
    wait_for(
        lambda: shared_engine.call("runs.get", id=number)["state"] == "complete", "the run's end"
    )
    return f"run/{number}"


def whole(engine: EngineFixture, source: str) -> bytes:
    data = b""
    while True:
        piece = engine.call("logs.read", source=source, offset=len(data), limit=2**20)
        data += piece["data"]
        if len(data) == piece["size"]:
            return data


def test_all_kinds_of_logs_are_listed(shared_engine: EngineFixture, run: str):
    # A query needs a child, and children have logs.
    shared_engine.call("store.query", sql="SELECT 1")
    sources = shared_engine.call("logs.sources")["sources"]
    by_name = {one["name"]: one for one in sources}
    assert sources[0]["name"] == "engine"
    assert by_name["engine"]["live"]
    assert by_name["engine"]["size"] > 0
    assert not by_name[run]["live"]
    assert by_name[run]["size"] == len(whole(shared_engine, run))
    assert by_name["child/query-0"]["live"]


def test_a_large_log_is_read_by_its_index(shared_engine: EngineFixture, run: str):
    data = whole(shared_engine, run)
    index = shared_engine.call("logs.index", source=run)
    assert index["lines"] == LINES
    assert index["size"] == len(data)
    assert data[index["end"] :] == b"torn"
    for number, offset in enumerate(index["offsets"]):
        assert data[offset:].startswith(b"line %d of" % (number * index["stride"] + 1))
    rest = shared_engine.call("logs.index", source=run, line=LINES, offset=index["end"])
    assert (rest["lines"], rest["end"], rest["offsets"]) == (LINES, index["end"], [index["end"]])


def test_a_search_finds_lines_both_ways(shared_engine: EngineFixture, run: str):
    data = whole(shared_engine, run)
    pattern = r"line \d*777 of"
    found = shared_engine.call("logs.search", source=run, pattern=pattern)
    expected = [data.index(b"\nline %d of" % n) + 1 for n in range(777, LINES, 1000)]
    assert found["offsets"] == expected
    assert found["done"]
    back = shared_engine.call(
        "logs.search", source=run, pattern=pattern, offset=len(data), backwards=True, limit=2
    )
    assert back["offsets"] == expected[:-3:-1]
    assert not back["done"]
    more = shared_engine.call(
        "logs.search", source=run, pattern="LINE 12 ", regex=False, ignore_case=True
    )
    assert more["offsets"] == [data.index(b"line 12 of")]
    others = shared_engine.call("logs.search", source=run, pattern="^line", invert=True)
    assert others["offsets"] == [data.index(b"torn")]


def test_a_moment_is_found_in_the_engines_log(shared_engine: EngineFixture):
    now = time.time()
    start = shared_engine.call("logs.at", source="engine", time=now - 3600)
    assert start == {"offset": 0, "exact": True}
    end = shared_engine.call("logs.at", source="engine", time=now + 3600)
    assert end["offset"] == shared_engine.call("logs.read", source="engine", offset=0)["size"]


def test_a_moment_is_found_in_a_runs_log(shared_engine: EngineFixture, run: str):
    assert shared_engine.call("logs.at", source=run, time=0.0) == {"offset": 0, "exact": True}
    assert shared_engine.call("logs.at", source=run, time=time.time())["exact"]


def test_a_log_is_told_again_with_its_pauses(
    shared_engine: EngineFixture, capsys: pytest.CaptureFixture[str]
):
    number = shared_engine.call("runs.start", command="echo a; sleep 1.2; printf 'b\nc'")["id"]
    wait_for(
        lambda: shared_engine.call("runs.get", id=number)["state"] == "complete", "the run's end"
    )
    pauses: list[tuple[float, str]] = []
    with shared_engine.client() as client:

        def sleep(seconds: float) -> None:
            pauses.append((seconds, capsys.readouterr().out))

        end = replay(client, number, 0, {}, sleep)
    assert (capsys.readouterr().out, end) == ("b\nc", 5)
    ((pause, before),) = pauses
    assert before == "a\n"
    assert pause >= 1.0
    assert (
        main(["-C", str(shared_engine.location.root), "logs", str(number), "-d", "-n", "1", "-v"])
        == 0
    )
    out, err = capsys.readouterr()
    assert out == "c"
    assert err.startswith(f"Run {number}: Complete (0); ")


def test_a_child_has_no_times(shared_engine: EngineFixture):
    shared_engine.call("store.query", sql="SELECT 1")
    answer = shared_engine.call("logs.at", source="child/query-0", time=0.0)
    assert answer == {"offset": 0, "exact": False}


@pytest.mark.parametrize("source", ["run/99999", "child/none-1", "child/trainer-99"])
def test_a_log_that_is_not_there_is_told(shared_engine: EngineFixture, source: str):
    with pytest.raises(NotFound):
        shared_engine.call("logs.read", source=source, offset=0)


@pytest.mark.parametrize(
    "source", ["", "run/../1", "child/../engine", "run/²", "x/1", "/etc/passwd"]
)
def test_what_names_no_log_is_refused(shared_engine: EngineFixture, source: str):
    with pytest.raises(InvalidRequest):
        shared_engine.call("logs.read", source=source, offset=0)


def test_a_growing_log_of_the_engine_is_told(shared_engine: EngineFixture):
    with FollowingClient(shared_engine.location) as client:
        client.subscribe("log/engine")
        _, event = client.next_event()
        size = event.data["size"]
        assert size > 0
        # A manifest that is broken is told in the log.
        broken = shared_engine.location.root / "spicepods" / "broken.yaml"
        broken.parent.mkdir(exist_ok=True)
        broken.write_text("name: [")
        while event.data["size"] <= size:
            _, event = client.next_event()
        broken.unlink()


def test_a_topic_of_no_log_is_refused(shared_engine: EngineFixture):
    with FollowingClient(shared_engine.location) as client:
        client.subscribe("log/child/none-1")
        with pytest.raises(NotFound):
            client.next_event()


@asynccontextmanager
async def logs_of(root: Path) -> AsyncIterator[tuple[Logs, ChildPool]]:
    """The service on a folder, with a child of its own."""
    async with runs_of(root) as runs:
        folder = root / ".spice" / "trainers"
        pool = ChildPool("query", "spice_engine.workers.query", 1, folder=folder)
        try:
            yield Logs(runs, {"query": pool}), pool
        finally:
            await pool.close()


async def test_a_pattern_that_never_ends_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_views, "SEARCH_SECONDS", 1.0)
    async with logs_of(tmp_path) as (logs, pool):
        await pool.warm()
        (tmp_path / ".spice" / "engine.log").write_text("a" * 60 + "b\n")
        with pytest.raises(InvalidRequest, match="was stopped"):
            await logs.search(SearchLog("engine", "(a|aa)+$"))
        found = await logs.search(SearchLog("engine", "a+b$"))
        assert found.offsets == [0]
        assert pool.stats().deaths == 1


async def test_times_of_the_engines_log(tmp_path: Path):
    path = tmp_path / "engine.log"
    lines = [f"1970-01-01T00:{n // 60:02}:{n % 60:02}.500Z INFO engine: {n}\n" for n in range(3000)]
    lines.insert(1000, "Traceback:\n" + "  a line without a time\n" * 9000)
    path.write_text("".join(lines))
    data = path.read_text()
    for moment in (0.0, 0.5, 0.6, 999.4, 999.6, 1000.5, 2998.7):
        offset, exact = offset_at(path, moment, stamped=True)
        wanted = next(n for n in range(3000) if n + 0.5 >= moment)
        assert exact
        assert data[offset:].partition("\n")[0].endswith(f": {wanted}")
    assert offset_at(path, 3000.0, stamped=True) == (len(data), True)
