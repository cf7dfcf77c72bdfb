"""Runs written into files, and taken in by another engine."""

from __future__ import annotations

import csv
import io
import json
import math
import tarfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest

from spice_engine.data import table_files, table_reading
from spice_engine.data.metric_export import export_metrics
from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.events import Bus
from spice_engine.protocol.run_archives import ExportArchive, ExportRunMetrics, ExportRuns
from spice_engine.protocol.runs import LabelRun, RunInfo, StartRun
from spice_engine.runs import operations
from spice_engine.runs.projects import Projects
from spice_engine.runs.run_archives import RunArchives
from spice_engine.runs.service import Runs
from spice_engine.runs.states import asked_with, info_of
from spice_engine.store import runs as run_table
from spice_engine.store import tracking
from spice_engine.store.series import Point
from spice_engine.workers.child import Report
from spice_engine.workers.pool import ChildPool
from tests.integration.run_services import runs_of


class Loader:
    """The handler that a loader has, called here."""

    async def call(self, method: str, params: dict[str, Any], *, deadline: float) -> Any:
        assert deadline > 0
        if method == "export_metrics":
            return export_metrics(params, cast("Report", SimpleNamespace(check=lambda: None)))
        handlers = {"write_parquet": table_files.parquet, "read_table": table_reading.rows_of}
        return handlers[method](params)


class Nobody:
    """Hears of no search."""

    async def taken_in(self, searches: Sequence[int], workflows: Sequence[int]) -> None:
        assert not searches
        assert not workflows


@dataclass(frozen=True)
class World:
    runs: Runs
    projects: Projects
    archives: RunArchives
    folder: Path


def world_of(runs: Runs) -> World:
    projects = Projects(runs.database, runs.metrics, runs.known, Bus())
    loader = cast("ChildPool", Loader())
    objects = runs.preparation.files._objects
    archives = RunArchives(runs, projects, loader, objects, Nobody(), lambda _: None)
    return World(runs, projects, archives, runs.location.root.parent)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "one").mkdir()
    async with runs_of(tmp_path / "one", stop=True) as runs:
        yield world_of(runs)


async def a_run(world: World) -> RunInfo:
    await world.projects.ensure("Digits")
    line = "echo said; mkdir deep; echo made > deep/made.txt; ln -s deep/made.txt link; exit 3"
    request = StartRun(
        line,
        name="first",
        project="digits",
        labels=["good"],
        params={"lr": 0.5},
        env={"SECRET": "hidden"},
    )
    started = await world.runs.start(request)
    owner = f"runs/{started.id}"
    points = [
        Point(name="loss", value=2.0, index=0, time=1.0),
        Point(name="loss", value=math.nan, index=1, time=2.0),
        Point(name="loss", value=0.5, index=2, time=3.0),
        Point(name="note", value="a text", index=0, time=1.0),
    ]
    world.runs.metrics.add(owner, points)
    return await world.runs.wait_over(started.id)


