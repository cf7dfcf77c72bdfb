"""The app and what befalls it: engines that go, folders of all kinds, leaving and coming back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from spice_tui.client import Client
from spice_tui.screens.quit_dialog import QuitDialog
from spice_tui.screens.welcome import WelcomeScreen
from tests.conftest import EngineFixture, wait_for
from tests.tui.app_driver import Driver, open_app

MANIFEST = """\
name: shop
params:
  epoch_time: 1756684800
  period: 100h
  interval: 2h
  granularity: 1h
dataspaces:
  - from: store
    name: sales
    measurements:
      - name: price
actions:
  - name: buy
  - name: wait
training:
  rewards:
    - reward: buy
      with: reward = 1
    - reward: wait
      with: reward = 0
"""


@pytest.fixture
def place(
    shared_engine: EngineFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> EngineFixture:
    """A started engine with no run at work, and a user whose files hold no session yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))
    if not shared_engine.answers():
        shared_engine.start()
    with shared_engine.client() as client:
        for run in _at_work(client):
            client.call("runs.stop", {"id": run, "grace": 0})
        wait_for(lambda: not _at_work(client), "the runs to end")
    return shared_engine


@pytest.fixture
def empty(engine: EngineFixture) -> EngineFixture:
    """An engine on a folder in which nothing was ever done."""
    engine.start()
    return engine


@pytest.fixture
def shop(place: EngineFixture) -> EngineFixture:
    """An engine on a folder with one pod."""
    _hold(place, {"shop": MANIFEST})
    return place


def _at_work(client: Client) -> list[int]:
    return [run["id"] for run in client.call("runs.list")["runs"] if not run["outcome"]]


def _hold(engine: EngineFixture, manifests: dict[str, str]) -> None:
    """Let these be the folder's pods, and wait until the engine knows."""
    pods = engine.location.root / "spicepods"
    if pods.is_file():
        pods.unlink()
    pods.mkdir(exist_ok=True)
    for file in pods.iterdir():
        if file.stem not in manifests:
            file.unlink()
    for name, text in manifests.items():
        file = pods / f"{name}.yaml"
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
    with engine.client() as client:

        def known() -> bool:
            found = client.call("pods.list")["pods"]
            return {pod["name"] for pod in found if pod["state"] != "loading"} == set(manifests)

        wait_for(known, "the engine to know the pods")


def _newest(one: Driver) -> int:
    return max(one.app.world.runs)


async def test_the_engine_is_killed_and_started_again_by_a_key(shop: EngineFixture) -> None:
    async with open_app(shop) as one:
        await one.shows("shop")
        await asyncio.to_thread(shop.kill)
        await one.shows("What is shown is as it was", "shop")
        await one.command(":train")
        await one.says("no engine is attached")
        await one.press("E")
        await one.until(lambda: one.app.world.attached, "the new engine")
        await one.until(lambda: not one.app.banner.display, "the banner to go")
        await one.shows("127.0.0.1:")


async def test_leaving_asks_only_when_something_runs(shop: EngineFixture) -> None:
    async with open_app(shop) as one:
        await one.command(":run sleep 60")
        await one.until(lambda: one.app.world.busy == ["1 run"], "the run")
        await one.press("q")
        await one.until(lambda: isinstance(one.app.screen, QuitDialog), "the question")
        await one.shows("Still at work: 1 run.")
        await one.press("escape")
        assert one.app.is_running
        await one.press("q")
        await one.until(lambda: isinstance(one.app.screen, QuitDialog), "the question")
        await one.press("enter")
        await one.until(lambda: one.app._exit, "the end")
    assert shop.answers(), "the engine goes on"
    async with open_app(shop) as one:
        await one.until(lambda: one.app.world.busy == ["1 run"], "the run, still at work")
        await one.press("q")
        await one.until(lambda: isinstance(one.app.screen, QuitDialog), "the question")
        await one.press("down", "enter")
        await one.until(lambda: one.app._exit, "the end", 20)
    assert not shop.answers(), "the engine was stopped"


async def test_leaving_does_not_ask_when_nothing_runs(shop: EngineFixture) -> None:
    async with open_app(shop) as one:
        await one.press("q")
        await one.until(lambda: one.app._exit, "the end")
    assert shop.answers()


async def test_stopping_a_run_is_taken_back_and_done(shop: EngineFixture) -> None:
    async with open_app(shop) as one:
        await one.command(":run sleep 60")
        await one.until(lambda: one.app.world.busy, "the run")
        run = _newest(one)
        await one.press("2", "X")
        await one.shows("u takes back (1)")
        await one.press("u")
        await one.says(f"Taken back: run {run} is stopped.")
        assert "u takes back" not in one.text
        assert one.app.world.runs[run].state == "running"
        await one.press("X")
        await one.until(lambda: one.app.pending, "the wish to stop it")
        await one.command(":detach")
        await one.until(lambda: one.app._exit, "the end")
    with shop.client() as client:
        states = {run["id"]: run["state"] for run in client.call("runs.list")["runs"]}
    assert states[run] != "running", "what waits is done before leaving"


async def test_leaving_without_an_engine_although_something_waits(shop: EngineFixture) -> None:
    async with open_app(shop) as one:
        await one.command(":run sleep 60")
        await one.until(lambda: one.app.world.busy, "the run")
        await one.command(f":stop {_newest(one)}")
        await one.until(lambda: one.app.pending, "the wish to stop it")
        await asyncio.to_thread(shop.kill)
        await one.until(lambda: not one.app.world.attached, "the end of the engine")
        await one.press("q")
        await one.until(lambda: one.app._exit, "the end")


