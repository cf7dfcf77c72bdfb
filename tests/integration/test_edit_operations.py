"""Edits of manifests through the private door and the command line, on real files."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spice_engine.api.door import PrivateDoor
from spice_engine.errors import Conflict, InvalidManifest, InvalidRequest, NotFound, StorageError
from spice_engine.events import Bus
from spice_engine.operations import Dispatcher, OperationTable
from spice_engine.pods import edit_operations, json_schema
from spice_engine.pods.edit_operations import Manifests
from spice_engine.pods.manifest import parse_manifest
from spice_engine.protocol.location import Location, locate
from spice_tui.cli.main import main

GOOD = """\
name: good
dataspaces:
  - from: a
    name: b
    data:
    measurements: [{name: m}]
actions:
  - name: one   # first
"""


async def unheard() -> None:
    """Nobody waits for changes."""


@pytest.fixture
def location(tmp_path: Path) -> Location:
    (tmp_path / "app" / "spicepods").mkdir(parents=True)
    found = Location(tmp_path / "app", tmp_path / "app" / ".spice")
    found.state.mkdir()
    return found


@pytest.fixture
def manifests(location: Location) -> Manifests:
    return Manifests(location, unheard)


def write(location: Location, name: str, text: str = GOOD) -> Path:
    path = location.root / "spicepods" / name
    path.write_bytes(text.encode())
    return path


def adding(name: str) -> Callable[[str, str], str]:
    return lambda text, _: edit_operations.edit_manifest.add_action(text, name)


async def test_init_writes_a_manifest_and_the_schema_it_names(
    manifests: Manifests, location: Location
) -> None:
    answer = await manifests.init("Trader", replace=False)
    path = location.root / "spicepods" / "trader.yaml"
    assert (answer.pod, answer.manifest) == ("Trader", "spicepods/trader.yaml")
    assert path.read_text() == answer.text
    reference = answer.text.splitlines()[0].partition("$schema=")[2]
    schema = (path.parent / reference).resolve()
    assert schema.read_text() == json_schema.as_text()
    assert {problem.code for problem in answer.problems} == {"no_dataspaces", "no_actions"}
    with pytest.raises(Conflict, match=r"already exists at spicepods/trader\.yaml"):
        await manifests.init("TRADER", replace=False)
    path.write_text("mine")
    await manifests.init("Trader", replace=True)
    assert path.read_text() == answer.text


async def test_init_refuses_names_that_are_none_or_taken(
    manifests: Manifests, location: Location
) -> None:
    write(location, "other.yml", "name: taken\n")
    with pytest.raises(Conflict, match=r"in other\.yml"):
        await manifests.init("taken", replace=True)
    for name in ("", "../x", "a/b", ".hidden", "a b", "x" * 101, "é"):
        with pytest.raises(InvalidRequest, match="cannot name a pod"):
            await manifests.init(name, replace=False)
    assert [path.name for path in (location.root / "spicepods").iterdir()] == ["other.yml"]


async def test_state_elsewhere_is_named_by_its_address(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "state").mkdir()
    answer = await Manifests(Location(tmp_path / "app", tmp_path / "state"), unheard).init(
        "x", replace=False
    )
    assert f"$schema={(tmp_path / 'state').as_uri()}/spicepod.schema.json" in answer.text


async def test_a_schema_of_another_version_is_replaced(
    manifests: Manifests, location: Location
) -> None:
    manifests.schema.write_bytes(b"\xff{}")
    await manifests.write_schema()
    data = json.loads(manifests.schema.read_text())
    assert data["$schema"].endswith("2020-12/schema")


async def test_an_edit_changes_its_lines_only_and_keeps_the_mode(
    manifests: Manifests, location: Location
) -> None:
    path = write(location, "good.yaml", GOOD.replace("\n", "\r\n"))
    path.chmod(0o600)
    answer = await manifests.edit("", None, adding("two"))
    assert path.read_bytes() == (GOOD + "  - name: two\n").replace("\n", "\r\n").encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert answer.problems == []
    assert parse_manifest(answer.text, "x").problems == ()


async def test_a_written_file_is_told_of_before_the_answer(location: Location) -> None:
    seen: list[str] = []

    async def look() -> None:
        seen.extend(path.read_text() for path in (location.root / "spicepods").iterdir())

    manifests = Manifests(location, look)
    made = await manifests.init("x", replace=False)
    edited = await manifests.edit("x", None, adding("go"))
    await manifests.edit("x", made.text, adding("unsaved"))
    assert seen == [made.text, edited.text]


async def test_edits_at_the_same_time_all_count(manifests: Manifests, location: Location) -> None:
    path = write(location, "good.yaml")
    await asyncio.gather(*(manifests.edit("good", None, adding(f"a{n}")) for n in range(20)))
    manifest = parse_manifest(path.read_text(), "x").manifest
    assert manifest is not None
    assert set(manifest.action_names) == {"one", *(f"a{n}" for n in range(20))}


async def test_the_pod_is_named_where_there_are_several(
    manifests: Manifests, location: Location
) -> None:
    with pytest.raises(NotFound, match="No pods detected!"):
        await manifests.edit("", None, adding("x"))
    write(location, "good.yaml")
    write(location, "unnamed.yml", "actions:\n  - name: a\n")
    write(location, "broken.yaml", "a: [1\n")
    with pytest.raises(InvalidRequest, match="several pods") as error:
        await manifests.edit("", None, adding("x"))
    assert "broken, good, unnamed" in error.value.hint
    assert (await manifests.edit("unnamed", None, adding("x"))).manifest == "spicepods/unnamed.yml"
    with pytest.raises(NotFound, match="no pod 'other'"):
        await manifests.edit("other", None, adding("x"))
    with pytest.raises(InvalidManifest):
        await manifests.edit("broken", None, adding("x"))


async def test_an_edit_that_would_break_the_manifest_is_refused(
    manifests: Manifests, location: Location
) -> None:
    path = write(location, "good.yaml")
    bad = edit_operations.NewDataspace("a/c", {"not a word": ""})
    with pytest.raises(InvalidManifest, match="it was not made") as error:
        await manifests.edit(
            "", None, lambda text, _: edit_operations.edit_manifest.add_dataspace(text, bad)
        )
    assert [problem["code"] for problem in error.value.problems] == ["invalid_measurement_name"]
    assert path.read_text() == GOOD


async def test_an_unsaved_text_is_edited_without_the_file(
    manifests: Manifests, location: Location
) -> None:
    path = write(location, "good.yaml")
    answer = await manifests.edit("good", GOOD + "  - name: unsaved\n", adding("two"))
    assert answer.text == GOOD + "  - name: unsaved\n  - name: two\n"
    assert path.read_text() == GOOD


async def test_a_file_that_somebody_else_writes_meanwhile_is_left_alone(
    manifests: Manifests, location: Location
) -> None:
    path = write(location, "good.yaml")

    def slow(text: str, _: str) -> str:
        path.write_text(GOOD + "# theirs\n")
        return edit_operations.edit_manifest.add_action(text, "two")

    with pytest.raises(Conflict, match="at the same moment"):
        await manifests.edit("", None, slow)
    assert path.read_text() == GOOD + "# theirs\n"


async def test_a_link_goes_on_leading_to_its_file(manifests: Manifests, location: Location) -> None:
    target = location.root / "real.yaml"
    target.write_text(GOOD)
    (location.root / "spicepods" / "good.yaml").symlink_to(target)
    await manifests.edit("", None, adding("two"))
    assert (location.root / "spicepods" / "good.yaml").is_symlink()
    assert "two" in target.read_text()


async def test_rubbish_is_refused_with_a_reason(manifests: Manifests, location: Location) -> None:
    path = write(location, "good.yaml")
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(InvalidManifest, match="not UTF-8"):
        await manifests.edit("", None, adding("x"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_cannot_be_written(manifests: Manifests, location: Location) -> None:
    path = write(location, "good.yaml")
    path.parent.chmod(0o500)
    with pytest.raises(StorageError):
        await manifests.edit("", None, adding("x"))
    path.parent.chmod(0o700)
    assert path.read_text() == GOOD


# -- the command line

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An app folder whose door has the edit operations, in a thread with a loop of its own."""
    root = tmp_path / "app"
    (root / "spicepods").mkdir(parents=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SPICE_STATE_DIR", raising=False)
    location = locate(root)
    location.state.mkdir(parents=True, exist_ok=True)
    table = OperationTable()
    for name, path, handler in (
        ("pods.init", "pods", edit_operations.init_pod),
        ("pods.add_dataspace", "pods/{pod}/dataspaces", edit_operations.add_dataspace),
        ("pods.add_action", "pods/{pod}/actions", edit_operations.add_action),
        ("pods.add_rewards", "pods/{pod}/rewards", edit_operations.add_rewards),
    ):
        table.register(name, http=f"POST /api/v1/{path}")(handler)
    ready, loops = threading.Event(), list[asyncio.AbstractEventLoop]()
    ending = list[asyncio.Event]()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        ending.append(asyncio.Event())
        door = PrivateDoor(Dispatcher(table, [Manifests(location, unheard)]), Bus())
        await door.listen(location.socket)
        ready.set()
        await ending[0].wait()
        await door.close(reason="stopped", grace=1.0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield root
    loops[0].call_soon_threadsafe(ending[0].set)
    thread.join(10)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return int(code), out, err

    return call


def test_a_pod_is_written_from_the_command_line(folder: Path, cli: Cli) -> None:
    code, out, _ = cli("init", "Trader")
    assert (code, out) == (0, "Spice pod manifest initialized at spicepods/trader.yaml!\n")
    options = ["-m", "close", "--measurement", "vol=traded volume", "--category", "day=we, th"]
    options += ["--file", "data/p.csv", "--processor-param", "time_format=rfc3339"]
    code, out, err = cli("dataspace", "add", "market/prices", *options)
    assert (code, out, err) == (0, "Dataspace 'market/prices' added to pod Trader.\n", "")
    assert cli("dataspace", "add", "local/wallet", "--local", "-m", "cash")[0] == 0
    code, out, _ = cli("action", "add", "buy")
    assert (code, out) == (0, "Action 'buy' added to pod Trader.\n")
    assert cli("actions", "add", "hold", "--pod", "Trader")[0] == 0
    code, out, _ = cli("reward", "add")
    assert (code, out) == (0, "Uniform rewards added to pod Trader.\n")
    code, out, _ = cli("action", "add", "sell", "--reward", "reward = 2", "--json")
    assert code == 0
    answer = json.loads(out)
    manifest = parse_manifest(answer["text"], "x").manifest
    assert manifest is not None
    assert manifest.action_names == ("buy", "hold", "sell")
    assert manifest.dataspaces[0].categories[0].values == ("th", "we")
    assert (folder / "spicepods" / "trader.yaml").read_text() == answer["text"]


def test_refusals_of_the_command_line(folder: Path, cli: Cli) -> None:
    code, _, err = cli("action", "add", "buy")
    assert code == 5
    assert "No pods detected!" in err
    assert cli("init", "x")[0] == 0
    code, _, err = cli("init", "x")
    assert code == 6
    assert "Pod manifest already exists at spicepods/x.yaml." in err
    assert cli("init", "x", "--force")[0] == 0
    assert cli("init", "y", "--json")[0] == 0
    code, _, err = cli("action", "add", "buy")
    assert code == 2
    assert "--pod: x, y" in err
    for wrong in (["-m", "=a"], ["-m", "a", "-m", "a"], ["--file", "x", "--connector", "http"]):
        assert cli("dataspace", "add", "a/b", "--pod", "x", *wrong)[0] == 2
    code, _, err = cli("rewards", "add", "--pod", "x")
    assert code == 6
    assert "spice-tui action add NAME" in err