async def test_a_run_goes_to_another_engine_with_all_that_it_left(world: World) -> None:
    first = await a_run(world)
    tags = {"team": "fruit", "long ü": "x" * 500}
    await world.runs.database.write(lambda c: tracking.set_tags(c, first.id, tags))
    # The clients of MLflow count from where they like.
    await world.runs.metrics.take(f"runs/{first.id}", [("below", 0.5, -2, 5.0)])
    file = world.folder / "first.spicerun"
    wanted = ExportArchive(str(file), runs=[first.id])
    written = await world.archives.export(wanted)
    assert (written.runs, written.bytes) == (1, file.stat().st_size)
    with tarfile.open(file) as archive:
        about = archive.extractfile(f"runs/{first.id}/run.json")
        assert about is not None
        assert b"hidden" not in about.read()  # its variables stay here
    with pytest.raises(Conflict, match="there already"):
        await world.archives.export(wanted)
    (world.folder / "two").mkdir()
    async with runs_of(world.folder / "two") as runs:
        other = world_of(runs)
        await other.runs.start(StartRun("true", in_place=True))
        taken = await other.archives.take(str(file))
        assert (taken.was, taken.run.id, taken.runs) == (first.id, 2, {first.id: 2})
        assert (taken.known, taken.projects) == (0, ["Digits"])
        for name in ("name", "command", "state", "outcome", "exit_code", "created", "ended"):
            assert getattr(taken.run, name) == getattr(first, name), name
        assert (taken.run.labels, taken.run.params) == (["good"], {"lr": 0.5})
        assert (taken.run.project, taken.run.output_files) == ("Digits", 2)
        assert await runs.database.read(lambda c: tracking.tags_of(c, [2])) == {2: tags}
        folder = other.runs.folder(2)
        assert (folder / "logs.txt").read_text() == "said\n"
        assert (folder / "outputs" / "link").read_text() == "made\n"
        loss = await other.runs.metrics.points("runs/2", "loss")
        assert [(one.index, one.time) for one in loss] == [(0, 1.0), (1, 2.0), (2, 3.0)]
        assert math.isnan(float(loss[1].value))
        (note,) = await other.runs.metrics.points("runs/2", "note")
        assert note.value == "a text"
        (below,) = await other.runs.metrics.points("runs/2", "below")
        assert (below.index, below.value) == (-2, 0.5)
        assert not list((other.runs.location.state / "tmp").glob("run-*"))
        await other.runs.wait_over(1)
        again = await other.archives.take(str(file))
        assert (again.run.id, again.known) == (2, 1)  # it is known wherever it goes
    await world.projects.edit("digits", new_name="Numbers")
    back = await world.archives.take(str(file))
    assert (back.run.id, back.known, back.projects) == (first.id, 1, [])
    (project,) = await world.projects.list(archived=False)  # no empty one of the old name
    assert project.name == "Numbers"


@pytest.mark.parametrize("words", [None, ["/bin/cat", "read me.txt"]])
async def test_a_run_that_was_taken_in_can_be_run_again_as_it_was(
    world: World, words: list[str] | None
) -> None:
    (world.runs.location.root / "inner").mkdir()
    (world.runs.location.root / "inner" / "read me.txt").write_text("code\n")
    line = "cat 'read me.txt' && : '\\u0000' && echo :lr:; echo x > one; ln one two"
    started = await world.runs.start(
        StartRun(words or line, cwd="inner", params={} if words else {"lr": 0.5}, timeout=77)
    )
    first = await world.runs.wait_over(started.id)
    file = str(world.folder / "first.spicerun")
    await world.archives.export(ExportArchive(file, runs=[first.id]))
    (world.folder / "two").mkdir()
    async with runs_of(world.folder / "two") as runs:
        other = world_of(runs)
        taken = (await other.archives.take(file)).run
        assert taken.cwd == str(world.folder / "two" / "inner")
        if not words:  # both names of the one file
            assert taken.output_files == 2
        row = await runs.database.read(lambda found: run_table.get(found, taken.id))
        again = await runs.wait_over((await runs.start(asked_with(row))).id)
        assert (again.state, again.exit_code) == ("complete", 0), again
        said = "code\n" if words else "code\n0.5\n"
        assert (runs.folder(again.id) / "logs.txt").read_text() == said
        assert asked_with(row).timeout == 77
        assert not (world.folder / "two" / "inner").exists()  # it ran on the folder as it was
    without = ExportArchive(str(world.folder / "small"), runs=[first.id], code=False)
    await world.archives.export(without)
    with tarfile.open(world.folder / "small") as archive:
        assert not [name for name in archive.getnames() if name.startswith("objects/")]