async def test_a_session_is_found_again(shop: EngineFixture) -> None:
    (shop.location.root / "spicepods" / "other.yaml").write_text(
        MANIFEST.replace("name: shop", "name: other")
    )
    async with open_app(shop, (160, 50), remember=True) as one:
        await one.until(lambda: len(one.app.world.pods) == 2, "two pods")
        await one.command(":goto shop")
        await one.press("greater_than_sign", "greater_than_sign", "v")
        await one.command(":runs")
        table = one.app.current_view.tables()["runs"].table
        table.focus()
        one.app.execute(":filter state:running")
        one.app.execute(":sort id")
        await one.until(lambda: table.model.filter.text, "the filter")
        order = (table.model.sort, table.model.reverse)
        await one.command(":theme nord")
        width = one.app.view("pods").panes[0].styles.width
        await one.command(":detach")
        await one.until(lambda: one.app._exit, "the end")
    async with open_app(shop, (160, 50), remember=True) as one:
        assert one.app.view_name == "runs"
        assert one.app.pod == "shop"
        assert one.app.theme == "nord"
        table = one.app.current_view.tables()["runs"].table
        await one.until(lambda: table.model.filter.text == "state:running", "the filter")
        assert (table.model.sort, table.model.reverse) == order
        await one.command(":detach")  # without having looked at the pods
        await one.until(lambda: one.app._exit, "the end")
    async with open_app(shop, (160, 50), remember=True, view="pods") as one:
        await one.until(lambda: one.app.view("pods").pages() == {"pod": "evaluation"}, "the page")
        pane = one.app.view("pods").panes[0]
        await one.until(lambda: pane.styles.width == width, "the pane's size")


async def test_a_session_of_a_view_there_is_not(shop: EngineFixture) -> None:
    async with open_app(shop, view="nonsense") as one:
        await one.press("1", "2", "1")
        assert one.app.view_name == "pods"
        await one.shows("shop")


async def test_an_empty_folder_welcomes_once_and_teaches(empty: EngineFixture) -> None:
    async with open_app(empty, remember=True) as one:
        await one.until(lambda: isinstance(one.app.screen, WelcomeScreen), "the welcome")
        await one.press("enter")
        await one.until(lambda: one.app.tutorial_bar.going_on, "the tutorial")
        await one.shows("1/7", "gardener")
        await one.shows("2/7", seconds=40)
        await one.press("r")
        await one.until(lambda: len(one.app.screen_stack) == 2, "the recommendation")
        await one.press("escape")
        await one.shows("3/7")
        await one.command(":tutorial off")
        await one.until(lambda: not one.app.tutorial_bar.display, "the line to go")
        await one.command(":detach")
        await one.until(lambda: one.app._exit, "the end")


async def test_the_first_pod_of_ones_own(empty: EngineFixture) -> None:
    async with open_app(empty) as one:
        await one.until(lambda: isinstance(one.app.screen, WelcomeScreen), "the welcome")
        await one.press("down", "enter")
        await one.until(lambda: one.app.prompt.has_focus, "the command line")
        await one.type("mine")
        await one.press("enter")
        editor = one.app.query_one("ManifestEditor")
        await one.until(lambda: "name: mine" in editor.area.text, "its manifest")
    assert (empty.location.root / "spicepods" / "mine.yaml").exists()


async def test_a_manifest_that_is_no_yaml(shop: EngineFixture) -> None:
    (shop.location.root / "spicepods" / "broken.yaml").write_text("name: broken\nparams: [1\n")
    async with open_app(shop, (160, 50)) as one:
        await one.until(lambda: "broken" in one.app.world.pods, "the broken pod")
        await one.command(":edit broken")
        editor = one.app.query_one("ManifestEditor")
        await one.until(lambda: "name: broken" in editor.area.text, "its text")
        pod = one.app.world.pods["broken"]
        assert pod.state == "failed"
        await one.until(lambda: one.app.world.pods["broken"].problems, "its problem")
        await one.shows(pod.problems[0].message[:12])
        for command in (":timeline", ":stepper", ":evaluation", ":observations", ":recommend"):
            one.app.execute(command)
            await one.pilot.pause()
        assert one.app.is_running


async def test_folders_that_cannot_be_written(shop: EngineFixture) -> None:
    """A file is where the manifest of a new pod would be made: its folder refuses."""
    pods = shop.location.root / "spicepods"
    async with open_app(shop) as one:
        await one.shows("shop")
        (pods / "shop.yaml").unlink()
        await one.until(lambda: not one.app.world.pods, "no pods")
        pods.rmdir()
        pods.write_text("in the way")
        await one.command(":new mine")
        await one.until(lambda: one.said, "why not")
        assert one.app.is_running


async def test_two_apps_stay_in_step(shop: EngineFixture) -> None:
    async with open_app(shop) as first, open_app(shop) as second:
        one, two = first.app.query_one("ManifestEditor"), second.app.query_one("ManifestEditor")
        await first.until(lambda: "name: shop" in one.area.text, "the manifest")
        await second.until(lambda: "name: shop" in two.area.text, "the manifest there")
        await first.press("e")
        await first.until(lambda: one.has_focus_within, "the focus in the editor")
        await first.type("#hello")
        await first.press("ctrl+s")
        await second.until(lambda: "#hello" in two.area.text, "the saved text there", 20)
        before = set(first.app.world.runs)
        await second.command(":run true")
        await first.until(lambda: set(first.app.world.runs) > before, "the run here")