async def test_tables_have_a_line_a_run(world: World) -> None:
    first = await a_run(world)
    other = await world.runs.start(StartRun("true", in_place=True, params={"depth": 3}))
    await world.runs.wait_over(other.id)
    for form in ("csv", "json", "parquet"):
        path = world.folder / f"runs.{form}"
        request = ExportRuns(str(path), form)  # type: ignore[arg-type]
        done = await world.archives.export_table(request)
        assert (done.runs, done.bytes) == (2, path.stat().st_size)
        with pytest.raises(Conflict):
            await world.archives.export_table(request)
    with (world.folder / "runs.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["id"] for row in rows] == [str(first.id), str(other.id)]
    assert (rows[0]["param.lr"], rows[0]["metric.loss"]) == ("0.5", "0.5")
    assert (rows[1]["param.lr"], rows[1]["param.depth"]) == ("", "3")
    told = json.loads((world.folder / "runs.json").read_text())
    assert (told[0]["labels"], told[1]["metric.loss"]) == (["good"], None)
    path = str(world.folder / "some.json")
    assert (await world.archives.export_table(ExportRuns(path, "json", project="DIGITS"))).runs == 1
    with pytest.raises(NotFound, match="Unknown project"):
        await world.archives.export_table(ExportRuns(path, "json", project="none"))
    for bad in ("runs.csv", f"{world.runs.location.state}/x.csv", "/a/../b"):
        with pytest.raises(InvalidRequest):
            await world.archives.export_table(ExportRuns(bad))


async def test_a_table_comes_back_in_once_with_what_it_tells(world: World) -> None:
    first = await a_run(world)
    await world.runs.start(StartRun("sleep 300", in_place=True))
    for form in ("csv", "json", "parquet"):
        path = world.folder / f"back.{form}"
        await world.archives.export_table(ExportRuns(str(path), form))  # type: ignore[arg-type]
        await world.projects.edit("digits", new_name="Numbers")
        here = await world.archives.take_table(str(path))
        assert (here.new, here.known, here.unfinished) == (0, 1, 1)  # it wrote them itself
        (project,) = await world.projects.list(archived=False)
        assert project.name == "Numbers"
        await world.projects.edit("numbers", new_name="Digits")
        (world.folder / form).mkdir()
        async with runs_of(world.folder / form) as runs:
            other = world_of(runs)
            await other.runs.wait_over((await other.runs.start(StartRun("true"))).id)
            taken = await other.archives.take_table(str(path))
            assert (taken.new, taken.known, taken.unfinished) == (1, 0, 1)
            run = info_of(await runs.database.read(lambda found: run_table.get(found, 2)))
            same = ("name", "state", "outcome", "exit_code", "message", "command", "cwd", "labels")
            same += ("created", "started", "ended", "project", "description", "stages", "params")
            for name in same:
                assert getattr(run, name) == getattr(first, name), (form, name)
            assert run.kind == "external"
            (loss,) = await runs.metrics.points("runs/2", "loss")
            assert (loss.value, loss.time) == (0.5, first.ended)
            again = await other.archives.take_table(str(path))
            assert (again.new, again.known) == (0, 1)
            # What it writes of them is known where they came from.
            returned = world.folder / f"returned.{form}"
            request = ExportRuns(str(returned), form, runs=[2])  # type: ignore[arg-type]
            await other.archives.export_table(request)
        back = await world.archives.take_table(str(returned))
        assert (back.new, back.known) == (0, 1)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
async def test_whole_series_come_after_the_runs(
    world: World, form: Literal["csv", "json", "parquet"]
) -> None:
    first = await a_run(world)
    odd = [
        Point(name="odd", value=value, index=index, time=5.0 + index)
        for index, value in enumerate([math.inf, -math.inf, math.nan, 0.1])
    ]
    texts = [
        Point(name="note", value=text, index=index, time=5.0)
        for index, text in enumerate(["", "1.5", "two\nlines, ü"], 1)
    ]
    world.runs.metrics.add(f"runs/{first.id}", [*odd, *texts])
    await world.runs.metrics.flush()
    await world.runs.metrics.take(f"runs/{first.id}", [("odd", 0.5, -2, 5.0)])
    table, points = str(world.folder / f"runs.{form}"), str(world.folder / f"points.{form}")
    await world.archives.export_table(ExportRuns(table, form))
    done = await world.archives.export_metrics(ExportRunMetrics(points, form, project="digits"))
    assert done.runs == 1
    with pytest.raises(Conflict):
        await world.archives.export_metrics(ExportRunMetrics(points, form))
    here = await world.archives.take_metrics(points)
    assert (here.runs, here.points, here.own, here.missing) == (0, 0, 1, 0)
    (world.folder / form).mkdir()
    async with runs_of(world.folder / form) as runs:
        other = world_of(runs)
        before = await other.archives.take_metrics(points)
        assert (before.runs, before.points, before.missing) == (0, 0, 1)
        await other.archives.take_table(table)
        for _ in range(2):  # again it changes nothing
            taken = await other.archives.take_metrics(points)
            assert (taken.runs, taken.points, taken.missing) == (1, done.points, 0)
            for name in ("loss", "odd", "note"):
                sent = await world.runs.metrics.points(f"runs/{first.id}", name)
                came = await runs.metrics.points("runs/1", name)
                assert list(map(repr, came)) == list(map(repr, sent)), name


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("origin", "x"),
        ("metric_name", ""),
        ("index", "1.5"),
        ("timestamp", "nan"),
        ("value", "much"),
    ],
)
async def test_a_bad_point_is_told_and_none_is_taken(world: World, column: str, cell: str) -> None:
    await a_run(world)
    path = world.folder / "points.csv"
    await world.archives.export_metrics(ExportRunMetrics(str(path)))
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    next(row for row in rows if row["metric_name"] == "loss")[column] = cell
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    (world.folder / "two").mkdir()
    async with runs_of(world.folder / "two") as runs:
        with pytest.raises(InvalidRequest, match=rf"points\.csv:\d+: {column}"):
            await world_of(runs).archives.take_metrics(str(path))


GOOD = "complete,1.5,[],x"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", f"state,created,labels,name\n{GOOD}\ndone,2,[],\n", "a.csv:3: state"),
        ("a.csv", f"state,created,labels,name\n{GOOD}\nfailed,noon,[],\n", "a.csv:3: created"),
        ("a.csv", f"state,created,labels,name\n{GOOD}\nfailed,2,good,\n", "a.csv:3: labels"),
        ("a.csv", f"state,created,labels,name\n{GOOD}\nfailed,2\n", "a.csv:3: 2 cells"),
        ("a.csv", 'state,created\n"complete,1\n', "a.csv:2"),
        ("a.csv", "state,state\n", "a.csv:1: two columns"),
        ("a.json", '[\n{"state":"complete","created":1},\n{"state":7,"created":1}\n]\n', "json:3"),
        ("a.json", '[{"state": "complete", "created": 1}, 7]', "a.json: row 2"),
        ("a.json", "[\n{,\n]\n", "a.json:2"),
        ("a.parquet", "no Parquet at all", "a.parquet is no Parquet file"),
        ("a.txt", "", "no .csv, .json or .parquet"),
    ],
)
async def test_a_bad_row_is_told_and_no_row_is_taken(
    world: World, name: str, text: str, message: str
) -> None:
    path = world.folder / name
    path.write_text(text)
    with pytest.raises(InvalidRequest, match=message):
        await world.archives.take_table(str(path))
    assert not await world.runs.database.read(lambda found: run_table.list_newest(found, 9))
    assert not list((world.runs.location.state / "tmp").glob("run-*"))


async def test_a_run_that_goes_on_is_not_written(world: World) -> None:
    started = await world.runs.start(StartRun("sleep 300", in_place=True))
    wanted = ExportArchive(str(world.folder / "x"), runs=[started.id])
    with pytest.raises(Conflict, match="not over"):
        await world.archives.export(wanted)
    assert not (world.folder / "x").exists()
    await operations.label(world.runs, LabelRun(started.id, add=["x"]))


def search_of(state: str, plan: dict[str, Any]) -> bytes:
    told = {
        "id": 1,
        "method": "grid",
        "source": "runs",
        "name": "",
        "description": "",
        "state": state,
        "message": "",
        "created": 1.0,
        "ended": 2.0,
        "archived": None,
        "plan": {"run": None, **plan},
        "code": "",
        "dependencies": None,
        "mounts": [],
        "sampler_state": None,
    }
    return json.dumps(
        {"format": 2, "searches": [[told, []]], "workflows": [], "projects": []}
    ).encode()


def archive(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> str:
    with tarfile.open(path, "w:gz") as out:
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            out.addfile(member)
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return str(path)


async def test_what_is_no_run_or_harmful_leaves_nothing(world: World) -> None:
    about = await a_run(world)
    file = world.folder / "good.spicerun"
    await world.archives.export(ExportArchive(str(file), runs=[about.id]))
    with tarfile.open(file) as good:
        parts = [good.extractfile(name) for name in ("archive.json", f"runs/{about.id}/run.json")]
        head, good_about = (part.read() for part in parts if part is not None)
    # As from another engine: nobody knows it here.
    data = {**json.loads(good_about), "origin": "0" * 32}
    good_about = json.dumps(data).encode()
    going_on = json.dumps({**data, "run": {**data["run"], "state": "running"}}).encode()
    endless = json.dumps({**data, "run": {**data["run"], "created": math.inf}}).encode()
    damaged = json.dumps({**data, "run": {**data["run"], "labels": 7}}).encode()
    outside = world.folder / "outside"
    bad = world.folder / "bad"
    whole = file.read_bytes()
    cases = {
        "no tar file": b"not a tar",
        "cut off": whole[: len(whole) // 2],
    }
    for content in cases.values():
        bad.write_bytes(content)
        with pytest.raises(InvalidRequest, match="holds no runs"):
            await world.archives.take(str(bad))
    run = {"archive.json": head, "runs/3/run.json": good_about}
    folder = world.runs.preparation.files._objects
    wrong = folder.put_bytes(b"other") if data["code"] else ""
    for members, links in (
        ({"archive.json": head}, None),
        ({"archive.json": b"[]", "runs/3/run.json": good_about}, None),
        ({"archive.json": b'{"format": 1}', "runs/3/run.json": good_about}, None),
        (run | {"runs/3/run.json": going_on}, None),
        (run | {"runs/3/run.json": damaged}, None),
        (run | {"archive.json": search_of("running", {})}, None),
        (run | {"archive.json": search_of("complete", {"parameters": 7})}, None),
        ({"runs/3/outputs/x": b"x"}, None),
        (run | {"runs/3/outputs/../../../escape": b"x"}, None),
        (run | {"/abs": b"x"}, None),
        (run | {"runs/3/job.json": b"x"}, None),
        (run | {"runs/x/run.json": good_about}, None),
        (run | {"runs/4/outputs/x": b"x"}, None),
        (run | {f"objects/{wrong}": b"not that"}, None),
        (run | {"runs/3/metrics.jsonl": b'["loss", "x"]\n'}, None),
        (run | {"runs/3/metrics.jsonl": b'["loss", 1e3, 1.0, 2.0]\n'}, None),
        (run | {"runs/3/metrics.jsonl": b'["loss", 99999999999999999999, 1.0, 2.0]\n'}, None),
        (run | {"runs/3/metrics.jsonl": b'["loss", 1, NaN, 2.0]\n'}, None),
        (run | {"runs/3/metrics.jsonl": b'["\\ud800", 1, 1.0, 2.0]\n'}, None),
        (run | {"runs/3/run.json": good_about.replace(b'"first"', b'"\\ud800"')}, None),
        (run | {"runs/3/run.json": good_about.replace(b'"first"', b'"a\\u0000"')}, None),
        (run | {"runs/3/run.json": endless}, None),
        (run | {"runs/4/run.json": good_about}, None),
        (run | {"runs/3/outputs/d/x": b"x"}, {"runs/3/outputs/d": str(outside)}),
    ):
        with pytest.raises((InvalidRequest, Conflict)):
            await world.archives.take(archive(bad, members, links))
    with pytest.raises(NotFound):
        await world.archives.take(str(world.folder / "nothing"))
    assert not outside.exists()
    assert list(world.runs.known) == [about.id]
    assert [path.name for path in (world.runs.location.state / "runs").iterdir()] == [str(about.id)]
    assert not list((world.runs.location.state / "tmp").glob("run-*"))
